/** Every bound of the border between a stack's thread and its owner, with its reason. */

/** Calls of the owner that wait for an answer; a stack that does not answer must not gather callers without end. */
export const MAX_CALLS_UNDER_WAY = 1024;

/** Events that the owner has not reported as seen; beyond that the thread holds them back and joins equal ones. */
export const MAX_EVENTS_UNDER_WAY = 1024;

/** The owner reports as seen so many at once; far below the bound above, so that the thread need not wait for it. */
export const EVENTS_PER_REPORT = 64;

/**
 * Events that the thread holds back, joined: the last led per brick, the last value per fact, the last outcome per step.
 * Room for 1024 bricks (the largest stack) with 15 things to say each; beyond that the oldest is dropped.
 */
export const MAX_EVENTS_WAITING = 16_384;

/** How long a data thread looks for completions before it sleeps, µs: at depth 1 the wake-up costs more than the request (data-path.md 5). */
export const DEFAULT_SPIN_US = 100;
