import { invariant } from '../invariant.js';
import { MAX_REQUEST_BYTES } from '../limits.js';
import { OP_DIGESTS, OP_EXTENTS, OP_READ } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { FilterBrick } from './filter-brick.js';

/** What `down()` decides: pass on, or try again at the end of a later tick because memory has run out for the moment. */
export const PASS = 0;
export const AGAIN = 1;

/** What the consumer sent; restored before the answer goes back. */
export class Saved {
  op = 0;
  flags = 0;
  pos = 0.5;
  len = 0;
  buf = -1;
  /** Length as it went down; a shorter answer is a short read. */
  sentLen = 0;
  /** Arena block that this brick lent to the request, -1 = none. */
  block = -1;

  save(o: XioObject): void {
    this.op = o.op;
    this.flags = o.flags;
    this.pos = o.pos;
    this.len = o.len;
    this.buf = o.buf;
    this.block = -1;
    // Nothing of an earlier request may count as a short read of this one.
    this.sentLen = 0;
  }

  restore(o: XioObject): void {
    const missing = o.op === OP_READ && o.err >= 0 ? this.sentLen - o.len : 0;
    // The length of an answered EXTENTS or DIGESTS counts bytes of the answer, not bytes of the range.
    const records = (o.op === OP_EXTENTS || o.op === OP_DIGESTS) && o.err >= 0 ? o.len : -1;
    o.op = this.op;
    o.flags = this.flags;
    o.pos = this.pos;
    o.buf = this.buf;
    o.len = records >= 0 ? records : Math.max(0, this.len - Math.max(0, missing));
  }
}

/**
 * Base of filters that change requests on their way: they may set `op`, `flags`, `pos`, `len` and `buf` in `down()`, and
 * everything is put back before the consumer sees the object again. A short read stays short by the same amount.
 *
 * Own payload memory comes from {@link borrow} and goes back by itself. When there is none, return {@link AGAIN}: the
 * request waits in order and `down()` is called again later; so does every request behind it, in the order of arrival.
 * Source: decided.md ("A filter that changes fields of an object restores them"); bricks.md 5.3 rule 6.
 */
export abstract class TransformBrick extends FilterBrick {
  private waitHead: XioObject | null = null;
  private waitTail: XioObject | null = null;

  /**
   * On the way down: change the request.
   * @returns PASS, AGAIN, or a negative errno, which answers the request without going further down
   */
  protected abstract down(o: XioObject, saved: Saved): number;

  /** On the way up, before the fields are restored: e.g. transform the data that was read. May set `o.err`. */
  protected up(_o: XioObject, _saved: Saved): void {}

  override io(o: XioObject): void {
    const saved = (o.aspects[this.ctx.slot] ??= new Saved()) as Saved;
    saved.save(o);
    if (this.waitHead !== null || !this.tryDown(o, saved)) this.wait(o);
  }

  override complete(o: XioObject): void {
    const saved = o.aspects[this.ctx.slot] as Saved;
    if (o.err >= 0) this.up(o, saved);
    saved.restore(o);
    this.giveBackTo(o, saved);
    o.done(o.err);
  }

  override endBatch(_events: number): void {
    while (this.waitHead !== null) {
      const o = this.waitHead;
      if (!this.tryDown(o, o.aspects[this.ctx.slot] as Saved, true)) return this.retrySoon();
    }
  }

  override get busy(): boolean {
    return super.busy || this.waitHead !== null;
  }

  /** Points `o.buf` at a block of this brick's own, for as long as the request is below. False = none now. */
  protected borrow(o: XioObject, saved: Saved, bytes: number): boolean {
    invariant(saved.block < 0, 'a transforming filter borrows one block per request');
    if (bytes > MAX_REQUEST_BYTES) return false;
    saved.block = this.ctx.mem.alloc(bytes);
    if (saved.block < 0) return false;
    o.buf = saved.block;
    return true;
  }

  private tryDown(o: XioObject, saved: Saved, fromQueue = false): boolean {
    const verdict = this.down(o, saved);
    invariant(
      verdict <= AGAIN && (verdict >= PASS || verdict > -4096),
      'down() returned neither PASS, AGAIN nor an errno',
    );
    if (verdict === AGAIN) {
      this.giveBack(saved);
      saved.restore(o);
      return false;
    }
    if (fromQueue) this.unqueue(o);
    if (verdict < 0) this.refuse(o, saved, verdict);
    else this.send(o, saved);
    return true;
  }

  private send(o: XioObject, saved: Saved): void {
    saved.sentLen = o.len;
    o.push(this);
    this.next.io(o);
  }

  private refuse(o: XioObject, saved: Saved, err: number): void {
    this.giveBack(saved);
    saved.sentLen = o.len;
    saved.restore(o);
    this.ctx.loop.finish(o, err);
  }

  private giveBack(saved: Saved): void {
    if (saved.block >= 0) this.ctx.mem.release(saved.block);
    saved.block = -1;
  }

  /** Somebody below may still look at the block (a logger, until written back); then it goes back with the request. */
  private giveBackTo(o: XioObject, saved: Saved): void {
    if (o.refs === 0 || saved.block < 0) return this.giveBack(saved);
    o.lend(saved.block);
    saved.block = -1;
  }

  private wait(o: XioObject): void {
    invariant(o.link === null, 'a request stands in two queues');
    if (this.waitTail === null) this.retrySoon();
    if (this.waitTail === null) this.waitHead = o;
    else this.waitTail.link = o;
    this.waitTail = o;
  }

  private unqueue(o: XioObject): void {
    this.waitHead = o.link;
    if (this.waitHead === null) this.waitTail = null;
    o.link = null;
  }

  /** Memory comes back with completions; a timer, not a spin, waits for them. */
  private retrySoon(): void {
    this.ctx.loop.after(RETRY_MS, this, plugAgain);
  }
}

const RETRY_MS = 1;

function plugAgain(brick: TransformBrick): void {
  (brick as unknown as { plug(): void }).plug();
}
