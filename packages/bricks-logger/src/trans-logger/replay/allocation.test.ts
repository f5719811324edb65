import assert from 'node:assert/strict';
import { Arena, BRICKS, Graph, Loop, composeServices, container, createRandom, registerBricks } from '@mars/brick-core';
import { Sink, VirtualDriver } from '@mars/brick-core/testing';
import { buildLog, lcgBytes, type RecordPlan } from '../../log-format/support.test.kit.js';
import { TestLog } from './replay.test.kit.js';
import { ReplayBrick } from './replay-brick.js';

const RECORDS = 20_000;
/** What a run costs as a whole (a decoder, its views, a few timers) vanishes in the mean. */
const CLEAN_BYTES = 4;
const ROUNDS_MAX = 12;

describe('The hot path of replay', () => {
  before(function () {
    if (!globalThis.gc) this.skip(); // needs node --expose-gc, which .mocharc.cjs sets
  });

  it('allocates nothing per record', async () => {
    const payload = lcgBytes(512);
    const far = 2 ** 19; // Neighbours are never merged, so every record is a write.
    const plans: RecordPlan[] = Array.from({ length: RECORDS }, (_, i) => ({
      pos: (((i * 7919) % 1024) * 512) % far,
      payload,
    }));
    const log = buildLog(plans).bytes;
    // The debug arena of the test kit allocates whenever a block is taken.
    const clock = new VirtualDriver();
    const loop = new Loop(clock, new Arena(new ArrayBuffer(32 * 2 ** 20)), 1200);
    const host = composeServices(container.createChildContainer(), { loop, random: createRandom(1) });
    registerBricks(host, [Sink, TestLog, ReplayBrick], 'test');
    const graph = new Graph({ name: 'test', loop, host, registry: host.resolve(BRICKS) });
    graph.add('disk', 'test-sink');
    graph.add('log', 'test-log');
    graph.add('replay', 'log-replay');
    graph.connect({ consumer: 'replay', input: 'data', nr: 0 }, 'disk');
    graph.connect({ consumer: 'replay', input: 'log', nr: 0 }, 'log');
    (graph.get('log') as TestLog).content = log.slice();
    for (const name of ['disk', 'log']) await clock.settle(graph.press(name));
    const brick = graph.get('replay') as ReplayBrick;
    let best = Infinity;
    for (let round = 0; round < ROUNDS_MAX && best > CLEAN_BYTES; round++) {
      await clock.settle(graph.press('replay'));
      globalThis.gc!();
      const before = process.memoryUsage().heapUsed;
      while (brick.replayer.state !== 'idle') clock.advanceMs(50);
      best = Math.min(best, (process.memoryUsage().heapUsed - before) / RECORDS);
      assert.equal(brick.replayer.counts.records, RECORDS);
      await clock.settle(graph.release('replay'));
    }
    assert.ok(best <= CLEAN_BYTES, `${best.toFixed(1)} bytes per record`);
    for (const name of ['replay', 'log', 'disk']) {
      if (name !== 'replay') await clock.settle(graph.release(name));
      await clock.settle(graph.destroy(name));
    }
  });
});
