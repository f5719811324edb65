import { RequestQueue, type XioObject } from '@mars/brick-core';

/**
 * Group commit: all requests that wait share one sync call. One that comes while a sync runs waits for the next, because the
 * running one may have begun before the writes that it must cover.
 *
 * A failure stays: the kernel drops the pages that it could not write and reports that once, so a later sync would answer
 * "durable" for data that is gone.
 */
export class SyncGroup {
  /** 0, or the negative errno of the first failure. */
  error = 0;
  private isRunning = false;
  private readonly waiting = new RequestQueue();
  private readonly covered = new RequestQueue();

  constructor(private readonly answer: (o: XioObject, err: number) => void) {}

  /** `o` is answered when everything that is written by now is durable, or at once when that can no longer be. */
  add(o: XioObject): void {
    if (this.error !== 0) this.answer(o, this.error);
    else this.waiting.push(o);
  }

  /** Somebody waits, and no sync runs. */
  get isDue(): boolean {
    return !this.isRunning && this.waiting.length > 0;
  }

  get isBusy(): boolean {
    return this.isRunning || this.waiting.length > 0;
  }

  /** A sync call was started; it covers all who wait now. */
  begin(): void {
    this.isRunning = true;
    for (let o = this.waiting.shift(); o !== null; o = this.waiting.shift()) this.covered.push(o);
  }

  /** It has ended. A failure that was seen elsewhere meanwhile counts too: this call may have been told nothing. */
  end(result: number): void {
    this.isRunning = false;
    if (result < 0) this.fail(result);
    this.answerAll(this.covered);
    if (this.error !== 0) this.answerAll(this.waiting);
  }

  fail(err: number): void {
    if (this.error === 0) this.error = err;
  }

  /** The file was opened anew. */
  reset(): void {
    this.error = 0;
  }

  private answerAll(queue: RequestQueue): void {
    for (let o = queue.shift(); o !== null; o = queue.shift()) this.answer(o, this.error);
  }
}
