import {
  Brick,
  CAP_CSUM_CRC32C,
  CAP_CSUM_MD5,
  CAP_CSUM_SHA1,
  CAP_GROW,
  CLOCK,
  ESHUTDOWN,
  ErrorCode,
  F_FUA,
  F_NODATA,
  FilterBrick,
  MarsError,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  SUPPORT_NATIVE,
  SUPPORT_NONE,
  createRandom,
  errnoName,
  inject,
  type Clock,
  type Completer,
  type Counter,
  type SeededRandom,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { Fifo } from '../fifo.js';
import { MAX_FLYING_PAGES, MAX_STOP_ROUNDS, MAX_VOLATILE_ZERO_BYTES } from '../limits.js';
import { aspectOf, type Aspect } from './aspect.js';
import { PageImage } from './page-image.js';
import { Survival, type Lose } from './survival.js';
import { PAGE, VolatileLayer, type Fragment, type Page } from './volatile-layer.js';
import { WriteBack, type WriteBackEvents } from './write-back.js';

/** The power of the device that is imitated; the led of the brick is something else. */
export type DevicePower = 'on' | 'failing' | 'off';

const NO_DIGESTS = ~(CAP_CSUM_MD5 | CAP_CSUM_CRC32C | CAP_CSUM_SHA1);

/**
 * A disk with a volatile write cache whose power can fail. Writes are answered when they are in the cache; FLUSH and FUA make
 * them durable, below. At a *cut* every granule of what was not durable keeps the durable value or any value written to it
 * later, by seeded luck; from then on every request fails with ESHUTDOWN, until power comes back.
 *
 * ```
 *   write ──> volatile layer ──(flush, FUA, cache full)──> write-back ──> below ──> flush below ──> answer
 *   read  ──> below, then what is volatile is put over it
 *   cut   ──> a subset of the layer ──> below; the rest is gone
 * ```
 * Source: bricks.md 6, *powerfail*; what a cut may leave: I1 in `page-image.ts`.
 */
@Brick({
  type: 'powerfail',
  about: 'Volatile cache that loses any subset of its unflushed sectors when power is cut.',
  inputs: { next: { needs: { align: PAGE, maxLen: PAGE, caps: ['WRITE', 'FLUSH'] } } },
  ops: [OP_READ, OP_WRITE, OP_FLUSH, OP_TRIM, OP_ZERO, OP_EXTENTS, OP_CACHE],
  params: {
    properties: {
      volatile: {
        unit: 'bytes',
        default: '64M',
        minimum: PAGE,
        about: 'size of the cache; each piece of a write in a page takes 4K',
      },
      lose: { enum: ['none', 'all', 'random'], default: 'random', about: 'what of the cache a cut loses' },
      granule: { unit: 'bytes', enum: [64, 512, 1024, 2048, 4096], default: 512, about: 'what a cut never tears' },
      torn: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 0.25,
        about: 'share of the writes of which only some granules survive',
      },
      cut: { type: 'boolean', default: false, about: 'set to true: power fails now' },
      cutAtRequest: {
        type: 'integer',
        minimum: 0,
        default: 0,
        about: 'power fails at the Nth request from now; 0 = never',
      },
      cutAfter: { unit: 'ms', minimum: 0, default: 0, about: 'power fails after that time; 0 = never' },
      restart: { type: 'boolean', default: false, about: 'set to true: power comes back' },
      seed: { type: 'integer', default: 1, about: 'of everything that is random here' },
    },
  },
  live: ['cut', 'cutAtRequest', 'cutAfter', 'restart'],
})
export class PowerfailBrick extends FilterBrick implements WriteBackEvents {
  private devicePower: DevicePower = 'on';
  private layer!: VolatileLayer;
  private writeBack!: WriteBack;
  private survival!: Survival;
  private evicting!: SeededRandom;
  private requests = 0.5;
  private untilCut = 0;
  private timerNr = 0;
  private isRestartWanted = false;
  private hasFlushedSurvivors = false;
  /** Error of the last write-back or flush below; for `settle`. */
  private lastErr = 0;
  /** Writes that do not fit now, in order. */
  private readonly waiting = new Fifo();
  /** FLUSH and others that wait until the layer is written back up to their limit, in the order of the limits. */
  private readonly barriers = new Fifo();
  /** Everything of theirs stands below; the next flush below makes it durable … */
  private readonly unsynced = new Fifo();
  /** … and the one under way makes these durable. */
  private readonly syncing = new Fifo();
  private pageDone!: Completer;
  private flushDone!: Completer;
  private counters!: Record<
    'writes' | 'writeBacks' | 'evictions' | 'writeBackErrors' | 'cuts' | 'lost' | 'kept',
    Counter
  >;
  private readonly cutByTimer = (nr: number): void => {
    if (nr === this.timerNr) this.cut();
  };

