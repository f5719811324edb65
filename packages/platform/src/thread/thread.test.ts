import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { sandbox } from '../testing/index.js';
import { spawnLoopThread, type LoopThread } from './spawn-loop-thread.js';

const ENTRY = new URL('./echo-thread.test.fixture.js', import.meta.url);

describe('a loop thread', () => {
  const dir = sandbox();
  let thread: LoopThread;
  let inbox: unknown[] = [];
  let arrived: () => void = () => {};
  const lines: string[] = [];

  const next = async (): Promise<unknown> => {
    while (inbox.length === 0) await new Promise<void>((resolve) => (arrived = resolve));
    return inbox.shift();
  };
  beforeEach(async () => {
    inbox = [];
    const onMessage = (body: unknown): void => {
      inbox.push(body);
      arrived();
    };
    thread = await spawnLoopThread(ENTRY, {
      name: 'echo',
      data: 'facts',
      onMessage,
      onLog: (line) => lines.push(line),
    });
  });

  it('hears messages while it is blocked in its ring, does I/O, and stops in good order', async () => {
    const path = dir.file();
    thread.post({ path });
    assert.deepEqual(await next(), { written: 15 });
    assert.equal(readFileSync(path, 'latin1'), 'from the thread');
    await thread.stop();
    assert.deepEqual(await next(), { stopped: 'facts' });
    await thread.ended;
    assert.ok(lines.some((line) => line.includes('thread serves')));
  });

  it('keeps its timers: never early', async () => {
    for (const sleepMs of [0.3, 5]) {
      thread.post({ sleepMs });
      const { sleptUs } = (await next()) as { sleptUs: number };
      assert.ok(sleptUs >= sleepMs * 1000, `${sleepMs} ms took ${sleptUs} µs`);
    }
    await thread.stop();
  });

  it('lets its owner know when it dies of an error', async () => {
    thread.post({ fail: true });
    await assert.rejects(thread.ended, /asked to fail/);
  });

  it('rejects when the module fails before it is ready', async () => {
    await thread.stop();
    const entry = new URL('data:text/javascript,throw new Error("no such luck")');
    await assert.rejects(spawnLoopThread(entry, { name: 'broken' }), /no such luck/);
  });
});
