import type { RingPlace, XioObject } from '@mars/brick-core';

/** What one request needs while it is with an end: how far it is, and where the ring goes on. */
export class Job implements RingPlace {
  /** Where the next ring operation works, bytes. */
  pos = 0.5;
  len = 0;
  /** Bytes done by earlier operations of this request. */
  served = 0;
  /** Bytes that the request is about; a read at the end of a file is about less than was asked. */
  total = 0;
  /** How often the kernel had no means to take it. */
  tries = 0;
  /** The way that was tried first does not work here: ZERO by writing, a durable write by a plain one. */
  secondWay = false;
  o!: XioObject;

  begin(o: XioObject): void {
    this.o = o;
    this.pos = o.pos;
    this.len = this.total = o.len;
    this.served = this.tries = 0;
    this.secondWay = false;
  }

  /** Takes note of `bytes` more; the rest is what the next operation is about. */
  advance(bytes: number): void {
    this.served += bytes;
    this.pos = this.o.pos + this.served;
    this.len -= bytes;
  }
}
