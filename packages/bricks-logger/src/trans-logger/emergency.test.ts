import assert from 'node:assert/strict';
import { EIO, ENOSPC, F_FUA } from '@mars/brick-core';
import type { ProbeResult } from '@mars/brick-core/testing';
import { scanBytes } from '../log-format/support.test.kit.js';
import { useLoggerKit, type LoggerKit, type MemoryLog } from './logger.test.kit.js';

const block = (byte: number, len = 4096): Uint8Array => new Uint8Array(len).fill(byte);

/** From now on every request of this kind fails. */
function failAll(log: MemoryLog, op: 'write' | 'flush', err: number): void {
  log.failOp = op;
  log.failWith = err;
}

function heal(log: MemoryLog): void {
  log.failOp = null;
}

async function stop(kit: LoggerKit): Promise<void> {
  await kit.settle(kit.graph.release('probe'));
  await kit.settle(kit.graph.release('logger'));
}

function recordsOf(log: MemoryLog): number[] {
  const positions: number[] = [];
  const { kind } = scanBytes(log.bytes.slice(), {}, (record) => void positions.push(record.pos));
  assert.ok(kind === 'complete' || kind === 'empty', `the log ends with ${kind}`);
  return positions;
}

describe('TransLoggerBrick when the log cannot be written', () => {
  describe('on-log-error: hold', () => {
    const kit = useLoggerKit();

    it('answers nothing while log writes fail, and everything when they work again (INV-18)', async () => {
      const answers: ProbeResult[] = [];
      failAll(kit.log(), 'write', -ENOSPC);
      for (let i = 0; i < 3; i++) kit.write({ posBytes: i * 4096, data: block(i) }, (a) => answers.push(a));
      await kit.runFor(5000);
      assert.deepEqual([answers.length, kit.fact('state')], [0, 'held']);
      heal(kit.log());
      await kit.runFor(1000);
      assert.deepEqual(
        answers.map((a) => a.err),
        [0, 0, 0],
      );
      assert.equal(kit.fact('state'), 'logging');
      assert.deepEqual(recordsOf(kit.log()), [0, 4096, 8192]);
    });

    it('serves reads meanwhile, also of what could not be logged', async () => {
      failAll(kit.log(), 'write', -EIO);
      kit.write({ posBytes: 0, data: block(5) });
      const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 8192 });
      assert.deepEqual([data[0], data[4096]], [5, 0]);
      heal(kit.log());
    });

    it('does not try again while "resume" is off', async () => {
      kit.graph.setParam('logger', 'resume', false);
      let answered = 0;
      failAll(kit.log(), 'write', -EIO);
      kit.write({ posBytes: 0, data: block(5) }, () => answered++);
      await kit.runFor(10);
      heal(kit.log());
      await kit.runFor(10_000);
      assert.equal(answered, 0);
      kit.graph.setParam('logger', 'resume', true);
      await kit.runFor(1000);
      assert.equal(answered, 1);
    });

    it('writes nothing to the data device that is not durable in the log (INV-7)', async () => {
      failAll(kit.log(), 'flush', -EIO);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(5) });
      await kit.runFor(60_000);
      assert.equal(kit.fact('state'), 'held');
      assert.deepEqual(
        kit.disk.seen.filter((seen) => seen.op === 'write'),
        [],
      );
    });

    it('after a failed sync it waits for an empty log, and logs everything volatile again there', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      failAll(kit.log(), 'flush', -EIO);
      await kit.answerOf({ op: 'write', posBytes: 4096, data: block(2) });
      await kit.answerOf({ op: 'write', posBytes: 4096, data: block(3) });
      let flushed = 0;
      kit.flush(({ err }) => (flushed += err === 0 ? 1 : 100));
      kit.write({ posBytes: 8192, data: block(4), flags: F_FUA }, ({ err }) => (flushed += err === 0 ? 10 : 1000));
      heal(kit.log());
      await kit.runFor(10_000);
      assert.deepEqual([flushed, kit.fact('state')], [0, 'held']);
      const next = await kit.rotate(2, 1);
      await kit.runFor(100);
      assert.equal(flushed, 11);
      assert.deepEqual(recordsOf(next), [4096, 4096, 8192]);
      await stop(kit);
      assert.deepEqual([kit.disk.store[0], kit.disk.store[4096], kit.disk.store[8192]], [1, 3, 4]);
      assert.equal(kit.fact('replay'), `2,${next.sizeBytes},0`);
    });

    it('a stop does not hang: who waits is told', async () => {
      const errors: number[] = [];
      failAll(kit.log(), 'write', -ENOSPC);
      kit.write({ posBytes: 0, data: block(1) }, ({ err }) => errors.push(err));
      await kit.runFor(10);
      kit.graph.get('probe').power.set('off');
      kit.graph.get('probe').power.button = false;
      await kit.settle(kit.graph.release('logger'));
      assert.deepEqual(errors, [-ENOSPC]);
    });
  });

  describe('on-log-error: fail', () => {
    const kit = useLoggerKit({ 'on-log-error': 'fail' });

    it('fails who waits and who comes, and shows the old data again', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      failAll(kit.log(), 'write', -ENOSPC);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: block(2) })).err, -ENOSPC);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 4096, data: block(2) })).err, -ENOSPC);
      const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 8192 });
      assert.deepEqual([data[0], data[4096]], [1, 0]);
      assert.equal(kit.fact('state'), 'failing');
    });

    it('makes durable where it is what was answered early, and goes on in a fresh log', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      failAll(kit.log(), 'write', -EIO);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(2) });
      assert.deepEqual(kit.log().durable.subarray(0, 4180), kit.log().store.subarray(0, 4180));
      const next = await kit.rotate(2, 1);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 4096, data: block(3), flags: F_FUA })).err, 0);
      assert.deepEqual(recordsOf(next), [4096], 'no record may stand in two files');
      await stop(kit);
      assert.deepEqual([kit.disk.store[0], kit.disk.store[4096]], [1, 3]);
    });

    it('after a failed sync the fresh log takes over what was answered early', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      failAll(kit.log(), 'flush', -EIO);
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
      const next = await kit.rotate(2, 1);
      assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
      assert.deepEqual(recordsOf(next), [0]);
      await stop(kit);
      assert.equal(kit.disk.store[0], 1);
    });
  });

  describe('on-log-error: fail, twice', () => {
    const kit = useLoggerKit({ 'on-log-error': 'fail' });

    it('keeps what was answered early although the fresh log fails, too, and reports the old one until it stands in the new one', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(2) });
      failAll(kit.log(), 'flush', -EIO);
      await kit.answerOf({ op: 'flush' });
      kit.graph.add('log:2', 'test-log');
      await kit.settle(kit.graph.press('log:2'));
      failAll(kit.log(2), 'write', -ENOSPC);
      kit.graph.connect({ consumer: 'logger', input: 'log', nr: 1 }, 'log:2');
      await kit.runFor(3000);
      assert.equal(kit.fact('state'), 'failing');
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).data[0], 2);
      assert.equal(
        kit.fact('replay'),
        '1,4180,0',
        'the death of the process must not lose what only the old file holds',
      );
    });
  });

  describe('on-log-error: bypass', () => {
    const kit = useLoggerKit({ 'on-log-error': 'bypass' });

    it('acknowledges nothing unlogged before somebody says that the hole exists (INV-18)', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      failAll(kit.log(), 'write', -ENOSPC);
      const answers: number[] = [];
      kit.write({ posBytes: 4096, data: block(2), flags: F_FUA }, ({ err }) => answers.push(err));
      await kit.runFor(5000);
      assert.deepEqual([answers.length, kit.fact('state')], [0, 'bypass-waiting']);
      assert.equal(kit.disk.store[0], 1, 'what is durable is written back first');
      assert.equal(kit.disk.store[4096], 0);
      kit.graph.setParam('logger', 'bypass-allowed', true);
      await kit.runFor(10);
      assert.deepEqual([answers, kit.fact('state')], [[0], 'bypass']);
      assert.equal(kit.disk.durable[4096], 2, 'answered with FUA, so it must be durable on the device');
    });

    it('serves the device without a log, and returns to a log behind the hole', async () => {
      kit.graph.setParam('logger', 'bypass-allowed', true);
      failAll(kit.log(), 'write', -ENOSPC);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      await kit.answerOf({ op: 'write', posBytes: 4096, data: block(2) });
      assert.equal(kit.fact('state'), 'bypass');
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 512 })).data[0], 2);
      const next = await kit.rotate(12, 1);
      await kit.runFor(10);
      assert.equal(kit.fact('state'), 'logging');
      assert.equal(kit.disk.durable[4096], 2, 'a flush of the log says nothing about what passed by it (INV-1)');
      await kit.answerOf({ op: 'write', posBytes: 8192, data: block(3), flags: F_FUA });
      assert.deepEqual(recordsOf(next), [8192]);
      await stop(kit);
      assert.deepEqual([...[0, 4096, 8192].map((at) => kit.disk.store[at])], [1, 2, 3]);
      assert.equal(kit.fact('replay'), `12,${next.sizeBytes},0`);
    });

    it('ceases logging on demand, without any failure', async () => {
      kit.graph.setParam('logger', 'bypass-allowed', true);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      const { sizeBytes } = kit.log();
      kit.graph.setParam('logger', 'cease-logging', true);
      kit.run();
      await kit.answerOf({ op: 'write', posBytes: 4096, data: block(2), flags: F_FUA });
      assert.equal(kit.fact('state'), 'bypass');
      assert.equal(kit.log().sizeBytes, sizeBytes);
      assert.equal(kit.disk.durable[0], 1);
      await stop(kit);
      assert.equal(kit.disk.store[4096], 2);
    });
  });
});

