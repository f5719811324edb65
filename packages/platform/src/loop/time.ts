import { performance } from 'node:perf_hooks';

/** Monotonic microseconds of this thread into `into[0]`; starts anywhere. */
export function sampleMonotonic(into: Float64Array): void {
  into[0] = performance.now() * 1000;
}

const NS_PER_MS = 1_000_000n;

/**
 * The wall clock in nanoseconds. `Date.now()` knows only milliseconds; the monotonic clock fills in the rest, and is pulled
 * back into the millisecond that the system's clock names, so jumps of the wall clock are followed at once.
 */
export class WallClock {
  private offsetNs = 0n;

  constructor(
    private readonly nowMs: () => number = Date.now,
    private readonly monotonicNs: () => bigint = process.hrtime.bigint,
  ) {}

  nowNs(): bigint {
    const fromNs = BigInt(this.nowMs()) * NS_PER_MS;
    const toNs = fromNs + NS_PER_MS - 1n;
    const monotonicNs = this.monotonicNs();
    const guessNs = monotonicNs + this.offsetNs;
    const wallNs = guessNs < fromNs ? fromNs : guessNs > toNs ? toNs : guessNs;
    this.offsetNs = wallNs - monotonicNs;
    return wallNs;
  }
}
