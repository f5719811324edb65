import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PRIO_LOW, type XioObject } from '@mars/brick-core';
import {
  BrickKit,
  createTestHost,
  describeBrickConformance,
  useBrickKit,
  type Probe,
  type TestHost,
} from '@mars/brick-core/testing';
import { LoadBrick } from '../load/load.js';
import { TokenBucket } from './limiter.js';
import { ThrottleBrick, registerCheckServices } from './throttle.js';

/** Closed loops of 8 requests through throttles onto one disk each; counts after so many seconds. */
async function ratesOf(
  throttles: Record<string, unknown>[],
  load: Record<string, unknown>,
  seconds: number,
): Promise<[TestHost, number[]]> {
  const host = createTestHost({ bricks: [ThrottleBrick, LoadBrick], services: registerCheckServices });
  const { graph, clock } = host;
  for (const [i, params] of throttles.entries()) {
    graph.add(`disk${i}`, 'test-disk');
    graph.add(`throttle${i}`, 'throttle', params);
    graph.add(`load${i}`, 'load', { depth: 8, sizes: [4096], mix: '1r', ...load });
    graph.connect({ consumer: `throttle${i}`, input: 'next', nr: 0 }, `disk${i}`);
    graph.connect({ consumer: `load${i}`, input: 'next', nr: 0 }, `throttle${i}`);
    for (const name of [`disk${i}`, `throttle${i}`, `load${i}`]) await clock.settle(graph.press(name));
  }
  clock.advanceMs(seconds * 1000);
  return [host, throttles.map((_, i) => requestsOf(host, i))];
}

function requestsOf(host: TestHost, i: number): number {
  const { reads, writes } = host.graph.get(`load${i}`).stats.snapshot().counters;
  return reads! + writes!;
}

async function off(host: TestHost): Promise<void> {
  for (const brick of host.graph.providersFirst().reverse()) await host.clock.settle(host.graph.release(brick.name));
  assert.deepEqual(host.arena.leaks(), []);
}

function near(value: number, wanted: number, tolerance: number): void {
  assert.ok(Math.abs(value - wanted) <= tolerance, `${value} where ${wanted} ± ${tolerance} is expected`);
}

