import assert from 'node:assert/strict';
import fc from 'fast-check';
import { OP_READ, type XioObject } from '@mars/brick-core';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { Heatmap } from './heatmap.js';
import { StatsBrick } from './stats.js';

describe('StatsBrick', () => {
  const kit = useBrickKit(StatsBrick, { interval: '1s', heatmap: '64K' });
  describeBrickConformance(kit);

  it('counts requests, bytes and errors per operation', async () => {
    await kit.answerOf({ op: 'write', posBytes: 0, data: 'x'.repeat(1000) });
    await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 300 });
    await kit.answerOf({ op: 'flush' });
    kit.disk.failAt = 1;
    await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 300 });
    const { counters } = kit.brick.stats.snapshot();
    assert.deepEqual(
      [counters.writes, counters.reads, counters.flushes, counters.bytes_written, counters.bytes_read, counters.errors],
      [1, 2, 1, 1000, 300, 1],
    );
  });

  it('measures latencies and sizes as distributions', async () => {
    kit.disk.hold = true;
    kit.write({ posBytes: 0, data: 'x'.repeat(4096) });
    await kit.runFor(5);
    kit.loop.tick();
    kit.disk.letGo();
    kit.run();
    const { histograms } = kit.brick.stats.snapshot();
    assert.equal(histograms.write_us!.maxUs, 5000);
    assert.equal(histograms.write_size_bytes!.maxUs, 4096);
  });

  it('recognises sequential streams, also several at a time', async () => {
    for (let i = 0; i < 10; i++) {
      await kit.answerOf({ op: 'read', posBytes: i * 512, lenBytes: 512 });
      await kit.answerOf({ op: 'read', posBytes: 500_000 + i * 4096, lenBytes: 4096 });
      await kit.answerOf({ op: 'write', posBytes: (i * 7919 * 512) % 900_000, data: 'x' });
    }
    const { counters } = kit.brick.stats.snapshot();
    assert.equal(counters.reads_sequential, 18);
    assert.equal(counters.writes_sequential, 0);
  });

  it('publishes rates at each interval, and zeroes when the flow has ended; then it rests', async () => {
    kit.loop.tick();
    for (let i = 0; i < 10; i++) {
      await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
    }
    await kit.runFor(1000);
    const { facts } = kit.brick.stats.snapshot();
    assert.deepEqual([facts.read_iops, facts.read_bytes_per_s, facts.write_iops], [10, 40_960, 0]);
    await kit.runFor(1000);
    assert.equal(kit.brick.stats.fact('read_iops'), 0);
    assert.equal(kit.clock.skipToNextTimer(), false, 'no timer runs while nothing flows');
  });

  it('knows where it is hot', async () => {
    await kit.answerOf({ op: 'write', posBytes: 65_536 * 3 - 100, data: 'x'.repeat(300) });
    await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 50 });
    const { granuleBytes, readBytes, writtenBytes } = kit.brick.heatmap()!;
    assert.equal(granuleBytes, 65_536);
    assert.deepEqual([writtenBytes[2], writtenBytes[3], readBytes[0]], [100, 200, 50]);
    await kit.runFor(1000);
    assert.equal(kit.brick.stats.fact('hottest_byte'), 65_536 * 3);
  });
});

describe('Heatmap', () => {
  it('counts every byte exactly once, in a bounded number of pieces', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.array(fc.tuple(fc.nat(1.2e6), fc.integer({ min: 1, max: 200_000 })), { maxLength: 20 }),
        (sizeBytes, requests) => {
          const heat = new Heatmap(sizeBytes, 512, 100);
          for (const [pos, len] of requests) heat.add({ op: OP_READ, pos } as XioObject, len);
          const { readBytes } = heat.report();
          assert.ok(readBytes.length <= 100);
          const total = requests.reduce((sum, [, len]) => sum + len, 0);
          assert.equal(
            readBytes.reduce((a, b) => a + b, 0),
            total,
          );
        },
      ),
    );
  });
});
