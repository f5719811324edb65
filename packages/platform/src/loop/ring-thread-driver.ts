import { invariant, type LoopDriver, type RingQueue } from '@mars/brick-core';
import { sampleMonotonic, WallClock } from './time.js';

/** While requests flow, promises, timers and messages of this thread get a turn this often, µs. */
export const EVENT_LOOP_TURN_US = 1000;
/** Longest sleep in the ring; the ring itself returns at least that often. µs */
const SLEEP_MAX_US = 100_000;
/** The first sleep after any activity is short, and each one that brings nothing doubles the next: promises and file calls of
 * this thread are then late by about as long as they took, and an idle thread wakes up ten times a second. µs */
const FIRST_SLEEP_US = 1000;

/** Spinning before a sleep, as the ring offers it. */
export interface Spin {
  /** Longest spin, µs. */
  us: number;
  set(us: number): void;
}

export interface RingThreadStats {
  ticks: number;
  /** Returns to the event loop. */
  turns: number;
}

/**
 * Turns the loop of a thread of its own, which blocks in its ring: one crossing per tick, timers as the wait's time limit.
 *
 * ```
 *  setImmediate ─► [ turn(wait) ─► tick ─► turn(wait) ─► tick ─► … ] ─► setImmediate ─► …
 *                   blocked in the ring                                  promises, timers, messages run here
 * ```
 * Inside the brackets nothing else of this thread runs (data-path.md 5). They are left: after EVENT_LOOP_TURN_US of work, when
 * a sleep brought nothing, and at once on a wake-up from outside. So the control plane of this thread is late by about a
 * millisecond at most while data flows, and a message together with `wakeRing` reaches it at once.
 */
export class RingThreadDriver implements LoopDriver {
  readonly stats: RingThreadStats = { ticks: 0, turns: 0 };
  private readonly now = new Float64Array(1);
  private readonly wall = new WallClock();
  private runTick: () => void = () => {};
  private queue: RingQueue | null = null;
  private spin: Spin | null = null;
  private maySpin = true;
  private armed = false;
  private dueUs = Infinity;
  private sleepUs = FIRST_SLEEP_US;
  private immediate: NodeJS.Immediate | null = null;
  private closed = false;

  bind(tick: () => void): void {
    this.runTick = tick;
  }

  /** Starts turning; the loop must have its ring by now. */
  start(queue: RingQueue, spin: Spin | null = null): void {
    invariant(this.queue === null, 'a ring thread is started once');
    this.queue = queue;
    this.spin = spin;
    queue.driveFromOutside();
    this.immediate = setImmediate(this.block);
  }

  sample(into: Float64Array): void {
    sampleMonotonic(into);
  }

  wallNs(): bigint {
    return this.wall.nowNs();
  }

  arm(): void {
    this.armed = true;
  }

  armAt(dueUs: number): void {
    this.dueUs = dueUs;
  }

  close(): void {
    this.closed = true;
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.immediate = null;
  }

  /** Stays in the ring until it is time for the event loop. */
  private readonly block = (): void => {
    this.immediate = null;
    this.stats.turns++;
    sampleMonotonic(this.now);
    const turnUs = this.now[0]! + EVENT_LOOP_TURN_US;
    while (!this.closed) {
      if (this.spin !== null) this.chooseSpin();
      const events = this.queue!.turn(this.waitUs());
      const fromUs = this.now[0]!;
      sampleMonotonic(this.now);
      const isDue = this.now[0]! >= this.dueUs;
      if (events === 0 && !isDue && !this.armed) {
        this.rest(this.now[0]! - fromUs);
        break;
      }
      this.sleepUs = FIRST_SLEEP_US;
      this.armed = false;
      if (isDue) this.dueUs = Infinity;
      this.stats.ticks++;
      this.runTick();
      if (this.now[0]! >= turnUs) break;
    }
    if (!this.closed) this.immediate = setImmediate(this.block);
  };

  /** Nothing came: either the sleep is over, or somebody woke us because there is a message in the event loop. */
  private rest(sleptUs: number): void {
    const wasWoken = sleptUs < this.sleepUs;
    this.sleepUs = wasWoken || hasFileCalls() ? FIRST_SLEEP_US : Math.min(2 * this.sleepUs, SLEEP_MAX_US);
  }

  /** While files are written, the processor is needed by the kernel's own writers (measured: 256k writes 0.6 with, 1.1 without). */
  private chooseSpin(): void {
    const may = this.queue!.storesInFlight === 0;
    if (may === this.maySpin) return;
    this.maySpin = may;
    this.spin!.set(may ? this.spin!.us : 0);
  }

  private waitUs(): number {
    if (this.armed) return 0;
    return Math.max(0, Math.min(Math.ceil(this.dueUs - this.now[0]!), this.sleepUs));
  }
}

/** Calls in the thread pool end in the event loop: then it is not time for a long sleep. */
function hasFileCalls(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
}
