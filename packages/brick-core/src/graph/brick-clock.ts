import type { FaultOwner } from '../loop/fault.js';
import type { Loop } from '../loop/loop.js';
import type { Clock } from '../machine/clock.js';

/** The loop's clock as one brick is given it: its timers know whose they are, so that the right one is told when one throws. */
export class BrickClock implements Clock {
  /** Set as soon as the brick is there; it gets its clock in the constructor. */
  owner: FaultOwner | null = null;

  constructor(private readonly loop: Loop) {}

  get nowUs(): number {
    return this.loop.nowUs;
  }

  wallNs(): bigint {
    return this.loop.wallNs();
  }

  after<T>(delayMs: number, arg: T, fn: (arg: T) => void): void {
    this.loop.after(delayMs, arg, fn, this.owner);
  }

  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void> {
    return this.loop.sleep(ms, options);
  }
}
