import assert from 'node:assert/strict';
import { FINISH_BUDGET } from '../limits.js';
import { ARENA_PAGE, DebugArena } from '../request/arena.js';
import { DOWN, type ReturnStep } from '../request/xio-object.js';
import { VirtualDriver } from '../testing/index.js';
import { Loop, type Batcher } from './loop.js';

describe('Loop', () => {
  let driver: VirtualDriver;
  let loop: Loop;
  const owner = { objects: 0 };
  const make = (objects = 64): void => {
    driver = new VirtualDriver();
    loop = new Loop(driver, new DebugArena(new ArrayBuffer(4 * ARENA_PAGE)), objects);
  };
  beforeEach(() => make());

  const base = (complete: ReturnStep['complete']): ReturnStep => ({
    inflight: 0,
    completer: null,
    wire: null,
    complete,
  });
  function finishOne(step: ReturnStep): void {
    const o = loop.pool.take(owner, 0)!;
    o.addStep(step);
    o.state = DOWN;
    loop.finish(o, 0);
  }

  it('never delivers an answer inside finish()', () => {
    let answered = 0;
    finishOne(base((o) => (answered++, loop.pool.free(o))));
    assert.equal(answered, 0);
    driver.runUntilIdle();
    assert.equal(answered, 1);
  });

  it('delivers at most a budget of answers per tick, and the rest in the next', () => {
    make(FINISH_BUDGET + 100);
    let answered = 0;
    const step = base((o) => (answered++, loop.pool.free(o)));
    for (let i = 0; i < FINISH_BUDGET + 100; i++) finishOne(step);
    loop.tick();
    assert.equal(answered, FINISH_BUDGET);
    assert.equal(loop.finishing, 100);
    driver.runUntilIdle();
    assert.equal(answered, FINISH_BUDGET + 100);
  });

  it('calls endBatch once per tick, consumers before providers', () => {
    const order: string[] = [];
    const batcher = (name: string, rank: number): Batcher => ({
      rank,
      plugged: false,
      endBatch: () => void order.push(name),
    });
    const [bottom, top, middle] = [batcher('bottom', 5), batcher('top', 0), batcher('middle', 2)];
    for (const b of [bottom, middle, top, bottom, top]) loop.plug(b);
    driver.runUntilIdle();
    assert.deepEqual(order, ['top', 'middle', 'bottom']);
  });

  it('gives a brick below its turn in the same tick, and one that plugs itself again in the next', () => {
    const order: string[] = [];
    let ticks = 0;
    const low: Batcher = { rank: 3, plugged: false, endBatch: () => void order.push(`low ${ticks}`) };
    const high: Batcher = {
      rank: 1,
      plugged: false,
      endBatch: () => {
        order.push(`high ${ticks}`);
        loop.plug(low);
        if (ticks < 2) loop.plug(high);
      },
    };
    loop.addSource({ reap: () => ++ticks * 0, submit: () => {} });
    loop.plug(high);
    driver.runUntilIdle();
    assert.deepEqual(order, ['high 1', 'low 1', 'high 2', 'low 2']);
  });

  it('runs one tick in the order: ring, timers, answers, batches, submission', () => {
    const order: string[] = [];
    loop.addSource({ reap: () => (order.push('reap'), 0), submit: () => void order.push('submit') });
    loop.after(0, undefined, () => order.push('timer'));
    finishOne(base((o) => (order.push('answer'), loop.pool.free(o))));
    loop.plug({ rank: 0, plugged: false, endBatch: () => void order.push('batch') });
    loop.tick();
    assert.deepEqual(order, ['reap', 'timer', 'answer', 'batch', 'submit']);
  });

  it('runs a timer of 0 ms that a timer added, although no time passes', () => {
    let ran = 0;
    loop.after(5, undefined, () => loop.after(0, undefined, () => ran++));
    driver.advanceMs(5);
    assert.equal(ran, 1);
  });

  it('counts a delay from now, not from the last tick, when it is asked for outside a tick', () => {
    driver.advanceMs(100);
    let ran = 0;
    loop.after(10, undefined, () => ran++);
    driver.advanceMs(9);
    assert.equal(ran, 0);
    driver.advanceMs(1);
    assert.equal(ran, 1);
  });

  it('sleeps, and stops sleeping when the signal is aborted', async () => {
    await driver.settle(loop.sleep(20));
    const controller = new AbortController();
    const sleeping = loop.sleep(20, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(sleeping, /enough/);
    await assert.rejects(loop.sleep(1, { signal: controller.signal }), /enough/);
  });

  it('waits for quiet: at once when it is quiet, else after the tick that makes it so', async () => {
    await loop.whenQuiet(() => true);
    let busy = true;
    loop.after(10, undefined, () => (busy = false));
    await driver.settle(loop.whenQuiet(() => !busy));
    assert.equal(busy, false);
  });

  it('refuses a tick inside a tick', () => {
    loop.after(0, undefined, () => assert.throws(() => loop.tick(), /tick\(\) inside a tick/));
    driver.runUntilIdle();
  });
});
