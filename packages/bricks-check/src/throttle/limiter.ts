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
    this.capacity = (perSecond * burstMs) / 1000;
    this.level = wasLimiting ? Math.min(this.level, this.capacity) : this.capacity;
  }

  refill(): void {
    const now = this.now[0]!;
    this.level = Math.min(this.capacity, this.level + (now - this.filledUs) * this.perUs);
    this.filledUs = now;
  }

  get isOpen(): boolean {
    return !this.isLimiting || this.level >= 0;
  }

  take(amount: number): void {
    if (this.isLimiting) this.level -= amount;
  }

  /** Until it opens, milliseconds; rounded up to whole microseconds, so that it is open then. */
  get waitMs(): number {
    return this.isOpen ? 0 : Math.ceil(-this.level / this.perUs) / 1000;
  }
}

/**
 * The buckets of one throttle, or of a group of them, and the lanes that wait. Lanes take turns, one request each, so no
 * brick of a group starves another; within a lane the order is kept.
 */
export class Limiter {
  private readonly now = new Float64Array(1);
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
    let waitMs = Infinity;
    for (const lane of this.lanes) if (lane.oldest !== null) waitMs = Math.min(waitMs, this.waitOf(lane.oldest));
    if (waitMs === Infinity) return;
    const dueUs = this.clock.nowUs + waitMs * 1000;
    if (dueUs >= this.armedUs) return;
    this.armedUs = dueUs;
    this.clock.after(waitMs, this, pumpNow);
  }

  timerCame(): void {
    this.armedUs = Infinity;
    this.pump();
  }

  private waitOf(o: XioObject): number {
    const isRead = o.op === OP_READ;
    const bytes = isRead ? this.readBytes : this.writeBytes;
    const ops = isRead ? this.readOps : this.writeOps;
    return Math.max(this.bytes.waitMs, this.ops.waitMs, bytes.waitMs, ops.waitMs);
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