  constructor(@inject(CLOCK) private readonly clock: Clock) {
    super();
  }

  protected override attached(): void {
    const { ctx } = this;
    const random = createRandom(ctx.params.seed as number);
    this.survival = new Survival(random.fork(), ctx.params.lose as Lose, ctx.params.torn as number);
    this.evicting = random.fork();
    this.pageDone = this.completer((o) => this.writeBack.pageReturned(o));
    this.flushDone = this.completer((o) => this.writeBack.flushReturned(o));
    this.counters = {
      writes: ctx.counter('writes'),
      writeBacks: ctx.counter('writeBacks'),
      evictions: ctx.counter('evictions'),
      writeBackErrors: ctx.counter('writeBackErrors'),
      cuts: ctx.counter('cuts'),
      lost: ctx.counter('lostPieces'),
      kept: ctx.counter('keptGranules'),
    };
    this.requests = 0;
  }

  protected override start(): void {
    const { params } = this.ctx;
    this.layer = new VolatileLayer(this.ctx.mem, Math.floor((params.volatile as number) / PAGE));
    // What the brick below cannot write separately cannot be lost separately either.
    const image = new PageImage(this.ctx.mem, Math.max(params.granule as number, this.next.cached.align));
    this.writeBack = new WriteBack(this.ctx, this, this.next, this.layer, image, this, this.pageDone, this.flushDone);
    if (!this.layer.reserve() || !this.writeBack.reserve()) {
      this.releaseMemory();
      throw new MarsError(ErrorCode.LIMIT_REACHED, 'the payload memory is full', {
        hint: 'Give the loop a larger arena.',
      });
    }
    this.setPower('on');
    this.untilCut = params.cutAtRequest as number;
    this.armTimer(params.cutAfter as number);
  }

  /** A clean switch-off loses nothing: what is volatile is written back first. */
  protected override async stop(): Promise<void> {
    this.timerNr++;
    try {
      await this.settle();
    } finally {
      this.releaseMemory();
    }
  }

  /** Taken off a wire under load: who stands above will see the brick below, so everything must be there. */
  protected override bypassed(): Promise<void> {
    return this.settle();
  }

  protected override liveParam(name: string, value: unknown): void {
    if (!this.power.ledOn) return;
    if (name === 'cut' && value === true) this.cut();
    else if (name === 'restart' && value === true) this.restart();
    else if (name === 'cutAtRequest') this.untilCut = value as number;
    else if (name === 'cutAfter') this.armTimer(value as number);
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    if (err < 0) return err;
    into.fua = SUPPORT_NATIVE;
    // A digest made below would be that of older data.
    into.caps &= NO_DIGESTS;
    if (into.caps & CAP_GROW && this.power.ledOn) into.size = Math.max(into.size, this.layer.endBytes);
    return err;
  }

  override io(o: XioObject): void {
    if (this.devicePower !== 'on') return this.ctx.loop.finish(o, -ESHUTDOWN);
    if (this.untilCut > 0 && --this.untilCut === 0) return this.cutIn(o);
    if (o.op === OP_READ) this.read(o);
    else if (isVolatileOp(o)) this.write(o);
    else if (o.op === OP_TRIM || o.op === OP_CACHE) this.pass(o);
    else this.barrier(o);
  }

  override complete(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    if (o.op === OP_READ) this.readReturned(o, a);
    else if (a.owesFlush) this.passedReturned(o, a);
    else o.done(this.verdict(o));
  }

  /** One round of everything that can go on now. */
  override endBatch(): void {
    this.absorbWaiting();
    this.passBarriers();
    this.writeBack.pump();
    if (!this.unsynced.isEmpty) this.sync();
    this.counters.writeBacks.n = this.writeBack.pages;
    if (this.devicePower === 'failing') this.goOnFailing();
  }

  /** Bytes of cache in use. */
  get volatileBytes(): number {
    return this.layer.used * PAGE;
  }

  get state(): DevicePower {
    return this.devicePower;
  }

