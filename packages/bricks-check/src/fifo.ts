import { invariant, type XioObject } from '@mars/brick-core';

/** Requests in the order of arrival, chained by their own `link`: a queue that allocates nothing. Bounded by the pool. */
export class Fifo {
  length = 0;
  private head: XioObject | null = null;
  private tail: XioObject | null = null;

  get isEmpty(): boolean {
    return this.head === null;
  }

  /** The oldest, which stays in the queue; `null` when there is none. */
  get oldest(): XioObject | null {
    return this.head;
  }

  add(o: XioObject): void {
    invariant(o.link === null && o !== this.tail, 'a request stands in two queues');
    if (this.tail === null) this.head = o;
    else this.tail.link = o;
    this.tail = o;
    this.length++;
  }

  /** In front of all others: it was taken out too early. */
  putBack(o: XioObject): void {
    invariant(o.link === null && o !== this.tail, 'a request stands in two queues');
    o.link = this.head;
    this.head = o;
    this.tail ??= o;
    this.length++;
  }

  /** Takes the oldest out; `null` when there is none. */
  take(): XioObject | null {
    const o = this.head;
    if (o === null) return null;
    this.head = o.link;
    if (this.head === null) this.tail = null;
    o.link = null;
    this.length--;
    return o;
  }
}
