import { OP_READ, OP_TRIM, OP_WRITE, OP_ZERO, type Clock, type InjectionToken, type XioObject } from '@mars/brick-core';

/** What is limited, per second; 0 = not limited. */
export interface Rates {
  bytesPerSec: number;
  opsPerSec: number;
  readBytesPerSec: number;
  readOpsPerSec: number;
  writeBytesPerSec: number;
  writeOpsPerSec: number;
  /** How much may come at once after a pause, milliseconds of the rate. */
  burst: number;
}

export const RATE_NAMES = [
  'bytesPerSec',
  'opsPerSec',
  'readBytesPerSec',
  'readOpsPerSec',
  'writeBytesPerSec',
  'writeOpsPerSec',
  'burst',
] as const satisfies readonly (keyof Rates)[];

/** Requests of one direction that wait, in order. */
export interface Lane {
  /** The next one; `null` = nobody waits. */
  readonly oldest: XioObject | null;
  /** Lets it go. */
  passOldest(): void;
}

/**
 * Waiting requests are looked at in steps of a millisecond, and timers come late: what flows in meanwhile must not be lost,
 * or the rate would not be reached.
 */
const MIN_BURST_MS = 2;
/** Debt that only comes from computing with fractions, in bytes or operations. */
const ROUNDING = 1e-6;

/**
 * One token bucket. It may be overdrawn by one request, which the next ones then wait for: so requests larger than the
 * bucket pass, and the average is exact.
 */
export class TokenBucket {
  private perUs = 0.5;
  private capacity = 0.5;
  private level = 0.5;
  private filledUs = 0.5;
  isLimiting = false;

  /** @param now one element: the time up to which {@link refill} fills, microseconds (an argument would be boxed) */
  constructor(private readonly now: Float64Array) {
    this.perUs = this.capacity = this.level = this.filledUs = 0;
  }

  /** What is in it stays, as far as it fits; a debt stays too. */
  configure(perSecond: number, burstMs: number): void {
    const wasLimiting = this.isLimiting;
    this.isLimiting = perSecond > 0;
    this.perUs = perSecond / 1e6;
    this.capacity = (perSecond * Math.max(burstMs, MIN_BURST_MS)) / 1000;
    this.level = wasLimiting ? Math.min(this.level, this.capacity) : this.capacity;
  }

  refill(): void {
    const now = this.now[0]!;
    this.level = Math.min(this.capacity, this.level + (now - this.filledUs) * this.perUs);
    this.filledUs = now;
  }

  get isOpen(): boolean {
    return !this.isLimiting || this.level >= -ROUNDING;
  }

  take(amount: number): void {
    if (this.isLimiting) this.level -= amount;
  }

  /** Raises `into[0]` to the time until it opens, in whole milliseconds, rounded up. */
  waitMs(into: Float64Array): void {
    if (this.isOpen) return;
    const ms = Math.ceil(-this.level / this.perUs / 1000);
    if (ms > into[0]!) into[0] = ms;
  }
}

/**
 * The buckets of one throttle, or of a group of them, and the lanes that wait. Lanes take turns, one request each, so no
 * brick of a group starves another; within a lane the order is kept.
 */
export class Limiter {
  // One element each: results that a method returns, and arguments, would be boxed (bricks.md 5.3 rule 8).
  private readonly now = new Float64Array(1);
  private readonly wait = new Float64Array(1);
  private readonly soonest = new Float64Array(1);
  private readonly bytes = new TokenBucket(this.now);
  private readonly ops = new TokenBucket(this.now);
  private readonly readBytes = new TokenBucket(this.now);
  private readonly readOps = new TokenBucket(this.now);
  private readonly writeBytes = new TokenBucket(this.now);
  private readonly writeOps = new TokenBucket(this.now);
  private readonly all = [this.bytes, this.ops, this.readBytes, this.readOps, this.writeBytes, this.writeOps];
  private readonly lanes: Lane[] = [];
  /** The lane whose turn it is. */
  private turn = 0;
  private armedUs = Infinity;

  constructor(private readonly clock: Clock) {}

