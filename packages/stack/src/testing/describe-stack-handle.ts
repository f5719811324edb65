import assert from 'node:assert/strict';
import { ErrorCode, isMarsError, type BrickRegistry } from '@mars/brick-core';
import { firstValueFrom, toArray } from 'rxjs';
import type { Facts } from '../expression/types.js';
import type { StackEvent, StackHandle, StackStatus } from '../handle.js';
import { loadStack, type LoadedStack } from '../plan/load.js';
import { overlayOf } from '../plan/overlay.js';
import type { VarValues } from '../plan/types.js';
import { stackStatus$ } from '../status-stream.js';
import type { TestPart } from './bricks.js';

const DEMO = `
mars: 1
stack: demo
bricks:
  disk: { type: ram, params: { size: 1M } }
  slow: { type: delay, in: disk, params: { write: 5ms } }
  load: { type: load, in: slow }
`;

/** A test that takes longer hangs; a thread takes its time to start on a busy machine. */
const LIMIT_MS = 30_000;

/** Where the stacks of a test run: in this loop, in another thread. */
export interface StackBench {
  /** Types as the owner of the stacks knows them. */
  readonly registry: BrickRegistry;
  open(loaded: Pick<LoadedStack, 'plan' | 'secrets'> & { facts: Facts }): Promise<StackHandle>;
  /** Waits for the promise; on a virtual clock that makes time go on. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Lets so much time of the stack pass. */
  advance(ms: number): Promise<void>;
  play(part: TestPart): Promise<void>;
  /** After every test, when the stack is closed: what must be gone is gone. */
  end(): Promise<void>;
}

/**
 * What holds for every `StackHandle`, wherever its stack runs (mocha). Needs the types `ram`, `delay` and `load`, ours or those
 * of this directory, and `fragile`, `trial-logger` and `dev` of this directory.
 */
export function describeStackHandle(where: string, makeBench: () => StackBench | Promise<StackBench>): void {
  describe(`A running stack, ${where}`, function () {
    this.timeout(LIMIT_MS);
    let bench: StackBench;
    let registry: BrickRegistry;
    let stack: StackHandle;
    let events: StackEvent[] = [];

    beforeEach(async () => {
      bench = await makeBench();
      registry = bench.registry;
      events = [];
    });

    afterEach(async () => {
      await bench.play({ do: 'break', isBroken: false });
      await settle(stack.close());
      await bench.end();
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
  logger: { type: trial-logger, in: { data: slow, log: file } }
  dev: { type: dev, in: logger, params: { name: x }, on: logger.mode == 'log' && todo.primary }`.replace(
          'load: { type: load, in: slow }',
          '',
        ),
        { facts: { 'todo.primary': true } },
      );
      assert.equal(await ledOf('dev'), 'off');
      await settle(stack.override('logger', 'on'));
      await settle(stack.settled());
      await bench.play({ do: 'say', name: 'mode', value: 'log' });
      await settle(stack.settled());
      assert.equal(await ledOf('dev'), 'on');
      await settle(stack.setFacts({}));
      await settle(stack.settled());
      assert.equal(await ledOf('dev'), 'off');
    });

    it('keeps a failure as reason, leaves the rest alone, and tries again until it works', async () => {
      await bench.play({ do: 'break', isBroken: true });
      await open(DEMO.replace('type: delay', 'type: fragile').replace(', params: { write: 5ms }', ''));
      const slow = await brick('slow');
      assert.equal(slow.failure?.code, ErrorCode.START_FAILED);
      assert.match(slow.failure.message, /no way with this/);
      assert.equal((await brick('load')).why, 'waits for "slow"');
      assert.equal(await ledOf('disk'), 'on');
      await bench.play({ do: 'break', isBroken: false });
      await until(async () => (await ledOf('load')) === 'on');
      assert.deepEqual((await settle(stack.settled())).problems, []);
    });

    it('never shows the value of a secret: not in plan, status, events or errors', async () => {
      await bench.play({ do: 'break', isBroken: true });
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
      await bench.play({ do: 'break', isBroken: true });
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
  logger: { type: trial-logger, in: { data: disk, log: log } }
`;
      await open(text, { vars: { logs: '1,2' } });
      await bench.play({ do: 'need', slots: [0] });
      await settle(stack.apply(loadStack(text, { registry, vars: { logs: '2' } }).plan));
      await settle(stack.settled());
      assert.equal((await brick('log:1')).why, 'logger.log[0] still needs it');
      await bench.play({ do: 'need', slots: [] });
      await until(async () => (await stack.status()).bricks.every((one) => one.name !== 'log:1'));
      assert.deepEqual((await brick('logger')).inputs, { data: 'disk', log: null, 'log[1]': 'log:2' });
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
      const { plan, secrets } = loaded;
      stack = await bench.open({ plan, secrets, facts });
      stack.subscribe((event) => events.push(event));
      await settle(stack.settled());
      return loaded;
    }

    function settle<T>(promise: Promise<T>): Promise<T> {
      return bench.settle(promise);
    }

    async function until(isTrue: () => Promise<boolean>): Promise<void> {
      for (let i = 0; i < 200; i++) {
        if (await isTrue()) return;
        await bench.advance(100);
        await settle(stack.settled());
      }
      assert.fail('it did not happen in 20 s of the stack');
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

    function steps(): string[] {
      return events.flatMap((event) => (event.kind === 'step' ? [event.text] : []));
    }

    function switched(): string[] {
      return steps().filter((step) => /^(press|release)/.test(step));
    }
  });
}
