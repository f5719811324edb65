import assert from 'node:assert/strict';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { DelayBrick } from './delay.js';

describe('DelayBrick', () => {
  describe('with a latency for writes', () => {
    const kit = useBrickKit(DelayBrick, { write: '10ms' });

    describeBrickConformance(kit);

    it('answers a write after its latency and not before', () => {
      let isAnswered = false;
      kit.write({ posBytes: 0, data: 'A' }, () => (isAnswered = true));
      kit.clock.advanceMs(9.999);
      assert.equal(isAnswered, false);
      kit.clock.advanceMs(0.001);
      assert.equal(isAnswered, true);
    });

    it('lets a read and a flush overtake a held write', () => {
      const order: string[] = [];
      kit.write({ posBytes: 0, data: 'A' }, () => order.push('write'));
      kit.read({ posBytes: 4096, lenBytes: 512 }, () => order.push('read'));
      kit.flush(() => order.push('flush'));
      kit.clock.advanceMs(10);
      assert.deepEqual(order, ['read', 'flush', 'write']);
    });

    it('keeps the order of writes when the latency is taken away while some are held', () => {
      const order: string[] = [];
      kit.write({ posBytes: 0, data: 'A' }, () => order.push('first'));
      kit.graph.setParam('brick', 'write', '0ms');
      kit.write({ posBytes: 0, data: 'B' }, () => order.push('second'));
      assert.equal(order.length, 0);
      kit.clock.advanceMs(10);
      assert.deepEqual(order, ['first', 'second']);
      kit.write({ posBytes: 0, data: 'C' }, () => order.push('third'));
      assert.deepEqual(order, ['first', 'second', 'third']);
    });

    it('delays trims and zeroes by their own latency', () => {
      const order: string[] = [];
      kit.graph.setParam('brick', 'trim', '2ms');
      kit.zero({ posBytes: 0, lenBytes: 512 }, () => order.push('zero'));
      kit.trim({ posBytes: 0, lenBytes: 512 }, () => order.push('trim'));
      kit.read({ posBytes: 0, lenBytes: 512 }, () => order.push('read'));
      kit.clock.advanceMs(1.9);
      assert.deepEqual(order, ['read']);
      kit.clock.advanceMs(0.2);
      assert.deepEqual(order, ['read', 'zero', 'trim']);
    });
  });

  describe('with jitter', () => {
    const kit = useBrickKit(DelayBrick, { read: '2ms', write: '5ms', flush: '1ms', trim: '1ms', jitter: '7ms' });

    // With jitter every request has a tick of its own, and the clock of the kit allocates per tick; measured above without.
    describeBrickConformance(kit, { allocationFree: false });

    it('starts writes in the order of the calls, each held between latency and latency plus jitter', () => {
      const everyMs = fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { minLength: 1, maxLength: 60 });
      fc.assert(
        fc.property(everyMs, (gapsMs) => {
          const first = kit.disk.seen.length;
          const sentUs: number[] = [];
          const heldMs: number[] = [];
          for (const gapMs of gapsMs) {
            kit.clock.advanceMs(gapMs);
            const nr = sentUs.push(now()) - 1;
            kit.write({ posBytes: nr, data: 'x' }, () => (heldMs[nr] = (now() - sentUs[nr]!) / 1000));
          }
          kit.clock.advanceMs(100);
          assert.deepEqual(
            kit.disk.seen.slice(first).map((seen) => seen.posBytes),
            gapsMs.map((_, nr) => nr),
          );
          for (const ms of heldMs) assert.ok(ms > 4.999 && ms < 12.001, `held for ${ms} ms`);
        }),
        { numRuns: 50 },
      );
    });

    function now(): number {
      const sample = new Float64Array(1);
      kit.clock.sample(sample);
      return sample[0]!;
    }
  });

  describe('with the same seed', () => {
    const params = { write: '1ms', jitter: '9ms', seed: 5 };
    const kit = useBrickKit(DelayBrick, params);
    const runs: number[][] = [];

    for (const run of ['first', 'second']) {
      it(`gives the same latencies (${run} run)`, () => {
        const sample = new Float64Array(1);
        const answered: number[] = [];
        for (let i = 0; i < 20; i++) {
          kit.write({ posBytes: 0, data: 'x' }, () => {
            kit.clock.sample(sample);
            answered.push(sample[0]!);
          });
        }
        kit.clock.advanceMs(20);
        runs.push(answered);
        assert.equal(answered.length, 20);
        assert.deepEqual(runs[0], answered);
      });
    }
  });
});
