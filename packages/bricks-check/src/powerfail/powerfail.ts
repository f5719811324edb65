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
import { MAX_STOP_ROUNDS } from '../limits.js';
import { aspectOf, type Aspect } from './aspect.js';
import { PageImage } from './page-image.js';
import { Survival, type Lose } from './survival.js';
import { PAGE, VolatileLayer } from './volatile-layer.js';
import { WaitingRoom, isVolatileOp } from './waiting-room.js';
import { WriteBack } from './write-back.js';

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
      cutAfter: { unit: 'ms', minimum: 0, default: 0, about: 'power fails when it has been on that long; 0 = never' },
      restartAfter: {
        unit: 'ms',
        minimum: 0,
        default: 0,
        about: 'power comes back that long after a cut; 0 = it does not',
      },
      restart: { type: 'boolean', default: false, about: 'set to true: power comes back' },
      seed: { type: 'integer', default: 1, about: 'of everything that is random here' },
    },
  },
  live: ['cut', 'cutAtRequest', 'cutAfter', 'restart', 'restartAfter'],
})
export class PowerfailBrick extends FilterBrick {
  private devicePower: DevicePower = 'on';
  private layer!: VolatileLayer;
  private writeBack!: WriteBack;
  private survival!: Survival;
  private evicting!: SeededRandom;
  private room!: WaitingRoom;
  private bounce = -1;
  private untilCut = 0;
  private timerNr = 0;
  private isRestartWanted = false;
  private hasFlushedSurvivors = false;
  private cuts!: Counter;
  private pageDone!: Completer;
  private flushDone!: Completer;
  private readonly timerFired = (nr: number): void => {
    if (nr !== this.timerNr) return;
    if (this.devicePower === 'off') this.restart();
    else this.cut();
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
    this.cuts = ctx.counter('cuts');
  }

  protected override start(): void {
    const { mem, params } = this.ctx;
    this.bounce = mem.alloc(PAGE);
    if (this.bounce < 0) throw outOfMemory();
    this.layer = new VolatileLayer(mem, this.bounce, Math.floor((params.volatile as number) / PAGE));
    // What the brick below cannot write separately cannot be lost separately either.
    const image = new PageImage(mem, this.layer, Math.max(params.granule as number, this.next.cached.align));
    this.room = new WaitingRoom(this.ctx, this.layer, this.evicting, this.plugMe, this.pass);
    this.writeBack = new WriteBack(
      this.ctx,
      this,
      this.next,
      this.layer,
      image,
      this.room,
      this.pageDone,
      this.flushDone,
    );
    this.room.writeBack = this.writeBack;
    if (!this.writeBack.reserve()) {
      this.releaseMemory();
      throw outOfMemory();
    }
    this.untilCut = params.cutAtRequest as number;
    this.powerOn();
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
    else if (name === 'cutAfter' && this.devicePower === 'on') this.armTimer(value as number);
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
    else if (isVolatileOp(o)) this.room.write(o);
    else if (o.op === OP_TRIM || o.op === OP_CACHE) this.pass(o);
    else this.room.barrier(o);
  }

  override complete(o: XioObject): void {
    const a = aspectOf(o, this.ctx.slot);
    if (o.op === OP_READ) this.readReturned(o, a);
    else if (a.owesFlush) this.passedReturned(o, a);
    else {
      this.plugUnlessIdle();
      o.done(this.verdict(o));
    }
  }

  /** One round of everything that can go on now. */
  override endBatch(): void {
    this.room.goOn();
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
    // It may have been the last one that needed what was written back meanwhile.
    this.plugUnlessIdle();
    o.done(err);
  }

  /** Below the file is shorter than what was written to it here; the gap between reads as zeroes. */
  private extend(o: XioObject, a: Aspect): void {
    const len = Math.min(a.wantedLen, this.layer.endBytes - o.pos) | 0;
    if (len <= o.len) return;
    if (!(o.flags & F_NODATA)) this.ctx.mem.fill(o.buf + o.len, len - o.len, 0);
    o.len = len;
  }

