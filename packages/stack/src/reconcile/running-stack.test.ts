import assert from 'node:assert/strict';
import { BRICKS, Brick, invariant, type BrickRegistry } from '@mars/brick-core';
import { createTestHost, type TestHost } from '@mars/brick-core/testing';
import type { StackHandle } from '../handle.js';
import { SCAN_INTERVAL_MS } from '../limits.js';
import { loadStack } from '../plan/load.js';
import { TestFragile, TestRam, TrialLogger, playPart, testBricks } from '../testing/bricks.js';
import { describeStackHandle, type StackBench } from '../testing/describe-stack-handle.js';
import { openStack } from './running-stack.js';

/** What crosses a worker boundary is copied; so does this handle, with everything that passes. */
function acrossBoundary(stack: StackHandle): StackHandle {
  const copied = async <T>(promise: Promise<T>): Promise<T> => structuredClone(await promise);
  return {
    name: stack.name,
    status: () => copied(stack.status()),
    statistics: () => copied(stack.statistics()),
    resetStatistics: () => copied(stack.resetStatistics()),
    apply: (plan, secrets) => copied(stack.apply(structuredClone(plan), structuredClone(secrets))),
    setFacts: (facts) => copied(stack.setFacts(structuredClone(facts))),
    override: (brick, power) => copied(stack.override(brick, power)),
    setParam: (brick, param, value) => copied(stack.setParam(brick, param, structuredClone(value))),
    insert: (overlay) => copied(stack.insert(structuredClone(overlay))),
    remove: (filter) => copied(stack.remove(filter)),
    settled: () => copied(stack.settled()),
    close: (options) => copied(stack.close(structuredClone(options))),
    subscribe: (listener) => stack.subscribe((event) => listener(structuredClone(event))),
  };
}

describeStackHandle('in the loop of its owner, with everything copied that passes', (): StackBench => {
  const host = createTestHost({ bricks: [...testBricks, TrialLogger] });
  const registry = host.container.resolve(BRICKS);
  return {
    registry,
    open: async (loaded) => {
      const copy = structuredClone(loaded);
      return acrossBoundary(openStack({ ...copy, loop: host.loop, host: host.container, registry }));
    },
    settle: (promise) => host.clock.settle(promise),
    advance: async (ms) => void host.clock.advanceMs(ms),
    play: async (part) => playPart(part),
    end: async () => assert.deepEqual(host.arena.leaks(), []),
  };
});

const DEMO = `
mars: 1
stack: demo
bricks:
  disk: { type: ram, params: { size: 1M } }
  slow: { type: fragile, in: disk }
  load: { type: load, in: slow }
`;

/** Publishes how many rounds it has seen: a fact that is new in every round. */
@Brick({ type: 'rounds', about: 'counts rounds' })
class CountsRounds extends TestRam {
  static rounds = 0;

  protected override round(): void {
    invariant(CountsRounds.rounds < 1000, 'rounds bring each other about');
    this.ctx.publish('count', ++CountsRounds.rounds);
  }
}

describe('A running stack, left to itself', () => {
  let host: TestHost;
  let registry: BrickRegistry;
  let stack: StackHandle;
  let steps: string[] = [];

  beforeEach(() => {
    host = createTestHost({ bricks: [...testBricks, CountsRounds] });
    registry = host.container.resolve(BRICKS);
    steps = [];
    CountsRounds.rounds = 0;
  });

  afterEach(async () => {
    TestFragile.isBroken = false;
    await host.clock.settle(stack.close());
    assert.deepEqual(host.arena.leaks(), []);
  });

  it('does not spin on a step that fails, but waits longer each time', async () => {
    TestFragile.isBroken = true;
    stack = start(DEMO);
    await host.clock.settle(stack.settled());
    for (let i = 0; i < 600; i++) {
      host.clock.advanceMs(100);
      for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    }
    const attempts = steps.filter((step) => step.startsWith('press slow')).length;
    assert.ok(attempts >= 8 && attempts <= 15, `${attempts} attempts in a minute`);
  });

  it('comes to rest although conditions switch each other on and off without end', async () => {
    stack = start(`
mars: 1
stack: flap
bricks:
  a: { type: ram, on: b.off }
  b: { type: ram, on: a.on }
`);
    let isSettled = false;
    void stack.settled().then(() => (isSettled = true));
    for (let i = 0; i < 10_000 && !isSettled; i++) await Promise.resolve();
    assert.ok(isSettled);
  });

  it('gives the bricks that are on their rounds, and sees in the same one what they found out', async () => {
    stack = start(`
mars: 1
stack: rounds
bricks:
  counter: { type: rounds }
  late: { type: ram, on: counter.count >= 20 }
`);
    await host.clock.settle(stack.settled());
    // A fact that changes in every round must not bring the next one about: the stack has come to rest long before.
    assert.ok(CountsRounds.rounds > 0 && CountsRounds.rounds < 10, `${CountsRounds.rounds} rounds`);
    while (CountsRounds.rounds < 20) {
      assert.ok(!steps.includes('press late'));
      await host.clock.settle(stack.setFacts({}));
      await host.clock.settle(stack.settled());
    }
    assert.ok(steps.includes('press late'), steps.join(', '));
  });

  it('gives them rounds although nothing happens, and stays at rest meanwhile', async () => {
    stack = start('mars: 1\nstack: quiet\nbricks:\n  counter: { type: rounds }');
    let rests = 0;
    stack.subscribe((event) => event.kind === 'settled' && rests++);
    await host.clock.settle(stack.settled());
    const before = CountsRounds.rounds;
    rests = 0;
    host.clock.advanceMs(60_000);
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    assert.equal(CountsRounds.rounds - before, 60_000 / SCAN_INTERVAL_MS);
    assert.equal(rests, 0);
    await host.clock.settle(stack.close());
    const atTheEnd = CountsRounds.rounds;
    host.clock.advanceMs(60_000);
    assert.equal(CountsRounds.rounds, atTheEnd);
  });

  function start(text: string): StackHandle {
    const { plan, secrets } = loadStack(text, { registry });
    const opened = openStack({ plan, secrets, loop: host.loop, host: host.container, registry });
    opened.subscribe((event) => event.kind === 'step' && steps.push(event.text));
    return opened;
  }
});
