import { InvariantError } from '../invariant.js';

/** Somebody whose code the loop calls (timers, `endBatch`, `ringDone`), and who is told when that code threw. Bricks are. */
export interface FaultOwner {
  /**
   * @param error what was thrown; never a failed invariant
   * @param work  what it was working on: the argument of the timer, the place of the ring operation, or `null`
   */
  onFault(error: unknown, work: unknown): void;
}

/**
 * The code of `owner` threw. If it can be told, the loop goes on without the mistake, and everybody else in this process
 * keeps running; if nobody knows whose code that was, or an invariant failed, the process must not go on.
 */
export function reportFault(owner: unknown, error: unknown, work: unknown): void {
  if (error instanceof InvariantError || !isFaultOwner(owner)) throw error;
  owner.onFault(error, work);
}

function isFaultOwner(owner: unknown): owner is FaultOwner {
  return typeof owner === 'object' && owner !== null && 'onFault' in owner && typeof owner.onFault === 'function';
}
