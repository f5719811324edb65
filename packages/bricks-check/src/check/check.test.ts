import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  Brick,
  CAP_TRIM,
  EIO,
  ENOTRECOVERABLE,
  EOPNOTSUPP,
  FilterBrick,
  OP_WRITE,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { createTestHost, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { LoadBrick } from '../load/load.js';
import { FaultyDisk, type DiskFault } from '../testing/faulty-disk.js';
import { CheckBrick } from './check.js';

/** Changes one byte of every write on its way down, as a consumer does that re-uses its buffer too early. */
@Brick({ type: 'scribbler', inputs: { next: {} } })
class Scribbler extends FilterBrick {
  override io(o: XioObject): void {
    if (o.op === OP_WRITE) this.ctx.mem.u8[o.buf + 7]! ^= 0xff;
    this.next.io(o);
  }
}

/** A verified load through a check onto a disk with a fault; the load goes on whatever it finds. */
async function underLoad(disk: Record<string, unknown>, load: Record<string, unknown> = {}) {
  const host = createTestHost({ bricks: [LoadBrick, FaultyDisk, CheckBrick], poolObjects: 64 });
  const { graph, clock } = host;
  graph.add('disk', 'faulty-disk', disk);
  graph.add('check', 'check', { verifyReads: true });
  graph.add('load', 'load', {
    depth: 16,
    mix: '45r/45w/4f/3t/3z',
    sizes: [512, 1024, 4096],
    span: '32K',
    count: 1500,
    verify: true,
    onFailure: 'continue',
    expect: ['EIO'],
    ...load,
  });
  graph.connect({ consumer: 'check', input: 'next', nr: 0 }, 'disk');
  graph.connect({ consumer: 'load', input: 'next', nr: 0 }, 'check');
  for (const name of ['disk', 'check', 'load']) await clock.settle(graph.press(name));
  for (let ms = 0; graph.get('load').stats.fact('finished') !== true; ms++) {
    assert.ok(ms < 3_600, 'the load never ends');
    clock.advanceMs(1000);
  }
  for (const name of ['load', 'check', 'disk']) await clock.settle(graph.release(name));
  assert.deepEqual(host.arena.leaks(), []);
  return { ...graph.get('check').stats.snapshot(), disk: graph.get('disk') as FaultyDisk };
}

describe('CheckBrick', () => {
  const kit = useBrickKit(CheckBrick, { verifyReads: true, lost: '5s' });
  describeBrickConformance(kit);

  describe('verifyReads', () => {
    it('finds nothing wrong with a correct disk, whatever overlaps and fails', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(1e6), fc.boolean(), async (seed, fails) => {
          const { facts, counters } = await underLoad({ seed, errors: fails ? 0.1 : 0 }, { seed });
          assert.equal(facts.failed, false, String(facts.failure));
          assert.ok(counters.sectors_verified! > 1000);
        }),
        { numRuns: 40 },
      );
    });

    const faults: DiskFault[] = [
      'lost-write',
      'stale-read',
      'misplaced-write',
      'misplaced-read',
      'torn-sector',
      'swapped-reads',
      'unfilled-read',
      'bit-flip',
      'short-write',
      'flapping',
    ];
    for (const fault of faults) {
      it(`catches a disk with ${fault}`, async () => {
        await fc.assert(
          fc.asyncProperty(fc.nat(1e6), async (seed) => {
            const { facts, counters, disk } = await underLoad({ seed, fault, chance: 0.1 }, { seed, mix: '1r/1w' });
            assert.ok(disk.committed > 0, 'the fault never happened');
            assert.equal(facts.failed, true);
            assert.ok(counters.stale! + counters.mismatch! > 0);
          }),
          { numRuns: 10, seed: 20 },
        );
      });
    }

    it('judges whole sectors only, and does not know sectors that were written in part', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'A'.repeat(1024) });
      await kit.answerOf({ op: 'write', posBytes: 100, data: 'B' });
      kit.disk.store[50] = 1;
      kit.disk.store[600] = 1;
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 513, lenBytes: 511 })).err, 0);
      await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
      assert.equal(kit.brick.stats.fact('faults'), 0);
      await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 1024 });
      assert.equal(kit.brick.stats.fact('mismatch'), 1);
      assert.match(
        String(kit.brick.stats.fact('failure')),
        /^mismatch: read of 1024 bytes at 0 returned in sector 1 \(byte 512\)/,
      );
    });

    it('knows that ZERO leaves zeroes, and TRIM anything', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'A'.repeat(2048) });
      await kit.answerOf({ op: 'zero', posBytes: 0, lenBytes: 512 });
      await kit.answerOf({ op: 'trim', posBytes: 512, lenBytes: 512 });
      kit.disk.store.fill(9, 512, 1024);
      await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 2048 });
      assert.equal(kit.brick.stats.fact('faults'), 0);
      kit.disk.store[3] = 9;
      await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
      assert.equal(kit.brick.stats.fact('mismatch'), 1);
    });

    it('forgets what it knows while it is off, because others may write then', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'A'.repeat(512) });
      for (const name of ['probe', 'brick']) await kit.settle(kit.graph.release(name));
      kit.disk.store.fill(0);
      for (const name of ['brick', 'probe']) await kit.settle(kit.graph.press(name));
      await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
      assert.equal(kit.brick.stats.fact('faults'), 0);
    });
  });

  describe('lost requests', () => {
    it('are reported once, with what they are, when they are too old', async () => {
      kit.disk.hold = true;
      kit.read({ posBytes: 4096, lenBytes: 512 });
      await kit.runFor(4_900);
      assert.equal(kit.brick.stats.fact('lost'), 0);
      // Between ticks the loop's time stands still.
      kit.loop.tick();
      kit.write({ posBytes: 0, data: 'later' });
      await kit.runFor(200);
      assert.equal(kit.brick.stats.fact('lost'), 1);
      assert.match(
        String(kit.brick.stats.fact('failure')),
        /^lost: read of 512 bytes at 4096 has not been answered for 5000 ms/,
      );
      await kit.runFor(60_000);
      assert.equal(kit.brick.stats.fact('lost'), 2);
      kit.disk.letGo();
      kit.run();
      assert.equal(kit.brick.stats.fact('late'), 2);
    });

    it('leave no timer behind once everything is answered', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'A' });
      await kit.runFor(6_000);
      assert.equal(kit.clock.skipToNextTimer(), false);
      assert.equal(kit.brick.stats.fact('faults'), 0);
    });
  });

  it('finds out when the data of a write is changed on its way', async () => {
    const host = createTestHost({ bricks: [CheckBrick, LoadBrick, Scribbler] });
    const { graph, clock } = host;
    graph.add('disk', 'test-disk');
    graph.add('scribbler', 'scribbler');
    graph.add('check', 'check', { verifyReads: true });
    graph.add('load', 'load', { mix: '1r/1w', span: '16K', depth: 4, count: 200 });
    for (const [consumer, provider] of [
      ['scribbler', 'disk'],
      ['check', 'scribbler'],
      ['load', 'check'],
    ] as const) {
      graph.connect({ consumer, input: 'next', nr: 0 }, provider);
    }
    for (const name of ['disk', 'scribbler', 'check', 'load']) await clock.settle(graph.press(name));
    clock.runUntilIdle();
    const { counters } = graph.get('check').stats.snapshot();
    assert.equal(counters.modified, graph.get('load').stats.fact('writes'));
    assert.equal(counters.mismatch, 0, 'what such a write leaves behind is not known, so its reads are not judged');
  });

  it('counts writes that a flush overtakes; with "flushOrder: strict" they are a fault', () => {
    for (const faults of [0, 1]) {
      kit.graph.setParam('brick', 'flushOrder', faults ? 'strict' : 'free');
      kit.disk.hold = true;
      kit.write({ posBytes: 0, data: 'A' });
      kit.flush();
      kit.disk.letGo('backward');
      kit.run();
      assert.equal(kit.brick.stats.fact('writes_overtaken_by_flush'), faults + 1);
      assert.equal(kit.brick.stats.fact('flush_order'), faults);
    }
  });

  it('reports an operation that nobody offered', async () => {
    const wire = kit.graph.wire({ consumer: 'brick', input: 'next', nr: 0 });
    kit.disk.hideCaps = CAP_TRIM;
    wire.refresh();
    // The wire above is not refreshed on purpose, so the mistake passes it.
    (kit.brick as unknown as { inputChanged(input: XioInput): void }).inputChanged(wire);
    assert.equal((await kit.answerOf({ op: 'trim', posBytes: 0, lenBytes: 512 })).err, -EOPNOTSUPP);
    assert.equal(kit.brick.stats.fact('unadvertised'), 1);
  });

  it('reports an answer that nobody waits for, before the core stops everything', () => {
    const o = kit.loop.pool.take(kit.brick, 512)!;
    assert.throws(() => kit.brick.complete(o), /done\(\)/);
    assert.equal(kit.brick.stats.fact('doubled'), 1);
    kit.loop.pool.free(o);
  });

  describe('onError', () => {
    const corrupt = async (): Promise<number> => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'A'.repeat(512) });
      kit.disk.store[0] = 0;
      return (await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err;
    };

    it('report: answers as if nothing had happened', async () => {
      assert.equal(await corrupt(), 0);
      assert.equal(kit.brick.stats.fact('failed'), true);
    });
    it('fail: answers the faulty request with EIO, and goes on', async () => {
      kit.graph.setParam('brick', 'onError', 'fail');
      assert.equal(await corrupt(), -EIO);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'B' })).err, 0);
    });
    it('stop: refuses everything from then on, until it is switched on again', async () => {
      kit.graph.setParam('brick', 'onError', 'stop');
      assert.equal(await corrupt(), -EIO);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'B' })).err, -ENOTRECOVERABLE);
      for (const name of ['probe', 'brick']) await kit.settle(kit.graph.release(name));
      for (const name of ['brick', 'probe']) await kit.settle(kit.graph.press(name));
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'B' })).err, 0);
    });
  });
});
