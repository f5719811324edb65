import { EVENTS_PER_BREATH } from '../limits.js';

/**
 * Lets promise callbacks run dry between two events.
 *
 * ```
 *   event ──> microtasks: callbacks, those they queue, ..., ours ──> tick queue: next event
 *                                              └ queues the tick ┘
 * ```
 * A tick that is queued from inside a microtask runs when no microtask is left, however many were added on the way. That is
 * about 0.3 µs per event; a `setImmediate` (1 µs) comes only once in a while, so that signals and test time-outs get their turn.
 * This is the only place of the simulator that touches the real event loop, and nothing that the world sees depends on it.
 */
export class Turns {
  private sinceBreath = 0;

  /** Calls `next` when every promise callback has run. */
  afterPromises(next: () => void): void {
    if (++this.sinceBreath >= EVENTS_PER_BREATH) return this.afterEverything(next);
    // eslint-disable-next-line no-restricted-properties -- the one door to the real event loop, see above
    queueMicrotask(() => process.nextTick(next));
  }

  /** The same, and rejections that nobody handles have been reported too. */
  afterEverything(next: () => void): void {
    this.sinceBreath = 0;
    // eslint-disable-next-line no-restricted-globals -- the same
    setImmediate(next);
  }
}

type RejectionListener = NodeJS.UnhandledRejectionListener;

/**
 * Takes over rejections that nobody handles while a world runs: those of dead hosts are no errors, and others must fail this
 * world and not the process. @returns puts the former listeners back
 */
export function takeOverRejections(onRejection: (reason: unknown) => void): () => void {
  const before = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  const mine: RejectionListener = (reason) => onRejection(reason);
  process.on('unhandledRejection', mine);
  return () => {
    process.removeListener('unhandledRejection', mine);
    for (const listener of before) process.on('unhandledRejection', listener);
  };
}
