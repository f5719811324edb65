import {
  F_FUA,
  OP_FLUSH,
  OP_WRITE,
  OP_ZERO,
  RequestQueue,
  type BrickContext,
  type Counter,
  type SeededRandom,
  type XioObject,
} from '@mars/brick-core';
import { MAX_FLYING_PAGES, MAX_VOLATILE_ZERO_BYTES } from '../limits.js';
import { aspectOf, type Aspect } from './aspect.js';
import type { Fragment, Page, VolatileLayer } from './volatile-layer.js';
import type { WriteBack, WriteBackEvents } from './write-back.js';

/** Is kept in the cache, not passed below. */
export function isVolatileOp(o: XioObject): boolean {
  return o.op === OP_WRITE || (o.op === OP_ZERO && o.len <= MAX_VOLATILE_ZERO_BYTES);
}

/**
 * The requests of consumers that cannot be answered yet, and what they wait for:
 *
 * ```
 *   write ──(no room)──> waiting ──> layer ──────────────────────────────────────────> answer
 *   write with FUA ────────────────> layer, until its fragments are written back ─┐
 *   flush ──> barriers, until everything up to its limit is written back ─────────┴─> unsynced ─> syncing ─> answer
 *   extents, long zero ──> barriers ──> passed below ──> answer
 * ```
 * All queues are bounded by the objects of the pool.
 */
export class WaitingRoom implements WriteBackEvents {
  /** Error of the last write-back or flush below; for `settle`. */
  lastErr = 0;
  /** Writes that do not fit now, in order. */
  private readonly waiting = new RequestQueue();
  /** FLUSH and others that wait until the layer is written back up to their limit, in the order of the limits. */
  private readonly barriers = new RequestQueue();
  /** Everything of theirs stands below; the next flush below makes it durable … */
  private readonly unsynced = new RequestQueue();
  /** … and the one under way makes these durable. */
  private readonly syncing = new RequestQueue();
  /** Set once, right after both are built. */
  writeBack!: WriteBack;
  private requests = 0.5;
  private readonly writes: Counter;
  private readonly evictions: Counter;
  private readonly errors: Counter;
  private readonly lost: Counter;
  private readonly kept: Counter;

  constructor(
    private readonly ctx: BrickContext,
    private readonly layer: VolatileLayer,
    private readonly evicting: SeededRandom,
    private readonly plug: () => void,
    private readonly pass: (o: XioObject) => void,
  ) {
    this.requests = 0;
    this.writes = ctx.counter('writes');
    this.evictions = ctx.counter('evictions');
    this.errors = ctx.counter('writeBackErrors');
    this.lost = ctx.counter('lostPieces');
    this.kept = ctx.counter('keptGranules');
  }

  /** Does a write wait for room? */
  get isCrowded(): boolean {
    return !this.waiting.isEmpty;
  }

  /** One round of everything that can go on now. */
  goOn(): void {
    this.absorbWaiting();
    this.passBarriers();
    this.writeBack.pump();
    if (!this.unsynced.isEmpty) this.sync();
  }

  write(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    a.request = ++this.requests;
    a.absorbed = a.remaining = a.err = 0;
    a.isOnItsWayUp = false;
    this.writes.n++;
    const fits = this.waiting.isEmpty && this.absorb(o, a);
    if (!fits) this.waiting.push(o);
    if (!fits || o.flags & F_FUA) this.plug();
  }

  /** @returns false when the layer is full; what is in it stays, and counts */
  private absorb(o: XioObject, a: Aspect): boolean {
    const { layer } = this;
    const isFua = (o.flags & F_FUA) !== 0;
    const before = layer.lastNr;
    a.absorbed = layer.absorb(o, a.absorbed, a.request, isFua ? o : null);
    if (isFua) this.wantOwn(a, before);
    if (a.absorbed < o.len) return false;
    if (!isFua) this.ctx.loop.finish(o, 0);
    else if (a.remaining === 0) this.durableNext(o, a);
    return true;
  }

  private wantOwn(a: Aspect, before: number): void {
    for (let f = this.layer.dirtyNewest; f !== null && f.nr > before; f = f.dirtyBefore) {
      a.remaining++;
      this.writeBack.want(f.page!);
    }
  }

  /** FLUSH, EXTENTS and long ZERO: first everything that is volatile now goes below. */
  barrier(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    a.limit = this.layer.lastNr;
    a.err = 0;
    a.isOnItsWayUp = false;
    this.barriers.push(o);
    this.writeBack.wantUpTo(a.limit);
    this.plug();
  }

