import assert from 'node:assert/strict';
import { F_FUA, OP_NAMES, setCrashHook } from '@mars/brick-core';
import { scanBytes } from '../log-format/support.test.kit.js';
import { LoggerKit, useLoggerKit, type MemoryLog } from './logger.test.kit.js';
import { ModelRun, type Workload } from './model.test.kit.js';

const block = (byte: number, len = 4096): Uint8Array => new Uint8Array(len).fill(byte);

const STORM: Workload = {
  seed: 1,
  requests: 60,
  spanBytes: 131072,
  longestBytes: 16384,
  depth: 8,
  reads: 0.3,
  flushes: 0.1,
  fua: 0.3,
  zeroes: 0.05,
  pauseMsMax: 2,
  rotateEvery: 0,
  crashEvery: 7,
};

function recordsOf(log: MemoryLog): { pos: number; seq: number; len: number; stampSec: number }[] {
  const records: { pos: number; seq: number; len: number; stampSec: number }[] = [];
  const { kind } = scanBytes(log.bytes.slice(), {}, ({ pos, seq, payloadLen, stampSec }) => {
    records.push({ pos, seq, len: payloadLen, stampSec });
  });
  assert.ok(kind === 'complete' || kind === 'empty');
  return records;
}

/** A consumer waits for its requests; the logger must come to an end although they cannot be logged. */
async function stopStuck(kit: LoggerKit): Promise<void> {
  kit.graph.get('probe').power.set('off');
  kit.graph.get('probe').power.button = false;
  await kit.settle(kit.graph.release('logger'));
}

async function stop(kit: LoggerKit): Promise<void> {
  await kit.settle(kit.graph.release('probe'));
  await kit.settle(kit.graph.release('logger'));
}

