import assert from 'node:assert/strict';
import { OP_READ, OP_WRITE, createRandom } from '@mars/brick-core';
import { WINDOW_BYTES, Workload, type WorkloadOptions } from './workload.js';

const TERA = 2 ** 40;

function workload(options: Partial<WorkloadOptions>): Workload {
  const defaults: WorkloadOptions = {
    ops: [
      { value: OP_READ, weight: 1 },
      { value: OP_WRITE, weight: 1 },
    ],
    sizes: [
      { value: 4096, weight: 1 },
      { value: 65536, weight: 1 },
    ],
    startBytes: 4096,
    spanBytes: 2 ** 20,
    alignBytes: 4096,
    isSequential: false,
    fuaShare: 0,
    windows: 0,
  };
  return new Workload({ ...defaults, ...options }, createRandom(1));
}

describe('Workload', () => {
  for (const isSequential of [false, true]) {
    it(`stays inside its span and on its alignment, ${isSequential ? 'sequential' : 'random'}`, () => {
      const work = workload({ isSequential });
      for (let i = 0; i < 5000; i++) {
        work.draw();
        assert.ok(work.pos >= 4096 && work.pos + work.len <= 4096 + 2 ** 20);
        assert.equal(work.pos % 4096, 0);
      }
    });

    it(`touches a huge span only in its windows, from start to end, ${isSequential ? 'sequential' : 'random'}`, () => {
      const work = workload({ isSequential, windows: 10, spanBytes: 64 * TERA });
      const touched = new Set<number>();
      for (let i = 0; i < 5000; i++) {
        work.draw();
        const inSpan = work.pos - 4096;
        touched.add(Math.floor(inSpan / WINDOW_BYTES));
        assert.equal(Math.floor(inSpan / WINDOW_BYTES), Math.floor((inSpan + work.len - 1) / WINDOW_BYTES));
      }
      assert.equal(touched.size, 10);
      assert.equal(Math.min(...touched), 0);
      assert.ok(Math.max(...touched) * WINDOW_BYTES > 57 * TERA);
    });
  }

  it('reaches every part of a span with more positions than one draw can tell apart', () => {
    const work = workload({ spanBytes: 64 * TERA, alignBytes: 512, sizes: [{ value: 512, weight: 1 }] });
    let odd = 0;
    for (let i = 0; i < 1000; i++) {
      work.draw();
      assert.ok(work.pos + work.len <= 4096 + 64 * TERA);
      if ((work.pos / 512) % 2 === 1) odd++;
    }
    assert.ok(odd > 400 && odd < 600, `${odd} of 1000 positions are odd`);
  });

  it('draws the same sequence for the same seed', () => {
    const [a, b] = [workload({ fuaShare: 0.5 }), workload({ fuaShare: 0.5 })];
    for (let i = 0; i < 1000; i++) {
      a.draw();
      b.draw();
      assert.deepEqual([a.op, a.flags, a.pos, a.len], [b.op, b.flags, b.pos, b.len]);
    }
  });
});