describe('ThrottleBrick', () => {
  describe('with limits that are rarely reached', () => {
    const kit = useBrickKit(ThrottleBrick, { bytesPerSec: '100M', opsPerSec: 100_000, burst: '10ms' });
    describeBrickConformance(kit);
  });

  describe('without limits', () => {
    const kit = useBrickKit(ThrottleBrick);

    it('lets everything pass at once', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' });
      assert.equal(kit.brick.stats.fact('throttled'), 0);
    });

    it('refuses a group where nobody has registered groups', async () => {
      const lonely = new BrickKit(ThrottleBrick, { group: 'a' });
      await assert.rejects(lonely.open(), /groups are not available/);
    });
  });

  it('keeps the rate of operations, after one burst', async () => {
    const [host, [count]] = await ratesOf([{ opsPerSec: 100, burst: '1s' }], {}, 20);
    near(count!, 100 * 20 + 100, 10);
    await off(host);
  });

  it('keeps the rate of bytes, also when requests are larger than the bucket', async () => {
    const [host, [count]] = await ratesOf([{ bytesPerSec: '1M', burst: '1ms' }], { sizes: ['256K'] }, 20);
    near(count!, 4 * 20, 2);
    await off(host);
  });

  it('limits reads and writes on their own, and neither waits for the other', async () => {
    const [host] = await ratesOf([{ writeOpsPerSec: 10, readOpsPerSec: 1000, burst: 0 }], { mix: '1w' }, 10);
    near(requestsOf(host, 0), 100, 3);
    await off(host);
    const kit = new BrickKit(ThrottleBrick, { writeOpsPerSec: 1, burst: 0 });
    await kit.open();
    const order: string[] = [];
    for (const name of ['w1', 'w2']) kit.write({ posBytes: 0, data: 'x' }, () => order.push(name));
    kit.read({ posBytes: 0, lenBytes: 1 }, () => order.push('r'));
    await kit.runFor(5000);
    assert.deepEqual(order, ['w1', 'r', 'w2']);
    await kit.close();
  });

  it('keeps the order within a direction, whatever the limits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 2, maxLength: 30 }),
        fc.integer({ min: 1, max: 500 }),
        async (sizes, ops) => {
          const kit = new BrickKit(ThrottleBrick, { bytesPerSec: '64K', opsPerSec: ops, burst: '100ms' });
          await kit.open();
          for (const [i, size] of sizes.entries()) {
            kit.write({ posBytes: i * 20_000, data: new Uint8Array(size) });
            if (i % 3 === 0) kit.flush();
          }
          await kit.runFor(60_000);
          const positions = kit.disk.seen.filter((r) => r.op === 'write').map((r) => r.posBytes);
          assert.deepEqual(
            positions,
            sizes.map((_, i) => i * 20_000),
          );
          const firstFlush = kit.disk.seen.findIndex((r) => r.op === 'flush');
          assert.equal(firstFlush, 1, 'a flush stays where it was sent');
          await kit.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('takes new limits while requests wait', async () => {
    const [host, [slow]] = await ratesOf([{ opsPerSec: 1, burst: 0 }], {}, 10);
    near(slow!, 10, 2);
    host.graph.setParam('throttle0', 'opsPerSec', 1000);
    host.clock.advanceMs(10_000);
    near(requestsOf(host, 0) - slow!, 10_000, 1000);
    host.graph.setParam('throttle0', 'opsPerSec', 10);
    const fast = requestsOf(host, 0);
    host.clock.advanceMs(10_000);
    near(requestsOf(host, 0) - fast, 100, 3);
    await off(host);
  });

  it('lets a group share one limit, fairly', async () => {
    const params = { opsPerSec: 100, burst: 0, group: 'all' };
    const [host, counts] = await ratesOf([params, params, { ...params, group: 'other' }], {}, 20);
    near(counts[0]! + counts[1]!, 2000, 10);
    near(counts[0]!, counts[1]!, 5);
    near(counts[2]!, 2000, 10);
    await off(host);
  });

  it('applies to foreground or background only, if told so', async () => {
    for (const [applyTo, isForegroundLimited] of [
      ['foreground', true],
      ['background', false],
    ] as const) {
      const kit = new BrickKit(ThrottleBrick, { opsPerSec: 1, burst: 0, applyTo });
      await kit.open();
      let answered = 0;
      for (let i = 0; i < 5; i++) kit.read({ posBytes: 0, lenBytes: 1 }, () => answered++);
      assert.equal(answered < 5, isForegroundLimited);
      // The probe has no priorities, so the question is put directly.
      const isConcerned = (kit.brick as unknown as { isConcerned(o: XioObject): boolean }).isConcerned.bind(kit.brick);
      assert.equal(isConcerned({ prio: PRIO_LOW } as XioObject), !isForegroundLimited);
      await kit.runFor(10_000);
      assert.equal(answered, 5);
      await kit.close();
    }
  });

  it('passes everything that waits when it is switched off', async () => {
    const kit = new BrickKit(ThrottleBrick, { opsPerSec: 0.001, burst: 0 });
    await kit.open();
    let answered = 0;
    for (let i = 0; i < 5; i++) kit.read({ posBytes: 0, lenBytes: 1 }, () => answered++);
    assert.equal(answered, 1);
    (kit.graph.get('probe') as Probe).power.set('off');
    (kit.graph.get('probe') as Probe).power.button = false;
    await kit.settle(kit.graph.release('brick'));
    assert.equal(answered, 5);
    await kit.close();
  });
});

describe('TokenBucket', () => {
  it('never gives more than burst + rate * time, plus one request', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.nat(2000),
        fc.array(fc.tuple(fc.nat(1_000_000), fc.integer({ min: 1, max: 500 })), { maxLength: 50 }),
        (perSecond, burstMs, requests) => {
          const now = new Float64Array(1);
          const bucket = new TokenBucket(now);
          bucket.configure(perSecond, burstMs);
          let given = 0;
          let last = 0;
          for (const [pauseUs, amount] of requests) {
            now[0]! += pauseUs;
            bucket.refill();
            if (!bucket.isOpen) continue;
            bucket.take(amount);
            given += amount;
            last = Math.max(last, amount);
          }
          const bound = (perSecond * Math.max(2, burstMs)) / 1000 + (perSecond * now[0]!) / 1e6 + last;
          assert.ok(given <= bound + 1e-3, `${given} given, ${bound} allowed`);
        },
      ),
    );
  });

  it('is open after the time that it asks to wait', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 1e6 }), (perSecond, amount) => {
        const now = new Float64Array([1e6]);
        const bucket = new TokenBucket(now);
        bucket.configure(perSecond, 0);
        bucket.refill();
        bucket.take(amount);
        const wait = new Float64Array(1);
        bucket.waitMs(wait);
        now[0]! += wait[0]! * 1000;
        bucket.refill();
        assert.ok(bucket.isOpen);
      }),
    );
  });
});
