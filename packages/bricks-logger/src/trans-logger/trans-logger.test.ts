import assert from 'node:assert/strict';
import { bytesPerRequest, describeBrickConformance } from '@mars/brick-core/testing';
import { LoggerKit, quietHost } from './logger.test.kit.js';

describe('TransLoggerBrick', () => {
  // Errors of the data device reach nobody: the log has the data. A flush goes to the log.
  const promises = { flushReachesDisk: false, passesErrors: false, allocationFree: false };
  describeBrickConformance(new LoggerKit(), promises);
  describeBrickConformance(new LoggerKit({ 'memory-limit': '256K', compression: 'lz4' }), promises);

  for (const semantics of [1, 2]) {
    it(`allocates nothing per request after warm-up (completion-semantics ${semantics})`, async function () {
      this.timeout(60_000);
      const params = { 'completion-semantics': semantics, 'memory-limit': '2M' };
      const kit = new LoggerKit(params, { makeHost: quietHost }, { type: 'test-log-sink' });
      await kit.open();
      const bytes = await bytesPerRequest(kit);
      assert.ok(bytes < 8, `${bytes.toFixed(2)} bytes of JavaScript memory per request`);
      await kit.close();
    });
  }
});
