import assert from 'node:assert/strict';
import { F_FUA } from '@mars/brick-core';
import { describeBrickConformance } from '@mars/brick-core/testing';
import { LoggerKit, useLoggerKit } from './logger.test.kit.js';

describe('TransLoggerBrick', () => {
  describe('conformance', () => {
    describeBrickConformance(new LoggerKit(), { flushReachesDisk: false, passesErrors: false });
  });

  describe('logging', () => {
    const kit = useLoggerKit();

    it('answers a durable write when its record is durable, and shows it to reads at once', async () => {
      const data = new Uint8Array(4096).fill(7);
      const { err } = await kit.answerOf({ op: 'write', posBytes: 8192, data, flags: F_FUA });
      assert.equal(err, 0);
      assert.equal(kit.log().sizeBytes, 4096 + 84);
      const read = await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 16384 });
      assert.deepEqual(read.data.subarray(4096, 8192), data);
      assert.equal(read.data[0], 0);
    });
  });
});
