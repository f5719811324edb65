import type { InjectionToken } from '../di.js';

/** Time of one loop. The only source of time: `Date`, timers and `performance` are banned outside `platform`. */
export interface Clock {
  /** Monotonic microseconds, sampled once per phase of a tick; a double. Starts anywhere, never goes back. */
  readonly nowUs: number;
  /** Wall clock, nanoseconds since the Unix epoch. May jump and lie; only the Lamport clock should look at it. */
  wallNs(): bigint;
  /**
   * Calls `fn(arg)` once, `delayMs` (fractions allowed) after the current phase, from inside a tick. Allocates nothing, so a
   * brick may use it per request with one prepared `fn`. Equal times run in the order of the calls.
   */
  after<T>(delayMs: number, arg: T, fn: (arg: T) => void): void;
  /** Cold path: resolves after `ms`; rejects with the signal's reason when aborted first. */
  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
}

export const CLOCK: InjectionToken<Clock> = Symbol('brick-core/Clock');
