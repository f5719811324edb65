// Bricks for the tests of a stack in a thread, loaded by that thread. Parts are played over a channel of their own, because the
// messages of the stack are what is tested.
import { BroadcastChannel, isMainThread } from 'node:worker_threads';
import { Brick, FilterBrick, InvariantError, type XioObject } from '@mars/brick-core';
import { TestDev, TestFragile, TrialLogger, playPart, type TestPart } from '@mars/stack/testing';

export const CHANNEL = 'mars-data-thread-test';

/** Fails an invariant, which nobody catches, after so many requests. */
@Brick({
  type: 'crash',
  inputs: { next: {} },
  ops: 'all',
  params: { properties: { after: { type: 'integer', default: 1000 }, text: { type: 'string', default: 'no reason' } } },
})
export class CrashBrick extends FilterBrick {
  private requests = 0;

  override io(o: XioObject): void {
    if (++this.requests > (this.ctx.params.after as number)) throw new InvariantError(String(this.ctx.params.text));
    this.next.io(o);
  }
}

/** Publishes a fact and a thousand more while it starts. */
@Brick({ type: 'chatty', inputs: { next: {} }, ops: 'all', params: { properties: { words: { type: 'integer' } } } })
export class ChattyBrick extends FilterBrick {
  protected override start(): void {
    for (let i = 1; i <= (this.ctx.params.words as number); i++) this.ctx.publish('word', i);
  }
}

export const source = 'test';
export const bricks = [TestFragile, TrialLogger, TestDev, CrashBrick, ChattyBrick];

/** In the environment of the thread: the part of `TestFragile` from the start. */
export const BROKEN = 'MARS_TEST_BROKEN';

if (!isMainThread) {
  playPart({ do: 'break', isBroken: process.env[BROKEN] === 'true' });
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (message: unknown) => {
    playPart((message as { data: TestPart }).data);
    channel.postMessage('done');
  };
  channel.unref();
}
