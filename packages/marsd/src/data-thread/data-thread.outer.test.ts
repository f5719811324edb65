import assert from 'node:assert/strict';
import { BroadcastChannel } from 'node:worker_threads';
import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorCode, isMarsError } from '@mars/brick-core';
import { loadStack, overlayOf, type StackEvent, type StackHandle, type VarValues } from '@mars/stack';
import { describeStackHandle, type StackBench, type TestPart } from '@mars/stack/testing';
import { allBrickTypes } from '../compose.js';
import { BROKEN, CHANNEL, bricks, source } from './bricks.test.fixture.js';
import { openStackInThread, type ThreadStack, type ThreadStackOptions } from './open-stack-in-thread.js';

const registry = allBrickTypes([{ source, bricks }]);
const brickModules = [new URL('./bricks.test.fixture.js', import.meta.url).href];

const CHATTY = `
mars: 1
stack: chatty
bricks:
  disk: { type: ram, params: { size: 16M } }
  talk: { type: chatty, in: disk, params: { words: WORDS } }
`;

/** Has the bricks in the thread play a part, and waits until they have. */
function play(part: TestPart): Promise<void> {
  const channel = new BroadcastChannel(CHANNEL);
  const done = new Promise<void>((resolve) => {
    channel.onmessage = () => resolve();
  });
  channel.postMessage(part);
  return done.finally(() => channel.close());
}

for (const ring of ['auto', 'threads'] as const) {
  describeStackHandle(`in a thread of its own (ring: ${ring})`, (): StackBench => {
    let stack: ThreadStack | null = null;
    return {
      registry,
      open: async ({ plan, secrets, facts }) => {
        const opened = await openStackInThread(plan, { secrets, facts, brickModules, ring, level: 'error' });
        opened.subscribe((event) => event.kind === 'closed' && (stack = null));
        return (stack = opened);
      },
      settle: (promise) => promise,
      advance: (ms) => sleep(ms),
      play: async (part) => {
        if (stack !== null) await play(part);
        else if (part.do === 'break') process.env[BROKEN] = String(part.isBroken);
      },
      end: async () => void delete process.env[BROKEN],
    };
  });
}

const LOAD = `
mars: 1
stack: threaded
vars: { key: { type: secret } }
bricks:
  disk: { type: ram, params: { size: 16M } }
  bad:  { type: crash, in: disk, on: go, params: { after: 500, text: "it was \${key}" } }
  load: { type: load, in: bad, params: { depth: 4 } }
`;

describe('A stack in a thread', function () {
  this.timeout(20_000);
  let stack: ThreadStack | null = null;
  let events: StackEvent[] = [];
  let lines = '';

  beforeEach(() => {
    [stack, events, lines] = [null, [], ''];
  });
  afterEach(() => stack?.end());

  it('says that its thread died, refuses every call with the reason, and keeps the secret in it', async () => {
    const { handle, died } = await open(LOAD, { key: 'hunter2' });
    await handle.settled();
    await handle.setFacts({ go: true });
    await refused(untilRefused(handle), ErrorCode.DATA_THREAD_DIED);
    const failure = await died;
    assert.equal(failure.message, 'the thread of stack "threaded" died: it was ***');
    assert.equal(events.at(-1)?.kind, 'died');
    await refused(handle.status(), ErrorCode.DATA_THREAD_DIED);
    await refused(handle.close(), ErrorCode.DATA_THREAD_DIED);
    assert.doesNotMatch(JSON.stringify(events) + lines, /hunter2/);
  });

  it('gives back errors as they were: code, hint, place, problems', async () => {
    const { handle } = await open(LOAD, { key: 'hunter2' });
    await refused(handle.override('lod', 'on'), ErrorCode.NO_SUCH_BRICK, /Did you mean "load"/);
    const nowhere = overlayOf({ wire: 'nobody.next', type: 'delay' }, [], registry);
    await refused(handle.insert(nowhere), ErrorCode.BAD_OVERLAY);
    await handle.close();
    assert.equal(events.at(-1)?.kind, 'closed');
  });

  it('tells its log to its owner, every line whole', async () => {
    const { handle } = await open(LOAD, { key: 'hunter2' });
    await handle.settled();
    await handle.close();
    const entries = lines
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string });
    assert.ok(entries.some(({ msg }) => msg === 'step done'));
  });

  it('does not lose the last of what it says to an owner who listens late', async () => {
    const words = 5000;
    const { handle } = await open(CHATTY.replace('WORDS', String(words)));
    await handle.settled();
    const said = events.flatMap((event) => (event.kind === 'fact' && event.name === 'word' ? [event.value] : []));
    assert.equal(said.at(-1), words);
    assert.ok(said.length < words, 'what was overtaken was left out');
    await handle.close();
    assert.equal(events.at(-1)?.kind, 'closed');
  });

  it('can be ended at any time', async () => {
    const { handle, died } = await open(LOAD, { key: 'x' });
    await handle.end();
    assert.match((await died).message, /told to end/);
    await refused(handle.status(), ErrorCode.DATA_THREAD_DIED);
  });

  it('does not start when a brick module does not, and says so', async () => {
    const { plan } = load(CHATTY.replace('WORDS', '1'));
    const opening = openStackInThread(plan, { brickModules: ['data:text/javascript,throw new Error("no such luck")'] });
    await assert.rejects(opening, (error: unknown) => {
      assert.ok(isMarsError(error) && error.code === ErrorCode.DATA_THREAD_DIED);
      return /no such luck/.test(String((error.cause as Error).message));
    });
  });

  async function untilRefused(handle: StackHandle): Promise<void> {
    for (;;) await handle.statistics();
  }

  async function open(
    text: string,
    vars: VarValues = {},
  ): Promise<{ handle: ThreadStack; died: Promise<{ message: string }> }> {
    const options: ThreadStackOptions = { brickModules, level: 'debug', onLog: (line) => (lines += line) };
    const { plan, secrets } = load(text, vars);
    const handle = (stack = await openStackInThread(plan, { ...options, secrets }));
    const died = new Promise<{ message: string }>((resolve) =>
      handle.subscribe((event) => {
        events.push(event);
        if (event.kind === 'died') resolve(event.failure);
      }),
    );
    return { handle, died };
  }

  function load(text: string, vars: VarValues = {}): ReturnType<typeof loadStack> {
    return loadStack(text, { registry, vars, facts: ['go'] });
  }

  async function refused(promise: Promise<unknown>, code: string, hint = /./): Promise<void> {
    await assert.rejects(
      promise,
      (error: unknown) => isMarsError(error) && error.code === code && hint.test(error.hint!),
    );
  }
});
