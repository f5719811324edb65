import { invariant, type SecureStream } from '@mars/brick-core';
import { SEND_HIGH_WATER_BYTES } from '../limits.js';

/** Definitions, heartbeats and the good-bye: before everything else, so a definition is never later than its first use. */
export const PRIORITY_CONTROL = 0;
const PRIORITIES = 4;

interface Parcel {
  /** Ours. */
  head: Uint8Array | null;
  /** The caller's until `done`. */
  body: Uint8Array | null;
  done: (() => void) | undefined;
}

/**
 * What waits for the peer, by priority. Only what the stream does not take at once is kept; the more important overtakes the less
 * important, frames of one priority keep their order.
 */
export class Outbox {
  sentBytes = 0;
  queuedBytes = 0;
  /** Called when little is waiting, after {@link isFull} was true. */
  onDrain: (() => void) | null = null;
  private readonly queues: Parcel[][] = Array.from({ length: PRIORITIES }, () => []);
  /** Parcels that have left each queue but are still in its array; cut off now and then. */
  private readonly heads = new Uint32Array(PRIORITIES);
  private isBlocked = false;
  private wasFull = false;
  private isOver = false;
  private finish: (() => void) | null = null;

  constructor(private readonly stream: SecureStream) {
    stream.onDrain(() => this.drained());
  }

  get isFull(): boolean {
    return this.queuedBytes >= SEND_HIGH_WATER_BYTES;
  }

  /** The bytes are copied. */
  push(priority: number, bytes: Uint8Array): void {
    if (this.isOver) return;
    this.sentBytes += bytes.length;
    if (this.mayPass) this.isBlocked = !this.stream.write(bytes);
    else this.keep(priority, { head: Buffer.from(bytes), body: null, done: undefined }, bytes.length);
  }

  /** A header of ours (copied, may be empty) and a body that is the caller's again with `done`. */
  pushOwned(priority: number, head: Uint8Array, body: Uint8Array, done: () => void): void {
    if (this.isOver) return done();
    const bytes = head.length + body.length;
    this.sentBytes += bytes;
    if (this.mayPass) this.write({ head: head.length > 0 ? head : null, body, done });
    else this.keep(priority, { head: head.length > 0 ? Buffer.from(head) : null, body, done }, bytes);
  }

  /** Calls `then` when everything that waits has been written. */
  whenEmpty(then: () => void): void {
    invariant(this.finish === null, 'a channel closes once');
    if (this.queuedBytes === 0) then();
    else this.finish = then;
  }

  /** The stream is gone: nothing waits any more, and everything lent goes back. */
  drop(): void {
    this.isOver = true;
    this.finish = null;
    this.queuedBytes = 0;
    for (let priority = 0; priority < PRIORITIES; priority++)
      for (const { done } of this.queues[priority]!.splice(0).slice(this.heads[priority])) done?.();
  }

  private get mayPass(): boolean {
    return !this.isBlocked && this.queuedBytes === 0;
  }

  private keep(priority: number, parcel: Parcel, bytes: number): void {
    this.queues[priority]!.push(parcel);
    this.queuedBytes += bytes;
    this.wasFull ||= this.isFull;
  }

  private write({ head, body, done }: Parcel): void {
    if (head !== null) this.isBlocked = !this.stream.write(head);
    if (body !== null) this.isBlocked = !this.stream.writeOwned(body, done);
  }

  private drained(): void {
    this.isBlocked = false;
    while (!this.isBlocked && !this.isOver) {
      const parcel = this.next();
      if (parcel === null) break;
      this.write(parcel);
    }
    if (this.isOver) return;
    if (this.queuedBytes === 0 && this.finish !== null) {
      const { finish } = this;
      this.finish = null;
      return finish();
    }
    if (this.wasFull && this.queuedBytes <= SEND_HIGH_WATER_BYTES / 4) {
      this.wasFull = false;
      this.onDrain?.();
    }
  }

  private next(): Parcel | null {
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const queue = this.queues[priority]!;
      const head = this.heads[priority]!;
      if (head === queue.length) continue;
      const parcel = queue[head]!;
      if (head + 1 === queue.length || head > 1000) {
        queue.splice(0, head + 1);
        this.heads[priority] = 0;
      } else this.heads[priority] = head + 1;
      this.queuedBytes -= (parcel.head?.length ?? 0) + (parcel.body?.length ?? 0);
      return parcel;
    }
    return null;
  }
}
