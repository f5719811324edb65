import { invariant, type XioObject } from '@mars/brick-core';

/** A queue of requests through their own `link`: bounded by the pool, and free of allocations. */
export class RequestQueue {
  private head: XioObject | null = null;
  private tail: XioObject | null = null;
  length = 0;

  push(o: XioObject): void {
    invariant(o.link === null, 'a request stands in two queues');
    if (this.tail === null) this.head = o;
    else this.tail.link = o;
    this.tail = o;
    this.length++;
  }

  peek(): XioObject | null {
    return this.head;
  }

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
