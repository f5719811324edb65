import assert from 'node:assert/strict';
import { bytesPerRequest } from '@mars/brick-core/testing';
import { LoggerKit, quietHost } from './logger.test.kit.js';

// Among the outer tests: in a process that has run many other bricks before, the engine boxes a double that it keeps in a register here.
describe('TransLoggerBrick', () => {
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