  private readonly pass = (o: XioObject): void => {
    const a = aspectOf(o, this.ctx.slot);
    a.owesFlush = (o.flags & F_FUA) !== 0 && this.next.cached.fua === SUPPORT_NONE;
    if (a.owesFlush) o.flags &= ~F_FUA;
    o.push(this);
    this.next.io(o);
  };

  private passedReturned(o: XioObject, a: Aspect): void {
    o.flags |= F_FUA;
    a.owesFlush = false;
    a.err = this.verdict(o);
    a.isOnItsWayUp = true;
    this.plugUnlessIdle();
    this.room.durableNext(o, a);
  }

  private readonly plugMe = (): void => this.plug();

  private plugUnlessIdle(): void {
    if (this.devicePower === 'failing' || this.room.isCrowded) this.plug();
  }

  private verdict(o: XioObject): number {
    return this.devicePower === 'on' ? o.err : -ESHUTDOWN;
  }

  // ---- power of the device

  /** Power fails now. Idempotent. */
  cut(): void {
    if (this.devicePower !== 'on' || !this.power.ledOn) return;
    this.setPower('failing');
    this.timerNr++;
    this.cuts.n++;
    this.survival.draw();
    this.writeBack.survival = this.survival;
    this.hasFlushedSurvivors = this.isRestartWanted = false;
    this.room.failAll(-ESHUTDOWN);
    this.writeBack.forgetWanted();
    this.writeBack.wantUpTo(this.layer.lastNr);
    this.plug();
  }

  /** Power fails while this request is under way: of a write, some may have reached the cache. */
  private cutIn(o: XioObject): void {
    if (isVolatileOp(o)) this.room.absorbUnanswered(o);
    this.cut();
    this.ctx.loop.finish(o, -ESHUTDOWN);
  }

  /** What survives is written and flushed; then the device is off, and its memory is empty. */
  private goOnFailing(): void {
    // Nothing that is still under way below may take effect in the next life.
    if (!this.writeBack.isIdle || this.layer.dirty > 0 || this.inflight > 0) return;
    if (!this.hasFlushedSurvivors) this.hasFlushedSurvivors = this.writeBack.flush();
    else {
      this.writeBack.survival = null;
      this.setPower('off');
      if (this.isRestartWanted) this.powerOn();
      else this.armTimer(this.ctx.params.restartAfter as number);
    }
  }

  private restart(): void {
    if (this.devicePower === 'failing') this.isRestartWanted = true;
    else if (this.devicePower === 'off') this.powerOn();
  }

  private powerOn(): void {
    this.setPower('on');
    this.armTimer(this.ctx.params.cutAfter as number);
  }

  private setPower(power: DevicePower): void {
    this.devicePower = power;
    this.ctx.publish('devicePower', power);
    this.ctx.publish('cut', power !== 'on');
  }

  /** One timer at a time: for the next cut while power is on, for the restart while it is off. */
  private armTimer(afterMs: number): void {
    this.timerNr++;
    if (afterMs > 0) this.clock.after(afterMs, this.timerNr, this.timerFired);
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
      this.room.lastErr = 0;
      this.writeBack.wantUpTo(this.layer.lastNr);
      this.plug();
      await loop.whenQuiet(() => this.writeBack.isIdle);
      if (this.layer.dirty > 0) continue;
      this.room.lastErr = 0;
      // One that is under way may have been sent too early to cover everything.
      await loop.whenQuiet(() => !this.writeBack.isFlushing && this.writeBack.flush());
      await loop.whenQuiet(() => !this.writeBack.isFlushing);
      if (this.room.lastErr === 0) return;
    }
    throw new MarsError(
      ErrorCode.STOP_FAILED,
      `volatile data cannot be written back (${errnoName(this.room.lastErr)})`,
      {
        hint: `Look at what lies below "${this.name}"; ${this.volatileBytes} bytes are in its cache.`,
        details: { errno: -this.room.lastErr, volatileBytes: this.volatileBytes },
      },
    );
  }

  private releaseMemory(): void {
    this.writeBack.close();
    this.ctx.mem.release(this.bounce);
    this.bounce = -1;
  }
}

function outOfMemory(): MarsError {
  return new MarsError(ErrorCode.LIMIT_REACHED, 'the payload memory is full', {
    hint: 'Give the loop a larger arena.',
  });
}