describe('TransLoggerBrick when the data device fails', () => {
  const kit = useLoggerKit({ 'report-interval': '10ms' });

  it('keeps what it could not write back, serves it, advances no position, and tries again', async () => {
    kit.disk.failAt = 1;
    await kit.answerOf({ op: 'write', posBytes: 0, data: block(7), flags: F_FUA });
    await kit.runFor(500);
    assert.deepEqual([kit.fact('state'), kit.fact('replay')], ['writeback-stopped', '1,0,4180']);
    assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 })).data[0], 7);
    assert.equal((await kit.answerOf({ op: 'write', posBytes: 8192, data: block(8), flags: F_FUA })).err, 0);
    await kit.runFor(2000);
    assert.deepEqual([kit.fact('state'), kit.disk.durable[0], kit.disk.durable[8192]], ['logging', 7, 8]);
    assert.equal(kit.fact('replay'), `1,${2 * 4180},0`);
  });

  it('after a failed flush of the device no position moves, and what may be stale is not served', async () => {
    await kit.answerOf({ op: 'write', posBytes: 0, data: block(7), flags: F_FUA });
    await kit.runFor(25);
    const before = kit.fact('replay');
    await kit.answerOf({ op: 'write', posBytes: 0, data: block(8), flags: F_FUA });
    kit.disk.failOp = 'flush';
    await kit.runFor(100);
    assert.deepEqual(
      [kit.fact('state'), String(kit.fact('replay')).split(',')[1]],
      ['writeback-stopped', String(before).split(',')[1]],
    );
    kit.disk.failOp = null;
    assert.equal((await kit.answerOf({ op: 'read', posBytes: 65536, lenBytes: 4096 })).err, -EIO);
    await kit.answerOf({ op: 'write', posBytes: 4096, data: block(9), flags: F_FUA });
    assert.equal((await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 4096 })).data[0], 9);
  });
});
