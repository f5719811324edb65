import assert from 'node:assert/strict';
import { BRICKS, ErrorCode, isMarsError, type BrickRegistry } from '@mars/brick-core';
import { createTestHost, type TestHost } from '@mars/brick-core/testing';
import { firstValueFrom, toArray } from 'rxjs';
import type { Facts } from '../expression/types.js';
import type { StackEvent, StackHandle, StackStatus } from '../handle.js';
import { loadStack, type LoadedStack } from '../plan/load.js';
import { overlayOf } from '../plan/overlay.js';
import type { VarValues } from '../plan/types.js';
import { stackStatus$ } from '../status-stream.js';
import { TestFragile, TestLogger, testBricks } from '../kit.test.js';
import { openStack } from './running-stack.js';

const DEMO = `
mars: 1
stack: demo
bricks:
  disk: { type: ram, params: { size: 1M } }
  slow: { type: delay, in: disk, params: { write: 5ms } }
  load: { type: load, in: slow }
`;

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

describe('A running stack', () => {
  let host: TestHost;
  let registry: BrickRegistry;
  let stack: StackHandle;
  let events: StackEvent[] = [];

  beforeEach(() => {
    TestFragile.isBroken = false;
    host = createTestHost({ bricks: testBricks });
    registry = host.container.resolve(BRICKS);
    events = [];
  });

  afterEach(async () => {
    TestFragile.isBroken = false;
    await settle(stack.close());
    assert.deepEqual(host.arena.leaks(), []);
  });

  it('comes up providers first and goes down consumers first', async () => {
    await open(DEMO);
    assert.deepEqual(switched(), ['press disk', 'press slow', 'press load']);
    await settle(stack.close());
    assert.deepEqual(switched().slice(3), ['release load', 'release slow', 'release disk']);
    assert.equal(events.at(-1)?.kind, 'closed');
  });

  it('shows every brick with wires, led and reason', async () => {
    await open(DEMO.replace('in: slow }', 'in: slow, on: allow.attach }'));
    const [load, slow, disk] = (await stack.status()).bricks;
    assert.deepEqual([load!.name, slow!.name, disk!.name], ['load', 'slow', 'disk']);
    assert.equal(load!.why, 'on: allow.attach (allow.attach is not known)');
    assert.deepEqual(load!.inputs, { next: 'slow' });
    assert.equal(disk!.led, 'off');
  });

  it('follows facts of its caller and of its own bricks', async () => {
    await open(
      `${DEMO}
  file: { type: ram }
  logger: { type: trans-logger, in: { data: slow, log: file } }
  dev: { type: dev, in: logger, params: { name: x }, on: logger.mode == 'log' && todo.primary }`.replace(
        'load: { type: load, in: slow }',
        '',
      ),
      { facts: { 'todo.primary': true } },
    );
    assert.equal(await ledOf('dev'), 'off');
    await settle(stack.override('logger', 'on'));
    await settle(stack.settled());
    brickOf('logger', TestLogger).say('mode', 'log');
    await settle(stack.settled());
    assert.equal(await ledOf('dev'), 'on');
    await settle(stack.setFacts({}));
    await settle(stack.settled());
    assert.equal(await ledOf('dev'), 'off');
  });

  it('keeps a failure as reason, leaves the rest alone, and tries again until it works', async () => {
    TestFragile.isBroken = true;
    await open(DEMO.replace('type: delay', 'type: fragile').replace(', params: { write: 5ms }', ''));
    const slow = await brick('slow');
    assert.equal(slow.failure?.code, ErrorCode.START_FAILED);
    assert.match(slow.failure.message, /no way with this/);
    assert.equal((await brick('load')).why, 'waits for "slow"');
    assert.equal(await ledOf('disk'), 'on');
    TestFragile.isBroken = false;
    host.clock.advanceMs(20_000);
    await settle(stack.settled());
    assert.equal(await ledOf('load'), 'on');
    assert.deepEqual((await settle(stack.settled())).problems, []);
  });

  it('does not spin on a step that fails, but waits longer each time', async () => {
    TestFragile.isBroken = true;
    await open(DEMO.replace('type: delay', 'type: fragile').replace(', params: { write: 5ms }', ''));
    for (let i = 0; i < 600; i++) {
      host.clock.advanceMs(100);
      await turns();
    }
    const attempts = steps().filter((step) => step.startsWith('press slow')).length;
    assert.ok(attempts >= 8 && attempts <= 15, `${attempts} attempts in a minute`);
  });

  it('never shows the value of a secret: not in plan, status, events or errors', async () => {
    TestFragile.isBroken = true;
    const text = `
mars: 1
stack: demo
vars: { key: { type: secret }, half: { type: secret } }
bricks:
  disk: { type: ram }
  it: { type: fragile, in: disk, params: { secret: "\${key}-\${half}" } }
  load: { type: load, in: it }
`;
    const loaded = await open(text, { vars: { key: 'hunter2', half: 'tersecret' } });
    const shown = JSON.stringify([loaded.plan, await stack.status(), await stack.statistics(), events]);
    assert.match((await brick('it')).failure!.message, /no way with \*\*\*-\*\*\*/);
    assert.doesNotMatch(shown, /hunter2|tersecret/);
  });

  it('changes live parameters by hand and refuses the others', async () => {
    await open(DEMO);
    await settle(stack.setParam('slow', 'write', '9ms'));
    assert.ok(steps().includes('set slow.write'));
    await refused(stack.setParam('slow', 'seed', 3), ErrorCode.LIVE_PARAMETER);
    await refused(stack.setParam('slow', 'write', 'fast'), ErrorCode.BAD_PARAMETER);
    await refused(stack.setParam('slwo', 'write', '1ms'), ErrorCode.NO_SUCH_BRICK);
    await refused(stack.override('slwo', 'off'), ErrorCode.NO_SUCH_BRICK);
  });

  it('switches a brick by hand, its providers with it, and gives it back', async () => {
    await open(DEMO);
    await settle(stack.override('load', 'off'));
    await settle(stack.settled());
    assert.deepEqual(await leds(), { load: 'off', slow: 'off', disk: 'off' });
    await settle(stack.override('load', 'auto'));
    await settle(stack.settled());
    assert.deepEqual(await leds(), { load: 'on', slow: 'on', disk: 'on' });
  });

  it('inserts a filter on a wire while everything stays on, and takes it out again', async () => {
    await open(DEMO);
    events = [];
    await settle(stack.insert(overlayOf({ wire: 'load', type: 'delay', name: 'extra' }, [], registry)));
    assert.deepEqual(steps(), ['build extra', 'wire extra.next to slow', 'press extra', 'wire load.next to extra']);
    assert.deepEqual((await brick('extra')).origin, { kind: 'overlay', name: 'extra' });
    events = [];
    await settle(stack.remove('extra'));
    assert.deepEqual(steps(), ['wire load.next to slow', 'release extra', 'destroy extra']);
  });

  it('takes out a filter of the stack file, too, but nothing else', async () => {
    await open(DEMO);
    await settle(stack.remove('slow'));
    assert.deepEqual((await brick('load')).inputs, { next: 'disk' });
    await refused(stack.remove('disk'), ErrorCode.BAD_WIRE);
    await refused(stack.remove('nobody'), ErrorCode.NO_SUCH_BRICK);
  });

  it('puts everything back when an inserted filter cannot start', async () => {
    await open(DEMO);
    TestFragile.isBroken = true;
    await refused(
      stack.insert(overlayOf({ wire: 'load.next', type: 'fragile' }, [], registry)),
      ErrorCode.START_FAILED,
    );
    await settle(stack.settled());
    const status = await stack.status();
    assert.deepEqual(
      status.bricks.map((one) => one.name),
      ['load', 'slow', 'disk'],
    );
    assert.deepEqual(await leds(), { load: 'on', slow: 'on', disk: 'on' });
  });

  it('keeps what was inserted by hand when a new plan comes', async () => {
    const { plan } = await open(DEMO);
    await settle(stack.insert(overlayOf({ wire: 'load', type: 'delay', name: 'extra' }, [], registry)));
    await settle(stack.apply(plan));
    await settle(stack.settled());
    assert.equal(await ledOf('extra'), 'on');
  });

  it('waits for a slot that the logger still needs, and asks again by itself', async () => {
    const text = `
mars: 1
stack: rotate
vars: { logs: { type: list } }
bricks:
  disk: { type: ram }
  log: { type: ram, each: "\${logs}" }
  logger: { type: trans-logger, in: { data: disk, log: log } }
`;
    await open(text, { vars: { logs: '1,2' } });
    const logger = brickOf('logger', TestLogger);
    logger.needed.add(0);
    await settle(stack.apply(loadStack(text, { registry, vars: { logs: '2' } }).plan));
    await settle(stack.settled());
    assert.equal((await brick('log:1')).why, 'logger.log[0] still needs it');
    logger.needed.clear();
    host.clock.advanceMs(1000);
    await settle(stack.settled());
    assert.deepEqual((await brick('logger')).inputs, { data: 'disk', log: null, 'log[1]': 'log:2' });
    assert.equal(
      (await stack.status()).bricks.some((one) => one.name === 'log:1'),
      false,
    );
  });

  it('refuses a second writer that facts switch on at the same time, and says who', async () => {
    await open(
      `${DEMO}
  more: { type: load, in: disk, on: device.open }`,
      { facts: { 'device.open': true } },
    );
    const both = [await brick('load'), await brick('more')];
    const failed = both.find((one) => one.failure !== null);
    assert.equal(failed?.failure?.code, ErrorCode.PERMISSION_CONFLICT);
    assert.equal(both.filter((one) => one.led === 'on').length, 1);
  });

  it('comes to rest although conditions switch each other on and off without end', async () => {
    const { plan, secrets } = loadStack(
      `
mars: 1
stack: flap
bricks:
  a: { type: ram, on: b.off }
  b: { type: ram, on: a.on }
`,
      { registry },
    );
    stack = openStack({ plan, secrets, loop: host.loop, host: host.container, registry });
    let isSettled = false;
    void stack.settled().then(() => (isSettled = true));
    for (let i = 0; i < 10_000 && !isSettled; i++) await Promise.resolve();
    assert.ok(isSettled);
  });

  it('has a status stream that replays, follows and ends', async () => {
    await open(DEMO);
    const all = firstValueFrom(stackStatus$(stack).pipe(toArray()));
    await settle(stack.override('load', 'off'));
    await settle(stack.settled());
    await settle(stack.close());
    const seen = (await all).map((status: StackStatus) => status.bricks.filter((one) => one.led === 'on').length);
    assert.equal(seen[0], 3);
    assert.equal(seen.at(-1), 0);
  });

  it('refuses everything once it is being closed', async () => {
    await open(DEMO);
    await settle(stack.close());
    await refused(stack.setFacts({}), ErrorCode.BRICK_BUSY);
    await refused(stack.insert(overlayOf({ wire: 'load', type: 'delay' }, [], registry)), ErrorCode.BRICK_BUSY);
  });

  async function open(
    text: string,
    { vars = {}, facts = {} }: { vars?: VarValues; facts?: Facts } = {},
  ): Promise<LoadedStack> {
    const loaded = loadStack(text, { registry, vars });
    const { plan, secrets } = structuredClone(loaded);
    stack = acrossBoundary(openStack({ plan, secrets, facts, loop: host.loop, host: host.container, registry }));
    stack.subscribe((event) => events.push(event));
    await settle(stack.settled());
    return loaded;
  }

  function settle<T>(promise: Promise<T>): Promise<T> {
    return host.clock.settle(promise);
  }

  async function turns(): Promise<void> {
    for (let i = 0; i < 100; i++) await Promise.resolve();
  }

  async function refused(promise: Promise<unknown>, code: string): Promise<void> {
    await assert.rejects(settle(promise), (error: unknown) => isMarsError(error) && error.code === code);
  }

  async function brick(name: string): Promise<StackStatus['bricks'][number]> {
    const found = (await stack.status()).bricks.find((one) => one.name === name);
    assert.ok(found, `there is no ${name}`);
    return found;
  }

  async function ledOf(name: string): Promise<string> {
    return (await brick(name)).led;
  }

  async function leds(): Promise<Record<string, string>> {
    return Object.fromEntries((await stack.status()).bricks.map(({ name, led }) => [name, led]));
  }

  /** Tests reach into the stack only to play the part of a brick. */
  function brickOf<T>(name: string, type: new () => T): T {
    const found = type as unknown as { last?: T };
    assert.ok(found.last, `${name} was not built`);
    return found.last;
  }

  function steps(): string[] {
    return events.flatMap((event) => (event.kind === 'step' ? [event.text] : []));
  }

  function switched(): string[] {
    return steps().filter((step) => /^(press|release)/.test(step));
  }
});
