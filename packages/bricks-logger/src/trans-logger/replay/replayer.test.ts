import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EIO, createRandom } from '@mars/brick-core';
import { concat, lcgBytes, patched, wordText, type RecordPlan } from '../../log-format/support.test.kit.js';
import { DISK_BYTES, hotPlans, logOf, makeWorld, modelAt, replayed } from './replay.test.kit.js';

const same = (a: Uint8Array, b: Uint8Array, text: string): void => assert.ok(Buffer.compare(a, b) === 0, text);

describe('Replayer', function () {
  this.timeout(60_000);
  const plans = hotPlans(createRandom(1), 200);
  const log = logOf(plans);
  const end = log.bytes.length;

  it('applies every record, makes it durable, publishes the end of the log, and finishes with code 1', async () => {
    await replayed({ log: log.bytes }, (world) => {
      same(world.disk.durable, modelAt(plans, log, end), 'the durable image of the disk differs');
      assert.deepEqual([world.replayCode, world.progress.at(-1)], ['1', `${end},${end}`]);
      assert.deepEqual([world.brick.replayer.counts.records, world.brick.replayer.state], [200, 'idle']);
    });
  });

  it('finishes an empty range with code 1 and touches nothing', async () => {
    await replayed({ log: new Uint8Array(0) }, (world) => {
      assert.deepEqual([world.replayCode, world.disk.seen.length], ['1', 0]);
    });
    await replayed({ log: log.bytes, params: { start: end } }, (world) => {
      assert.deepEqual([world.replayCode, world.disk.seen.length], ['1', 0]);
    });
  });

  it('ends with the same disk as one record after the other, whatever overtakes what', async () => {
    const arbitrary = fc.record({
      seed: fc.nat(),
      count: fc.integer({ min: 1, max: 300 }),
      parallel: fc.integer({ min: 1, max: 64 }),
    });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ seed, count, parallel }) => {
        const own = hotPlans(createRandom(seed), count, 8192 + 512 * (seed % 64));
        const built = logOf(own);
        const world = makeWorld({ log: built.bytes, params: { parallel } });
        world.disk.shuffleAnswers(seed, 20);
        await world.press();
        world.toItsEnd();
        same(world.disk.durable, modelAt(own, built, built.bytes.length), `seed ${seed}`);
        await world.close();
      }),
      { numRuns: 60, seed: 4 },
    );
  });

  it('never has two writes to the same bytes under way, and never more than it may', async () => {
    const world = makeWorld({ log: log.bytes, params: { parallel: 5 } });
    world.disk.hold = true;
    await world.press();
    const covered: { from: number; to: number }[] = [];
    for (let seen = 0; !world.isFinished && seen < 2000;) {
      world.host.clock.advanceMs(10);
      const fresh = world.disk.seen.slice(seen);
      seen = world.disk.seen.length;
      covered.length = 0;
      for (const { op, posBytes: from, lenBytes } of fresh.filter(({ op }) => op === 'write')) {
        const to = from + lenBytes;
        assert.ok(
          covered.every((other) => to <= other.from || from >= other.to),
          `${op} ${from}…${to} overlaps`,
        );
        covered.push({ from, to });
      }
      assert.ok(covered.length <= 5);
      world.disk.letGo('backward');
      world.disk.hold = !world.isFinished;
      if (world.brick.replayer.state === 'ending') world.disk.hold = false;
    }
    same(world.disk.store, modelAt(plans, log, end), 'the disk differs');
    assert.ok(world.brick.replayer.counts.overlapWaits > 0, 'nothing ever overlapped: the test is too tame');
    await world.close();
  });

  it('makes one write of records that follow each other on the device', async () => {
    const row: RecordPlan[] = Array.from({ length: 48 }, (_, i) => ({ pos: 4096 * i, payload: lcgBytes(4096, i + 1) }));
    await replayed({ log: logOf(row).bytes }, (world) => {
      const writes = world.disk.seen.filter(({ op }) => op === 'write');
      assert.deepEqual(
        writes.map(({ lenBytes }) => lenBytes),
        [31 * 4096, 17 * 4096],
      );
    });
  });

  it('skips records of every code but 1, and moves its position past them', async () => {
    const mixed = plans.slice(0, 9).map((plan, i) => ({ ...plan, code: [1, 2, 0, 7][i % 4]! }));
    const built = logOf([...mixed, { ...plans[9]!, code: 2 }]);
    await replayed({ log: built.bytes }, (world) => {
      same(world.disk.durable, modelAt(mixed, built, built.bytes.length), 'the disk differs');
      assert.deepEqual([world.replayCode, world.minPos], ['1', built.bytes.length]);
      assert.equal(world.brick.replayer.counts.skipped, 7);
    });
  });

  it('stops in front of the first bad record, with code and detail, and never looks behind it', async () => {
    const at = log.offsets[120]!;
    const bad: [string, Uint8Array, string][] = [
      ['start magic', patched(log.bytes, at, [0]), '-74,-10013'],
      ['version', patched(log.bytes, at + 8, [2]), '-74,-10003'],
      ['length zero', patched(log.bytes, at + 10, [0, 0]), '-85,-10004'],
      ['payload', patched(log.bytes, at + 60, [1, 2, 3]), '-74,-10101'],
      ['end magic', patched(log.bytes, log.offsets[121]! - 36, [1, 2, 3, 4]), '-56,-10020'],
      ['repeated byte', patched(log.bytes, log.offsets[121]! - 36, new Uint8Array(8).fill(7)), '-74,-10021,0x07'],
      ['a missing record', concat(log.bytes.slice(0, at), log.bytes.slice(log.offsets[121])), '-74,-10010'],
      ['zero tail', concat(log.bytes.slice(0, at), new Uint8Array(9000)), '-74,-10013'],
    ];
    for (const [what, bytes, code] of bad) {
      await replayed({ log: bytes }, (world) => {
        assert.deepEqual([world.replayCode, world.minPos], [code, at], what);
        same(world.disk.durable, modelAt(plans, log, at), `${what}: the disk differs`);
      });
    }
  });

  it('ends with code 2 at a torn tail of any length, and applies what is whole', async () => {
    const last = log.offsets[199]!;
    for (const bytes of [1, 83, 84, 85, 100, end - last - 1]) {
      await replayed({ log: log.bytes.slice(0, last + bytes) }, (world) => {
        assert.deepEqual([world.replayCode, world.minPos], ['2', last], `${bytes} bytes of the last record`);
      });
    }
  });

  it('does not apply a record that would cross the end of the range', async () => {
    const to = log.offsets[50]! + 200;
    await replayed({ log: log.bytes, params: { end: to } }, (world) => {
      assert.deepEqual([world.replayCode, world.progress.at(-1)], ['2', `${log.offsets[50]},${to}`]);
      same(world.disk.durable, modelAt(plans, log, to), 'the disk differs');
    });
    await replayed({ log: log.bytes, params: { end: log.offsets[50] } }, (world) => {
      assert.deepEqual([world.replayCode, world.minPos], ['1', log.offsets[50]]);
    });
  });

  it('refuses to start where no record begins, and repairs nothing', async () => {
    await replayed({ log: log.bytes, params: { start: 4 } }, (world) => {
      assert.deepEqual([world.replayCode, world.minPos, world.disk.seen.length], ['-74,-10013', 4, 0]);
    });
  });

  it('ends with code 2 when the log is shorter than the start', async () => {
    await replayed({ log: log.bytes.slice(0, 5000), params: { start: 9000 } }, (world) => {
      assert.deepEqual([world.replayCode, world.minPos], ['2', 9000]);
    });
  });

  it('refuses a target outside of the device, and stops in front of it', async () => {
    for (const [pos, code] of [
      [DISK_BYTES - 512, '-28'],
      [-512, '-22'],
      [2 ** 50, '-28'],
    ] as const) {
      const wrong = [...plans.slice(0, 5), { pos, payload: lcgBytes(1024) }, ...plans.slice(5, 9)];
      const built = logOf(wrong);
      await replayed({ log: built.bytes }, (world) => {
        assert.deepEqual([world.replayCode, world.minPos], [code, built.offsets[5]], `target ${pos}`);
        same(world.disk.durable, modelAt(wrong, built, built.offsets[5]!), 'the disk differs');
      });
    }
  });

  it('applies compressed, odd-sized and misaligned records, also to a device of large blocks', async () => {
    const odd: RecordPlan[] = [
      { pos: 3, payload: lcgBytes(1001, 3) },
      { pos: 4096, payload: wordText(4096), encoder: { compression: 'lzo' } },
      { pos: 1000, payload: lcgBytes(31, 4) },
      { pos: 8192, payload: wordText(8192), encoder: { compression: 'lz4' } },
      { pos: 4096 + 512, payload: lcgBytes(512, 5) },
      { pos: 5000, payload: wordText(4096), encoder: { compression: 'zlib' } },
    ];
    const built = logOf(odd);
    for (const align of [1, 512, 4096]) {
      await replayed({ log: built.bytes, disk: { align } }, (world) => {
        same(world.disk.durable, modelAt(odd, built, built.bytes.length), `blocks of ${align}`);
      });
    }
  });

  it('accepts records of 2016 until the first checksum, or always, or never', async () => {
    // A record without any checksum: flags, check32 and check16 are zero.
    const bytes = log.bytes.slice();
    const strip = (i: number): void => void bytes.fill(0, log.offsets[i + 1]! - 36 + 8, log.offsets[i + 1]! - 36 + 12);
    for (const i of [0, 1, 5]) {
      strip(i);
      bytes.fill(0, log.offsets[i + 1]! - 36 + 14, log.offsets[i + 1]! - 36 + 16);
      bytes.fill(0, log.offsets[i + 1]! - 16, log.offsets[i + 1]);
    }
    await replayed({ log: bytes }, (world) => {
      assert.deepEqual([world.replayCode, world.minPos], ['-74,-10100', log.offsets[5]]);
      assert.equal(world.brick.replayer.counts.unverified, 2);
    });
    await replayed({ log: bytes, params: { unverified: 'always' } }, (world) => assert.equal(world.replayCode, '1'));
    await replayed({ log: bytes, params: { unverified: 'never' } }, (world) => {
      assert.deepEqual([world.replayCode, world.minPos], ['-74,-10100', 0]);
    });
  });

  it('gives the same disk when it starts at any older record boundary', async () => {
    const random = createRandom(8);
    for (let round = 0; round < 30; round++) {
      const b = random.int(log.offsets.length);
      const a = random.int(b + 1);
      const image = modelAt(plans, log, log.offsets[b]!);
      await replayed({ log: log.bytes, image, params: { start: log.offsets[a] } }, (world) =>
        same(world.disk.durable, modelAt(plans, log, end), `from ${a}, was at ${b}`),
      );
    }
  });

  it('stops with code 1…2 when a write fails: the position stays at the last drained point', async () => {
    for (let nth = 1; nth <= 40; nth += 3) {
      const world = makeWorld({ log: log.bytes, params: { parallel: 3 } });
      world.disk.failAt = nth;
      await world.press();
      world.toItsEnd();
      assert.deepEqual([world.replayCode, world.minPos, world.progress], [String(-EIO), 0, []], `write ${nth}`);
      await world.close();
    }
  });

  it('does not publish what a failed flush may have lost', async () => {
    const world = makeWorld({ log: log.bytes });
    world.disk.hideCaps = 0;
    await world.press();
    const { disk } = world;
    // The only flush of this short run is its last request.
    const writes = await writesOf();
    disk.failAt = writes + 1;
    world.toItsEnd();
    assert.deepEqual([world.replayCode, world.progress], [String(-EIO), []]);
    await world.close();

    async function writesOf(): Promise<number> {
      let count = 0;
      await replayed({ log: log.bytes }, (other) => {
        count = other.disk.seen.filter(({ op }) => op === 'write').length;
      });
      return count;
    }
  });

  it('ends with the errno of a log that cannot be read or made durable', async () => {
    for (const field of ['failReads', 'failFlushes'] as const) {
      const world = makeWorld({ log: log.bytes });
      world.log[field] = -EIO;
      await world.press();
      world.toItsEnd();
      assert.deepEqual([world.replayCode, world.disk.seen.length], [String(-EIO), 0], field);
      await world.close();
    }
  });

  it('makes the log durable before it applies a byte of it', async () => {
    const world = makeWorld({ log: log.bytes });
    let early = -1;
    world.log.onFlush = () => (early = early < 0 ? world.disk.seen.length : early);
    await world.press();
    world.toItsEnd();
    assert.equal(early, 0);
    await world.close();
  });

  it('publishes nothing that was not flushed, also while it is stopped at any moment', async () => {
    const random = createRandom(3);
    for (let round = 0; round < 25; round++) {
      const world = makeWorld({ log: log.bytes, params: { parallel: 1 + random.int(20) } });
      world.disk.shuffleAnswers(round, 4000);
      await world.press();
      for (let i = random.int(25); i > 0; i--) {
        world.host.clock.advanceMs(random.int(1500));
        // What is durable must hold everything up to the published position: replaying the rest gives the whole.
        await replayed({ log: log.bytes, image: world.disk.durable, params: { start: world.minPos } }, (after) =>
          same(after.disk.durable, modelAt(plans, log, end), `round ${round}: published ${world.minPos}`),
        );
      }
      await world.host.settle(world.host.graph.release('replay'));
      assert.ok(log.offsets.includes(world.minPos), 'a published position is no record boundary');
      assert.equal(world.minPos, world.brick.replayer.current, 'after a stop everything applied is published');
      same(world.disk.durable, modelAt(plans, log, world.minPos), `round ${round}: stopped`);
      await world.close();
    }
  });

  it('reports a long run every few seconds, and never backwards', async () => {
    const world = makeWorld({ log: log.bytes, params: { parallel: 1 } });
    world.disk.shuffleAnswers(1, 400);
    await world.press();
    world.toItsEnd();
    const positions = world.progress.map((text) => Number(text.split(',')[0]));
    assert.ok(positions.length >= 5, `${positions.length} reports`);
    assert.deepEqual(
      positions,
      [...new Set(positions)].sort((a, b) => a - b),
    );
    await world.close();
  });

  it('needs few objects, and gets along with a pool that is nearly empty', async () => {
    await replayed({ log: log.bytes, poolObjects: 4 }, (world) => {
      same(world.disk.durable, modelAt(plans, log, end), 'the disk differs');
    });
  });
});

