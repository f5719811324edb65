import type { LoopDriver, SeededRandom } from '@mars/brick-core';
import { drawNs, type Latency } from './random.js';
import type { Life } from './world/life.js';
import type { WorldEvent } from './world/queue.js';

/** What a clock and a driver need of the world. */
export interface Timeline {
  readonly nowNs: number;
  schedule(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent;
}

/** 2023-11-14T22:13:20Z: where the wall clocks of all worlds begin, nanoseconds since the epoch. */
const EPOCH_NS = 1_700_000_000_000_000_000n;

/**
 * The two clocks of one host. The monotonic one starts anywhere, never goes back and runs at its own rate (`driftPpm`); the
 * wall clock follows it, is off by a skew and may jump.
 */
export class SimClock {
  private rate = 1;
  /** A moment for which both times are known; moved whenever the rate changes. */
  private atNs = 0;
  private atUs: number;
  private readonly startUs: number;
  private wallBaseNs: bigint;
  private listener: (() => void) | null = null;

  constructor(
    private readonly world: { readonly nowNs: number },
    options: { startUs: number; skewMs?: number; driftPpm?: number },
  ) {
    this.atNs = world.nowNs;
    this.atUs = this.startUs = options.startUs;
    this.wallBaseNs = EPOCH_NS + BigInt(Math.round(world.nowNs)) + msToNs(options.skewMs ?? 0);
    this.rate = rateOf(options.driftPpm ?? 0);
  }

  /** Monotonic microseconds of this host at a moment of virtual time. */
  monotonicUs(atNs: number = this.world.nowNs): number {
    return this.atUs + ((atNs - this.atNs) / 1000) * this.rate;
  }

  wallNs(): bigint {
    return this.wallBaseNs + BigInt(Math.round((this.monotonicUs() - this.startUs) * 1000));
  }

  /** The first whole nanosecond of virtual time at which this host's monotonic clock has reached `dueUs`. */
  virtualNsAt(dueUs: number): number {
    let ns = Math.ceil(this.atNs + ((dueUs - this.atUs) / this.rate) * 1000);
    // Rounding must never let a timer fire before its time: the loop would find nothing due and wait for ever.
    while (this.monotonicUs(ns) < dueUs) ns++;
    return ns;
  }

  /** From now on this clock runs fast (> 0) or slow (< 0), parts per million. */
  setDrift(ppm: number): void {
    this.atUs = this.monotonicUs();
    this.atNs = this.world.nowNs;
    this.rate = rateOf(ppm);
    this.listener?.();
  }

  /** The wall clock jumps, as by an administrator or a wild NTP; the monotonic one does not. */
  jumpMs(ms: number): void {
    this.wallBaseNs += msToNs(ms);
  }

  /** Called when the rate changed; the driver of the running life listens. */
  onRateChange(listener: () => void): void {
    this.listener = listener;
  }
}

function rateOf(ppm: number): number {
  return 1 + ppm / 1e6;
}

function msToNs(ms: number): bigint {
  return BigInt(Math.round(ms * 1e6));
}

/**
 * Turns one loop: ticks are events of the world. A tick keeps its host busy for a moment (`cost`), so virtual time goes on
 * even when a loop always finds something to do.
 */
export class SimDriver implements LoopDriver {
  private tick: () => void = () => {};
  private ready: WorldEvent | null = null;
  private timer: WorldEvent | null = null;
  private dueUs = Infinity;
  private busyUntilNs = 0;
  private isTicking = false;

  constructor(
    private readonly world: Timeline,
    private readonly clock: SimClock,
    private readonly life: Life,
    private readonly cost: Latency,
    private readonly random: SeededRandom,
  ) {
    clock.onRateChange(() => this.setTimer());
  }

  bind(tick: () => void): void {
    this.tick = tick;
  }

  sample(into: Float64Array): void {
    into[0] = this.clock.monotonicUs();
  }

  wallNs(): bigint {
    return this.clock.wallNs();
  }

  arm(): void {
    this.life.check();
    this.ready ??= this.world.schedule(this.freeNs(), 'tick', this.life, () => {
      this.ready = null;
      this.turn();
    });
  }

  armAt(dueUs: number): void {
    this.dueUs = dueUs;
    if (!this.isTicking) this.setTimer();
  }

  private turn(): void {
    this.isTicking = true;
    this.busyUntilNs = this.world.nowNs + drawNs(this.cost, this.random);
    this.tick();
    this.isTicking = false;
    // Level-triggered: while the loop does not name another time, the old one stands, even when it is now.
    this.setTimer();
  }

  private setTimer(): void {
    if (this.dueUs === Infinity) return this.dropTimer();
    const atNs = Math.max(this.freeNs(), this.clock.virtualNsAt(this.dueUs));
    if (this.timer !== null && this.timer.atNs <= atNs) return;
    this.dropTimer();
    this.timer = this.world.schedule(atNs, 'timer', this.life, () => {
      this.timer = null;
      // The timer may have been moved to a later time meanwhile; then this event only sets it again.
      if (this.clock.monotonicUs() >= this.dueUs) this.turn();
      else this.setTimer();
    });
  }

  private dropTimer(): void {
    if (this.timer !== null) this.timer.run = null;
    this.timer = null;
  }

  private freeNs(): number {
    return Math.max(this.world.nowNs, this.busyUntilNs);
  }
}
