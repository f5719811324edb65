import { invariant } from '../invariant.js';
import type { XioObject } from './xio-object.js';

/**
 * Requests in order, chained by their own `link`: a queue that allocates nothing. Bounded by the pool. A request stands in one such
 * queue at a time.
 */
export class RequestQueue {
  private head: XioObject | null = null;
  private tail: XioObject | null = null;
  length = 0;

  get isEmpty(): boolean {
    return this.head === null;
  }

  /** Behind all others. */
  push(o: XioObject): void {
    invariant(o.link === null && o !== this.tail, 'a request stands in two queues');
    if (this.tail === null) this.head = o;
    else this.tail.link = o;
    this.tail = o;
    this.length++;
  }

  /** In front of all others: it was taken out too early, or goes again. */
  unshift(o: XioObject): void {
    invariant(o.link === null && o !== this.tail, 'a request stands in two queues');
    o.link = this.head;
    this.head = o;
    this.tail ??= o;
    this.length++;
  }

  /** The oldest, which stays in the queue; `null` when there is none. */
  peek(): XioObject | null {
    return this.head;
  }

  /** Takes the oldest out; `null` when there is none. */
  shift(): XioObject | null {
    const o = this.head;
    if (o === null) return null;
    this.head = o.link;
    if (this.head === null) this.tail = null;
    o.link = null;
    this.length--;
    return o;
  }
}