describe('Replayer, following a log that grows', () => {
  const plans = hotPlans(createRandom(2), 300);
  const log = logOf(plans);
  const end = log.bytes.length;

  it('applies what comes, publishes soon after, and waits without ending', async () => {
    const world = makeWorld({ params: { continuous: true } });
    await world.press();
    const random = createRandom(5);
    for (let at = 0; at < end;) {
      const bytes = Math.min(end - at, 1 + random.int(9000));
      world.log.append(log.bytes.slice(at, (at += bytes)));
      world.host.clock.advanceMs(2500);
      const whole = log.offsets.filter((offset) => offset <= at).at(-1)!;
      assert.equal(world.minPos, whole, `${at} bytes are there`);
      same(world.disk.durable, modelAt(plans, log, whole), `${at} bytes are there`);
      assert.deepEqual([world.brick.replayer.state, world.replayCode], ['waiting', '0']);
      assert.ok(world.log.durableBytes >= whole, 'bytes of the log were applied before they were durable');
    }
    await world.host.settle(world.host.graph.release('replay'));
    assert.equal(world.replayCode, '2');
    await world.close();
  });

  it('stops at a defect although more comes', async () => {
    const world = makeWorld({ params: { continuous: true } });
    await world.press();
    world.log.append(patched(log.bytes.slice(0, log.offsets[100]), log.offsets[80]! + 50, [9, 9, 9]));
    world.toItsEnd();
    assert.deepEqual([world.replayCode, world.minPos], ['-74,-10101', log.offsets[80]]);
    await world.close();
  });

  it('goes on when the end of its range is raised', async () => {
    const world = makeWorld({ log: log.bytes, params: { continuous: true, end: log.offsets[20] } });
    await world.press();
    world.host.clock.advanceMs(5000);
    assert.equal(world.minPos, log.offsets[20]);
    for (const to of [log.offsets[60]!, log.offsets[60]! + 10, log.offsets[90]!]) {
      world.host.graph.setParam('replay', 'end', to);
      world.host.clock.advanceMs(5000);
      assert.equal(world.minPos, log.offsets.filter((offset) => offset <= to).at(-1));
    }
    world.host.graph.setParam('replay', 'end', 0);
    world.host.clock.advanceMs(5000);
    assert.equal(world.minPos, end);
    await world.close();
  });

  it('reads a large log through its small window', async () => {
    const random = createRandom(9);
    const many: RecordPlan[] = Array.from({ length: 700 }, (_, i) => ({
      pos: 512 * random.int(256),
      payload: lcgBytes(512 * (1 + random.int(63)), i + 1),
    }));
    const built = logOf(many);
    assert.ok(built.bytes.length > 8 * 1024 * 1024);
    const world = makeWorld({ log: built.bytes });
    world.disk.shuffleAnswers(3, 5);
    await world.press();
    world.toItsEnd();
    same(world.disk.durable, modelAt(many, built, built.bytes.length), 'the disk differs');
    await world.close();
  });
});
