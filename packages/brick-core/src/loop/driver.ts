/**
 * What turns a loop: the real event loop (`platform`), the blocking ring thread (`platform`), or the seeded world
 * (`sim`). The loop asks for a turn, the driver gives it by calling `tick`.
 */
export interface LoopDriver {
  /** Told once which function to call. */
  bind(tick: () => void): void;
  /** Writes monotonic microseconds to `into[0]`. No return value: a returned double would be boxed (bricks.md 5.3 rule 8). */
  sample(into: Float64Array): void;
  wallNs(): bigint;
  /** There is work now: tick as soon as other events had their turn. Asking twice before the tick gives one tick. */
  arm(): void;
  /** There will be work at `dueUs` (monotonic µs; Infinity = no timer): tick then. A later call replaces the earlier. */
  armAt(dueUs: number): void;
}