  configure(rates: Rates): void {
    this.now[0] = this.clock.nowUs;
    for (const bucket of this.all) bucket.refill();
    this.bytes.configure(rates.bytesPerSec, rates.burst);
    this.ops.configure(rates.opsPerSec, rates.burst);
    this.readBytes.configure(rates.readBytesPerSec, rates.burst);
    this.readOps.configure(rates.readOpsPerSec, rates.burst);
    this.writeBytes.configure(rates.writeBytesPerSec, rates.burst);
    this.writeOps.configure(rates.writeOpsPerSec, rates.burst);
    this.pump();
  }

  join(lane: Lane): void {
    this.lanes.push(lane);
  }

  leave(lane: Lane): void {
    this.lanes.splice(this.lanes.indexOf(lane), 1);
    this.turn = 0;
  }

  /** Takes the tokens for a request if there are any now. */
  mayPass(o: XioObject): boolean {
    const isRead = o.op === OP_READ;
    if (!isRead && o.op !== OP_WRITE && o.op !== OP_TRIM && o.op !== OP_ZERO) return true;
    this.now[0] = this.clock.nowUs;
    for (let i = 0; i < this.all.length; i++) if (this.all[i]!.isLimiting) this.all[i]!.refill();
    const bytes = isRead ? this.readBytes : this.writeBytes;
    const ops = isRead ? this.readOps : this.writeOps;
    if (!(this.bytes.isOpen && this.ops.isOpen && bytes.isOpen && ops.isOpen)) return false;
    // TRIM and ZERO move no data; they count as operations only.
    const amount = isRead || o.op === OP_WRITE ? o.len : 0;
    this.bytes.take(amount);
    bytes.take(amount);
    this.ops.take(1);
    ops.take(1);
    return true;
  }

  /** Lets go whoever may go, in turns, and makes sure that somebody looks again when the next one may. */
  pump(): void {
    const { lanes } = this;
    let refused = 0;
    while (refused < lanes.length) {
      if (this.turn >= lanes.length) this.turn = 0;
      const lane = lanes[this.turn++]!;
      const o = lane.oldest;
      if (o === null || !this.mayPass(o)) refused++;
      else {
        refused = 0;
        lane.passOldest();
      }
    }
    this.arm();
  }

  /** Called when a lane begins to wait. */
  arm(): void {
    const { lanes, soonest, wait } = this;
    soonest[0] = Infinity;
    for (let i = 0; i < lanes.length; i++) {
      const o = lanes[i]!.oldest;
      if (o === null) continue;
      this.measure(o);
      if (wait[0]! < soonest[0]) soonest[0] = wait[0]!;
    }
    if (soonest[0] === Infinity) return;
    const dueUs = this.clock.nowUs + soonest[0] * 1000;
    if (dueUs >= this.armedUs) return;
    this.armedUs = dueUs;
    this.clock.after(soonest[0], this, pumpNow);
  }

  timerCame(): void {
    this.armedUs = Infinity;
    this.pump();
  }

  /** How long this request must wait, into `wait`. */
  private measure(o: XioObject): void {
    const isRead = o.op === OP_READ;
    const { wait } = this;
    wait[0] = 0;
    this.bytes.waitMs(wait);
    this.ops.waitMs(wait);
    (isRead ? this.readBytes : this.writeBytes).waitMs(wait);
    (isRead ? this.readOps : this.writeOps).waitMs(wait);
  }
}

function pumpNow(limiter: Limiter): void {
  limiter.timerCame();
}

/** The limiters of one host that have a name, so that several throttles can share one. */
export class ThrottleGroups {
  private readonly groups = new Map<string, { limiter: Limiter; members: number }>();

  /** The limiter of that name, made when it is new. Give it back with {@link leave}. */
  join(name: string, clock: Clock): Limiter {
    let group = this.groups.get(name);
    if (group === undefined) this.groups.set(name, (group = { limiter: new Limiter(clock), members: 0 }));
    group.members++;
    return group.limiter;
  }

  leave(name: string): void {
    const group = this.groups.get(name);
    if (group !== undefined && --group.members === 0) this.groups.delete(name);
  }
}

/**
 * The groups of a host. The composition root registers one per host (`registerCheckServices`); a throttle without `group`
 * does without it.
 */
export const THROTTLE_GROUPS: InjectionToken<ThrottleGroups> = Symbol('bricks-check/ThrottleGroups');
