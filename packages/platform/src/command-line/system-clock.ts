import { setTimeout as sleepFor } from 'node:timers/promises';
import type { Clock } from '@mars/brick-core';
import { WallClock, sampleMonotonic } from '../loop/time.js';

/** The clock of a command-line tool: no ring, no loop, just Node's timers. */
export class SystemClock implements Clock {
  private readonly monotonic = new Float64Array(1);
  private readonly wall = new WallClock();

  get nowUs(): number {
    sampleMonotonic(this.monotonic);
    return this.monotonic[0]!;
  }

  wallNs(): bigint {
    return this.wall.nowNs();
  }

  after<T>(delayMs: number, arg: T, fn: (arg: T) => void): void {
    setTimeout(() => fn(arg), delayMs);
  }

  async sleep(ms: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    await sleepFor(ms, undefined, options);
  }
}