describe('TransLoggerBrick keeps its invariants', () => {
  describe('answers', () => {
    const kit = useLoggerKit();

    it('answers an early write when its record stands in the file, not before', async () => {
      kit.log().hold = true;
      let answered = 0;
      kit.write({ posBytes: 0, data: block(1) }, () => answered++);
      await kit.runFor(50);
      assert.equal(answered, 0);
      kit.log().letGo();
      kit.run();
      assert.equal(answered, 1);
      assert.equal(kit.log().seen.filter((seen) => seen.op === 'flush' || seen.isFua).length, 0, 'nothing was synced');
    });

    it('INV-1: answers FUA when the record is durable', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      assert.deepEqual(kit.log().durable.subarray(0, 4180), kit.log().store.subarray(0, 4180));
    });

    it('INV-1: FUA behind early writes makes these durable, too: a record behind a hole is worth nothing', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      await kit.answerOf({ op: 'write', posBytes: 4096, data: block(2), flags: F_FUA });
      assert.deepEqual(kit.log().durable.subarray(0, 8360), kit.log().store.subarray(0, 8360));
    });

    it('INV-1: a flush makes everything durable that was answered before it', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      await kit.answerOf({ op: 'flush' });
      assert.deepEqual(kit.log().durable.subarray(0, 4180), kit.log().store.subarray(0, 4180));
    });

    it('INV-19: a flush with nothing dirty is answered at once, without a sync', async () => {
      assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
      assert.deepEqual(kit.log().seen, []);
    });

    it('INV-19: a flush in the middle of a rotation covers both files', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      kit.log().hold = true;
      kit.write({ posBytes: 4096, data: block(2) });
      const next = await kit.rotate(2, 1);
      await kit.runFor(1);
      kit.log().letGo();
      await kit.answerOf({ op: 'write', posBytes: 8192, data: block(3) });
      await kit.answerOf({ op: 'flush' });
      assert.deepEqual(kit.log().durable.subarray(0, 8360), kit.log().store.subarray(0, 8360));
      assert.deepEqual(next.durable.subarray(0, 4180), next.store.subarray(0, 4180));
    });

    it('syncs what nobody asked to be durable after "sync-after" at the latest', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      await kit.runFor(1990);
      assert.equal(kit.counter('log_syncs'), 0);
      await kit.runFor(20);
      assert.equal(kit.counter('log_syncs'), 1);
    });

    it('shares one log write among all who come while another is under way (group commit)', async () => {
      kit.log().hold = true;
      let answered = 0;
      for (let i = 0; i < 20; i++) {
        kit.write({ posBytes: i * 4096, data: block(i), flags: F_FUA }, () => answered++);
      }
      assert.equal(kit.log().heldBack, 1);
      kit.log().letGo();
      await kit.runFor(1);
      assert.deepEqual([answered, kit.counter('log_writes')], [20, 2]);
    });
  });

  describe('with every write durable (completion-semantics 2)', () => {
    const kit = useLoggerKit({ 'completion-semantics': 2 });

    it('answers no write before it is durable', async () => {
      kit.graph.setParam('logger', 'completion-semantics', 1);
      kit.graph.setParam('logger', 'completion-semantics', 2);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      assert.deepEqual(kit.log().durable.subarray(0, 4180), kit.log().store.subarray(0, 4180));
    });
  });

  describe('the log', () => {
    const kit = useLoggerKit({ 'record-bytes': 8192 });

    it('INV-10: is a gap-free sequence of records in the order of the requests, numbered from 1', async () => {
      await kit.answerOf({ op: 'write', posBytes: 61440, data: block(1, 16384) });
      await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 4096 });
      assert.deepEqual(
        recordsOf(kit.log()).map(({ pos, len, seq }) => [pos, len, seq]),
        [
          [61440, 4096, 1],
          [65536, 8192, 2],
          [73728, 4096, 3],
          [0, 4096, 4],
        ],
      );
    });

    it('INV-10: never writes twice to the same place', async () => {
      for (let i = 0; i < 20; i++) await kit.answerOf({ op: 'write', posBytes: 0, data: block(i), flags: F_FUA });
      let end = 0;
      for (const { op, posBytes, lenBytes } of kit.log().seen) {
        if (op !== 'write') continue;
        assert.equal(posBytes, end);
        end += lenBytes;
      }
    });

    it('INV-10: refuses to append to a file that is not empty', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      await stop(kit);
      await assert.rejects(kit.settle(kit.graph.press('logger')), /not an empty file/);
    });

    it('carries the stamp of the moment in which the request came', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      await kit.runFor(5000);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(2) });
      const [first, second] = recordsOf(kit.log());
      assert.equal(first!.stampSec, 1_700_000_001);
      assert.equal(second!.stampSec, 1_700_000_006);
    });
  });

  describe('writeback', () => {
    const kit = useLoggerKit({ 'report-interval': '5ms' });

    it('INV-7: begins when the record is durable', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1) });
      await kit.runFor(1000);
      assert.equal(kit.disk.seen.length, 0);
      await kit.answerOf({ op: 'flush' });
      await kit.runFor(1);
      assert.equal(kit.disk.store[0], 1);
    });

    it('INV-8: writes the newest version only, neighbours together, in ascending order', async () => {
      for (const [at, byte] of [
        [200_000, 1],
        [4096, 2],
        [0, 3],
        [4096, 4],
      ] as const)
        await kit.answerOf({ op: 'write', posBytes: at - (at % 512), data: block(byte), flags: F_FUA });
      await kit.runFor(30);
      assert.deepEqual(
        kit.disk.seen.filter((seen) => seen.op === 'write').map(({ posBytes, lenBytes }) => [posBytes, lenBytes]),
        [
          [0, 8192],
          [199_680, 4096],
        ],
      );
      assert.deepEqual([kit.disk.store[0], kit.disk.store[4096]], [3, 4]);
    });

    it('INV-8: what is written while its region is being written back waits for its turn', async () => {
      kit.disk.hold = true;
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      await kit.runFor(30);
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(2), flags: F_FUA });
      await kit.runFor(30);
      assert.equal(kit.disk.heldBack, 1);
      kit.disk.letGo();
      await kit.runFor(30);
      assert.equal(kit.disk.store[0], 2);
    });

    it('INV-4: publishes a position only after a flush of the device that began when everything in front of it was written', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      assert.equal(kit.fact('replay'), '1,0,0');
      await kit.runFor(10);
      assert.equal(kit.fact('replay'), '1,0,4180');
      await kit.runFor(20);
      assert.equal(kit.fact('replay'), '1,4180,0');
      assert.deepEqual(
        kit.disk.seen.map((seen) => seen.op),
        ['write', 'flush'],
      );
    });

    it('INV-5: positions move over a gap-free prefix, although writebacks overtake each other', async () => {
      kit.disk.hold = true;
      for (const at of [131072, 65536, 0])
        await kit.answerOf({ op: 'write', posBytes: at, data: block(1), flags: F_FUA });
      await kit.runFor(30);
      kit.disk.hold = false;
      // Regions 0 and 1 come home; region 2, which was logged first, does not.
      kit.disk.letGoWhere((o) => o.pos < 131072);
      await kit.runFor(30);
      assert.equal(kit.fact('replay'), `1,0,${3 * 4180}`);
      kit.disk.letGo();
      await kit.runFor(30);
      assert.equal(kit.fact('replay'), `1,${3 * 4180},0`);
    });
  });

  describe('reads', () => {
    const kit = useLoggerKit();

    it('INV-9: see a write as soon as it is taken, and the device around it', async () => {
      kit.disk.store.fill(9);
      await kit.answerOf({ op: 'write', posBytes: 1024, data: block(1, 512) });
      await kit.answerOf({ op: 'write', posBytes: 1536, data: block(2, 512) });
      const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
      assert.deepEqual([data[1023], data[1024], data[1536], data[2048]], [9, 1, 2, 9]);
      assert.equal(kit.counter('reads_mixed'), 1);
    });

    it('INV-9: show what was in memory when they came, although it is written back before the device answers', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      kit.disk.hold = true;
      let seen = -1;
      kit.read({ posBytes: 0, lenBytes: 8192 }, ({ data }) => (seen = data[0]!));
      kit.disk.letGoWhere((o) => OP_NAMES[o.op] === 'write');
      await kit.runFor(50);
      kit.disk.letGoWhere((o) => OP_NAMES[o.op] === 'write');
      kit.disk.store.fill(0xee, 0, 4096);
      kit.disk.letGo();
      await kit.runFor(1);
      assert.equal(seen, 1);
    });

    it('are served from memory alone when it holds everything', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1, 131072) });
      const { data } = await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 122880 });
      assert.ok(data.every((byte) => byte === 1));
      assert.deepEqual(kit.disk.seen, []);
    });
  });

  describe('memory', () => {
    const kit = useLoggerKit({ 'memory-limit': '256K' });

    it('INV-17: stays below its limit when the device stalls, and reads still work', async () => {
      kit.disk.hold = true;
      let answered = 0;
      const peak: number[] = [];
      for (let i = 0; i < 150; i++) {
        kit.write({ posBytes: i * 4096, data: block(i), flags: F_FUA }, () => answered++);
        await kit.runFor(1);
        peak.push(kit.logger.memoryBytes);
      }
      assert.ok(answered > 30 && answered < 64, `${answered} writes were taken`);
      assert.ok(Math.max(...peak) <= 262144);
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 4096 })).data[0], 1);
      kit.disk.letGo();
      await kit.runFor(1000);
      assert.equal(answered, 150);
      assert.equal(kit.disk.store[149 * 4096], 149);
    });
  });

  describe('rotation', () => {
    const kit = useLoggerKit({ 'report-interval': '5ms' });

    it('INV-11: reports the old log until it is completely on the device, then the new one', async () => {
      kit.disk.hold = true;
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      const next = await kit.rotate(2, 1);
      await kit.answerOf({ op: 'write', posBytes: 65536, data: block(2), flags: F_FUA });
      await kit.runFor(100);
      assert.deepEqual([kit.fact('replay'), kit.fact('state')], ['1,0,4180', 'rotating']);
      assert.equal(kit.logger.slotIdle('log', 0), false);
      assert.deepEqual(
        recordsOf(next).map(({ seq, pos }) => [seq, pos]),
        [[1, 65536]],
      );
      kit.disk.hold = false;
      kit.disk.letGoWhere((o) => o.pos === 65536);
      await kit.runFor(100);
      assert.equal(kit.fact('replay'), '1,0,4180');
      kit.disk.letGo();
      await kit.runFor(100);
      assert.deepEqual([kit.fact('replay'), kit.fact('state')], ['2,4180,0', 'logging']);
      assert.equal(kit.logger.slotIdle('log', 0), true);
    });

    it('INV-6: the reported positions never go back', async () => {
      const seen: [number, number][] = [];
      kit.graph.onEvent((event) => {
        if (event.kind !== 'fact' || event.name !== 'replay') return;
        const [serial, minPos] = String(event.value).split(',').map(Number);
        seen.push([serial!, minPos!]);
      });
      const run = new ModelRun(kit, { ...STORM, requests: 200, rotateEvery: 40, reads: 0 });
      await run.run();
      await stop(kit);
      assert.ok(seen.length > 5);
      for (let i = 1; i < seen.length; i++) {
        const [[serial, pos], [nextSerial, nextPos]] = [seen[i - 1]!, seen[i]!];
        assert.ok(nextSerial > serial || (nextSerial === serial && nextPos >= pos));
      }
    });

    it('takes no file whose serial is not the next one, and none that is not empty', async () => {
      await kit.rotate(3, 1);
      await kit.runFor(10);
      assert.equal(kit.fact('state'), 'logging');
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
      assert.equal(kit.log(3).sizeBytes, 0);
    });
  });

  describe('a stop', () => {
    const kit = useLoggerKit();

    it('leaves nothing to replay: minPos = maxPos = size of the log', async () => {
      for (let i = 0; i < 50; i++) await kit.answerOf({ op: 'write', posBytes: (i % 7) * 4096, data: block(i) });
      await stop(kit);
      assert.equal(kit.fact('replay'), `1,${50 * 4180},0`);
      assert.deepEqual(kit.disk.durable, kit.disk.store);
    });

    it('writes everything back before a wire would lead past it, which its permissions refuse', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: block(7) });
      const swapping = kit.graph.swap({ consumer: 'probe', input: 'next', nr: 0 }, 'disk');
      await assert.rejects(kit.settle(swapping), /exclude each other/);
      assert.equal(kit.disk.durable[0], 7);
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).data[0], 7);
    });
  });

  describe('failures', () => {
    for (const victim of ['log', 'disk'] as const) {
      it(`survives a failure of the Nth request to the ${victim}, for N = 1, 2, 3 …`, async function () {
        this.timeout(120_000);
        for (let nth = 1; ; nth++) {
          const kit = new LoggerKit({ 'report-interval': '20ms', 'memory-limit': '512K' });
          await kit.open();
          const device = victim === 'log' ? kit.log() : kit.disk;
          device.failAt = nth;
          device.failOp = null;
          const run = new ModelRun(kit, { ...STORM, seed: nth, reads: 0, mayHang: true });
          await run.run();
          run.imagineCrash();
          const wasHit = device.failed > 0;
          await stopStuck(kit);
          // A sync that failed keeps the log from going on, so not everything can have come home.
          if (kit.fact('replay') === `1,${kit.log().sizeBytes},0`) run.checkEnd();
          await kit.close();
          if (!wasHit) break;
          assert.ok(nth < 300, 'the failures do not come to an end');
        }
      });
    }

    it('passes every crash point', async () => {
      const passed = new Set<string>();
      const before = setCrashHook((name) => passed.add(name));
      const kit = new LoggerKit();
      await kit.open();
      await new ModelRun(kit, STORM).run();
      await stop(kit);
      await kit.close();
      setCrashHook(before);
      const ours = [...passed].filter((name) => name.startsWith('logger.'));
      assert.deepEqual(ours.sort(), [
        'logger.after-append',
        'logger.after-sync',
        'logger.after-writeback',
        'logger.before-answer',
        'logger.before-append',
        'logger.before-publish',
        'logger.before-sync',
        'logger.before-writeback',
      ]);
    });
  });
});
