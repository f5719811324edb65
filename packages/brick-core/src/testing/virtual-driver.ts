import { invariant } from '../invariant.js';
import type { LoopDriver } from '../loop/driver.js';

/** Ticks without a pause after which we believe that a brick spins. */
const MAX_TICKS_AT_ONCE = 1_000_000;
/** Turns of the microtask queue that a chain of promises may need between two ticks. */
const MICROTASK_TURNS = 20;

/** A clock that stands still until a test moves it: the driver of one loop in tests. */
export class VirtualDriver implements LoopDriver {
  private nowUs = 1_000_000;
  private tick: () => void = () => {};
  private armed = false;
  private dueUs = Infinity;

  bind(tick: () => void): void {
    this.tick = tick;
  }

  sample(into: Float64Array): void {
    into[0] = this.nowUs;
  }

  wallNs(): bigint {
    return 1_700_000_000_000_000_000n + BigInt(Math.round(this.nowUs)) * 1000n;
  }

  arm(): void {
    this.armed = true;
  }

  armAt(dueUs: number): void {
    this.dueUs = dueUs;
  }

  /** Runs ticks until nothing is due now. Time does not move. */
  runUntilIdle(): void {
    for (let ticks = 0; this.armed || this.dueUs <= this.nowUs; ticks++) {
      invariant(ticks < MAX_TICKS_AT_ONCE, 'the loop does not come to rest: a brick arms itself again and again');
      this.armed = false;
      // Stored only when it changes: a double that is stored is boxed, and bricks with many ticks would be blamed for it.
      if (this.dueUs <= this.nowUs) this.dueUs = Infinity;
      this.tick();
    }
  }

  /** Lets that much time pass, timer by timer. */
  advanceMs(ms: number): void {
    const end = this.nowUs + ms * 1000;
    this.runUntilIdle();
    while (this.dueUs <= end) {
      this.nowUs = this.dueUs;
      this.runUntilIdle();
    }
    this.nowUs = end;
  }

  /** Time of the next timer; false when there is none. Jumps there. */
  skipToNextTimer(): boolean {
    if (this.dueUs === Infinity) return false;
    this.nowUs = Math.max(this.nowUs, this.dueUs);
    this.runUntilIdle();
    return true;
  }

  /** Runs ticks, promises and timers (time moves) until the promise settles. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const watch = promise.finally(() => (isSettled = true)).catch(() => {});
    let idleTurns = 0;
    while (!isSettled) {
      this.runUntilIdle();
      await this.microtasks();
      if (isSettled || this.armed) continue;
      // However many timers have fired: a chain of promises may need a few turns after the last one.
      idleTurns = this.skipToNextTimer() ? 0 : idleTurns + 1;
      invariant(idleTurns < MICROTASK_TURNS, 'a promise waits, but nothing is left that could settle it');
    }
    await watch;
    return promise;
  }

  private async microtasks(): Promise<void> {
    for (let i = 0; i < MICROTASK_TURNS; i++) await Promise.resolve();
  }
}
