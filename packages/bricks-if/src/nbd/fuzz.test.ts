import assert from 'node:assert/strict';
import { fuzzServer } from '../testing/fuzz.test.kit.js';

// The long runs: packages/bricks-if/scripts/fuzz-nbd.mjs
describe('the NBD server under attack', function () {
  this.timeout(120_000);

  it('survives 20,000 broken handshakes and request streams, and keeps nothing of them', async () => {
    const { inputs, transmissions, replyBytes } = await fuzzServer({ seed: 1, count: 20_000 });
    assert.equal(inputs, 20_000);
    assert.ok(transmissions > 1000, 'the attack must get beyond the handshake');
    assert.ok(replyBytes > 1_000_000, 'the server must have served');
  });
});