  /** A write that will never be answered: it may be in the cache nevertheless, or a part of it. */
  absorbUnanswered(o: XioObject): void {
    this.layer.absorb(o, 0, ++this.requests, null);
  }

  failAll(err: number): void {
    for (let f = this.layer.dirtyOldest; f !== null; f = f.dirtyAfter) if (f.owner !== null) this.disown(f, err);
    for (const queue of [this.waiting, this.barriers, this.unsynced, this.syncing]) {
      for (let o = queue.shift(); o !== null; o = queue.shift()) this.answer(o, err);
    }
  }

  private answer(o: XioObject, err: number): void {
    if (aspectOf(o, this.ctx.slot).isOnItsWayUp) o.done(err);
    else this.ctx.loop.finish(o, err);
  }

  durableNext(o: XioObject, a: Aspect): void {
    if (a.err < 0) return this.answer(o, a.err);
    this.unsynced.push(o);
    this.plug();
  }

  private absorbWaiting(): void {
    for (let o = this.waiting.peek(); o !== null; o = this.waiting.peek()) {
      // It leaves the queue first: `finish` must not find it in one.
      this.waiting.shift();
      if (this.absorb(o, aspectOf(o, this.ctx.slot))) continue;
      this.waiting.unshift(o);
      if (this.writeBack.isIdle) this.evict();
      return;
    }
  }

  private passBarriers(): void {
    const { slot } = this.ctx;
    for (let o = this.barriers.peek(); o !== null; o = this.barriers.peek()) {
      const a = aspectOf(o, slot);
      const dirty = this.layer.dirtyOldest;
      if (dirty !== null && dirty.nr <= a.limit) return;
      this.barriers.shift();
      if (o.op === OP_FLUSH) this.unsynced.push(o);
      else this.pass(o);
    }
  }

  private sync(): void {
    if (this.writeBack.isFlushing || !this.writeBack.flush()) return;
    for (let o = this.unsynced.shift(); o !== null; o = this.unsynced.shift()) this.syncing.push(o);
  }

  /** Pages at random: a real cache has reasons of its own for its order. */
  private evict(): void {
    const { fragments, dirty } = this.layer;
    const count = Math.min(MAX_FLYING_PAGES, 1 + (dirty >>> 3));
    for (let n = 0; n < count && dirty > 0; n++) {
      let i = this.evicting.int(fragments.length);
      while (!fragments[i]!.isDirty) i = (i + 1) % fragments.length;
      this.writeBack.want(fragments[i]!.page!);
      this.evictions.n++;
    }
  }

  cleaned(f: Fragment): void {
    const o = f.owner;
    if (o === null) return;
    const a = aspectOf(o, this.ctx.slot);
    if (--a.remaining === 0 && a.absorbed === o.len) this.durableNext(o, a);
  }

  failed(page: Page, err: number): void {
    this.lastErr = err;
    this.errors.n++;
    for (let f = page.firstDirty; f !== null; f = f.newer) if (f.owner !== null) this.disown(f, err);
    // Each of them may have waited for this page. A false alarm is safe, a missing one is not.
    for (let o = this.barriers.shift(); o !== null; o = this.barriers.shift()) this.answer(o, err);
    const starving = this.waiting.shift();
    if (starving !== null) this.giveUp(starving, err);
  }

  flushed(err: number): void {
    this.lastErr = Math.min(this.lastErr, err);
    for (let o = this.syncing.shift(); o !== null; o = this.syncing.shift()) this.answer(o, err);
  }

  progressed(): void {
    this.plug();
  }

  decided(lost: number, kept: number): void {
    this.lost.n += lost;
    this.kept.n += kept;
  }

  /** The write that waits for this fragment will fail; it is answered when nothing of it waits any more. */
  private disown(f: Fragment, err: number): void {
    const o = f.owner!;
    const a = aspectOf(o, this.ctx.slot);
    f.owner = null;
    a.err = err;
    if (--a.remaining === 0 && a.absorbed === o.len) this.answer(o, err);
  }

  /** A write that is only partly in the layer fails; that part may or may not become durable, like any failed write. */
  private giveUp(o: XioObject, err: number): void {
    for (let f = this.layer.dirtyOldest; f !== null; f = f.dirtyAfter) if (f.owner === o) f.owner = null;
    this.answer(o, err);
  }
}
