import assert from 'node:assert/strict';
import { F_FUA } from '@mars/brick-core';
import { COMPRESSION_PREFERENCE } from '../log-format/compression.js';
import { DIGEST_PREFERENCE } from '../log-format/digests.js';
import { buildLog, scanBytes, wordText, workedPayload, WORKED_POS } from '../log-format/support.test.kit.js';
import { LoggerKit } from './logger.test.kit.js';

async function stop(kit: LoggerKit): Promise<void> {
  await kit.settle(kit.graph.release('probe'));
  await kit.settle(kit.graph.release('logger'));
}

describe('Options of TransLoggerBrick', () => {
  for (const digest of DIGEST_PREFERENCE) {
    it(`digest ${digest}: every record carries it and verifies`, async () => {
      const kit = new LoggerKit({ digest });
      await kit.open();
      await kit.answerOf({ op: 'write', posBytes: 4096, data: wordText(8192), flags: F_FUA });
      const seen: string[] = [];
      const { kind } = scanBytes(kit.log().bytes.slice(), {}, (record) => void seen.push(record.digest));
      assert.deepEqual([kind, seen], ['complete', [digest]]);
      await kit.close();
    });
  }

  for (const compression of COMPRESSION_PREFERENCE) {
    it(`compression ${compression}: the log is shorter, reads and the device get the plain data`, async () => {
      const kit = new LoggerKit({ compression });
      await kit.open();
      const data = wordText(16384);
      await kit.answerOf({ op: 'write', posBytes: 4096, data, flags: F_FUA });
      assert.ok(kit.log().sizeBytes < 12_000);
      const seen: string[] = [];
      scanBytes(kit.log().bytes.slice(), {}, (record) => void seen.push(record.compression));
      assert.deepEqual(seen, [compression]);
      assert.deepEqual(
        (await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 16384 })).data,
        new Uint8Array(data),
      );
      await stop(kit);
      assert.deepEqual(kit.disk.store.slice(4096, 20480), new Uint8Array(data));
      await kit.close();
    });
  }

  it('zeroes take no memory once they are in the log, and are zeroes on the device', async () => {
    const kit = new LoggerKit({ 'memory-limit': '256K' });
    await kit.open();
    kit.disk.store.fill(7);
    const { err } = await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 524288, flags: F_FUA });
    assert.equal(err, 0);
    assert.ok((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 524288 })).data.every((byte) => byte === 0));
    await stop(kit);
    assert.ok(kit.disk.store.subarray(0, 524288).every((byte) => byte === 0));
    assert.equal(kit.disk.store[524288], 7);
    await kit.close();
  });

  it('mode replay: applies the log, serves nobody, and tells how it ended', async () => {
    const kit = new LoggerKit({ mode: 'replay' }, { disk: { size: '2M' } });
    await kit.open({ press: false });
    const { bytes } = buildLog([{ payload: workedPayload() }]);
    kit.log().load(bytes);
    await kit.pressAll();
    await kit.runFor(100);
    assert.deepEqual(kit.disk.durable.slice(WORKED_POS, WORKED_POS + 512), new Uint8Array(workedPayload()));
    assert.deepEqual(
      ['replay', 'replay-code', 'state', 'finished'].map((name) => kit.fact(name)),
      ['1,596,0', '1', 'replayed', true],
    );
    assert.ok((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err < 0);
    assert.ok((await kit.answerOf({ op: 'write', posBytes: 0, data: new Uint8Array(512) })).err < 0);
    await kit.close();
  });

  it('mode replay: a defect ends it with its code, and nothing behind it is applied', async () => {
    const kit = new LoggerKit({ mode: 'replay' }, { disk: { size: '2M' } });
    await kit.open({ press: false });
    const { bytes } = buildLog([{ payload: workedPayload() }, { payload: workedPayload(), pos: 0 }]);
    bytes[596 + 100]! ^= 1;
    kit.log().load(bytes);
    await kit.pressAll();
    await kit.runFor(100);
    assert.equal(kit.fact('replay-code'), '-74,-10101');
    assert.equal(kit.disk.store[0], 0);
    await kit.close();
  });
});