  // ---- requests

  private read(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    a.startedAt = this.layer.cleanings;
    a.generation = this.layer.readStarts();
    a.wantedLen = o.len;
    o.push(this);
    this.next.io(o);
  }

  private readReturned(o: XioObject, a: Aspect): void {
    const err = this.verdict(o);
    if (err >= 0) {
      if (o.len < a.wantedLen) this.extend(o, a);
      this.layer.overlay(o, o.len, a.startedAt);
    }
    this.layer.readEnds(a.generation);
    if (!this.waiting.isEmpty) this.plug();
    o.done(err);
  }

  /** Below the file is shorter than what was written to it here; the gap between reads as zeroes. */
  private extend(o: XioObject, a: Aspect): void {
    const len = Math.min(a.wantedLen, this.layer.endBytes - o.pos) | 0;
    if (len <= o.len) return;
    if (!(o.flags & F_NODATA)) this.ctx.mem.fill(o.buf + o.len, len - o.len, 0);
    o.len = len;
  }

  private write(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    a.request = ++this.requests;
    a.absorbed = a.remaining = a.err = 0;
    a.isOnItsWayUp = false;
    this.counters.writes.n++;
    const fits = this.waiting.isEmpty && this.absorb(o, a);
    if (!fits) this.waiting.add(o);
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
  private barrier(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    a.limit = this.layer.lastNr;
    a.err = 0;
    a.isOnItsWayUp = false;
    this.barriers.add(o);
    this.writeBack.wantUpTo(a.limit);
    this.plug();
  }

  private pass(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    a.owesFlush = (o.flags & F_FUA) !== 0 && this.next.cached.fua === SUPPORT_NONE;
    if (a.owesFlush) o.flags &= ~F_FUA;
    o.push(this);
    this.next.io(o);
  }

  private passedReturned(o: XioObject, a: Aspect): void {
    o.flags |= F_FUA;
    a.owesFlush = false;
    a.err = this.verdict(o);
    a.isOnItsWayUp = true;
    if (a.err < 0) this.answer(o, a.err);
    else this.durableNext(o, a);
  }

  private verdict(o: XioObject): number {
    return this.devicePower === 'on' ? o.err : -ESHUTDOWN;
  }

  private answer(o: XioObject, err: number): void {
    if (aspectOf(o, this.ctx.slot).isOnItsWayUp) o.done(err);
    else this.ctx.loop.finish(o, err);
  }

  private durableNext(o: XioObject, a: Aspect): void {
    if (a.err < 0) return this.answer(o, a.err);
    this.unsynced.add(o);
    this.plug();
  }

  // ---- progress

  private absorbWaiting(): void {
    for (let o = this.waiting.oldest; o !== null; o = this.waiting.oldest) {
      // It leaves the queue first: `finish` must not find it in one.
      this.waiting.take();
      if (this.absorb(o, aspectOf(o, this.ctx.slot))) continue;
      this.waiting.putBack(o);
      if (this.writeBack.isIdle) this.evict();
      return;
    }
  }

  private passBarriers(): void {
    const { slot } = this.ctx;
    for (let o = this.barriers.oldest; o !== null; o = this.barriers.oldest) {
      const a = aspectOf(o, slot);
      const dirty = this.layer.dirtyOldest;
      if (dirty !== null && dirty.nr <= a.limit) return;
      this.barriers.take();
      if (o.op === OP_FLUSH) this.unsynced.add(o);
      else this.pass(o);
    }
  }

  private sync(): void {
    if (this.writeBack.isFlushing || !this.writeBack.flush()) return;
    for (let o = this.unsynced.take(); o !== null; o = this.unsynced.take()) this.syncing.add(o);
  }

  /** Pages at random: a real cache has reasons of its own for its order. */
  private evict(): void {
    const { fragments, dirty } = this.layer;
    const count = Math.min(MAX_FLYING_PAGES, 1 + (dirty >>> 3));
    for (let n = 0; n < count && dirty > 0; n++) {
      let i = this.evicting.int(fragments.length);
      while (!fragments[i]!.isDirty) i = (i + 1) % fragments.length;
      this.writeBack.want(fragments[i]!.page!);
      this.counters.evictions.n++;
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
    this.counters.writeBackErrors.n++;
    for (let f = page.firstDirty; f !== null; f = f.newer) if (f.owner !== null) this.disown(f, err);
    // Each of them may have waited for this page. A false alarm is safe, a missing one is not.
    for (let o = this.barriers.take(); o !== null; o = this.barriers.take()) this.answer(o, err);
    const starving = this.waiting.take();
    if (starving !== null) this.giveUp(starving, err);
  }

  flushed(err: number): void {
    this.lastErr = Math.min(this.lastErr, err);
    for (let o = this.syncing.take(); o !== null; o = this.syncing.take()) this.answer(o, err);
  }

  progressed(): void {
    this.plug();
  }

  decided(lost: number, kept: number): void {
    this.counters.lost.n += lost;
    this.counters.kept.n += kept;
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

  // ---- power of the device

  /** Power fails now. Idempotent. */
  cut(): void {
    if (this.devicePower !== 'on' || !this.power.ledOn) return;
    this.setPower('failing');
    this.counters.cuts.n++;
    this.survival.draw();
    this.writeBack.survival = this.survival;
    this.hasFlushedSurvivors = this.isRestartWanted = false;
    this.failAll();
    this.writeBack.forgetWanted();
    this.writeBack.wantUpTo(this.layer.lastNr);
    this.plug();
  }

  /** Power fails while this request is under way: of a write, some may have reached the cache. */
  private cutIn(o: XioObject): void {
    if (isVolatileOp(o)) this.layer.absorb(o, 0, ++this.requests, null);
    this.cut();
    this.ctx.loop.finish(o, -ESHUTDOWN);
  }

  private failAll(): void {
    for (let f = this.layer.dirtyOldest; f !== null; f = f.dirtyAfter) if (f.owner !== null) this.disown(f, -ESHUTDOWN);
    for (const queue of [this.waiting, this.barriers, this.unsynced, this.syncing]) {
      for (let o = queue.take(); o !== null; o = queue.take()) this.answer(o, -ESHUTDOWN);
    }
  }

  /** What survives is written and flushed; then the device is off, and its memory is empty. */
  private goOnFailing(): void {
    if (!this.writeBack.isIdle || this.layer.dirty > 0) return;
    if (!this.hasFlushedSurvivors) this.hasFlushedSurvivors = this.writeBack.flush();
    else {
      this.writeBack.survival = null;
      this.setPower('off');
      if (this.isRestartWanted) this.restart();
    }
  }

  private restart(): void {
    if (this.devicePower === 'failing') this.isRestartWanted = true;
    else if (this.devicePower === 'off') this.setPower('on');
  }

  private setPower(power: DevicePower): void {
    this.devicePower = power;
    this.ctx.publish('devicePower', power);
    this.ctx.publish('cut', power !== 'on');
  }

  private armTimer(afterMs: number): void {
    this.timerNr++;
    if (afterMs > 0) this.clock.after(afterMs, this.timerNr, this.cutByTimer);
  }

  // ---- cold path

  /**
   * Writes everything back and flushes below; after a cut, waits for its end.
   * @throws MarsError STOP_FAILED when the brick below does not take it
   */
  private async settle(): Promise<void> {
    const { loop } = this.ctx;
    await loop.whenQuiet(() => this.devicePower !== 'failing');
    if (this.devicePower === 'off') return;
    for (let round = 0; round < MAX_STOP_ROUNDS; round++) {
      this.lastErr = 0;
      this.writeBack.wantUpTo(this.layer.lastNr);
      this.plug();
      await loop.whenQuiet(() => this.writeBack.isIdle);
      if (this.layer.dirty > 0) continue;
      this.lastErr = 0;
      await loop.whenQuiet(() => this.writeBack.isFlushing || this.writeBack.flush());
      await loop.whenQuiet(() => !this.writeBack.isFlushing);
      if (this.lastErr === 0) return;
    }
    throw new MarsError(ErrorCode.STOP_FAILED, `volatile data cannot be written back (${errnoName(this.lastErr)})`, {
      hint: `Look at what lies below "${this.name}"; ${this.volatileBytes} bytes are in its cache.`,
      details: { errno: -this.lastErr, volatileBytes: this.volatileBytes },
    });
  }

  private releaseMemory(): void {
    this.layer.close();
    this.writeBack.close();
  }
}

/** Is kept in the cache, not passed below. */
function isVolatileOp(o: XioObject): boolean {
  return o.op === OP_WRITE || (o.op === OP_ZERO && o.len <= MAX_VOLATILE_ZERO_BYTES);
}
