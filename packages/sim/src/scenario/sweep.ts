import { invariant } from '@mars/brick-core';
import { MAX_SWEEP } from '../limits.js';

/**
 * Plays a story for N = 1, 2, 3 …, with a fault at the Nth operation, until the fault is not reached any more: then every
 * operation of the story has failed once.
 * @param play returns whether the fault was hit
 * @returns how many operations there were
 */
export async function forEachNth(play: (nth: number) => Promise<boolean>): Promise<number> {
  for (let nth = 1; nth <= MAX_SWEEP; nth++) if (!(await play(nth))) return nth - 1;
  invariant(false, 'a sweep did not end within MAX_SWEEP operations: the story must be shorter');
}
