/** Every bound of this package, with its unit and its reason. */

/** Problems shown at once; more do not fit on one screen. */
export const MAX_PROBLEMS = 10;

/** Longest stack file, bytes: a hundred times the largest that a person would write. */
export const MAX_STACK_FILE_BYTES = 1024 * 1024;

/** Longest condition, characters (schema: `maxLength`). */
export const MAX_EXPRESSION_LENGTH = 400;

/** Brackets and `!` inside each other in one condition; keeps the parser off the end of its call stack. */
export const MAX_EXPRESSION_DEPTH = 64;

/** Elements of a list variable, i.e. members of one family. */
export const MAX_LIST_ITEMS = 256;

/** Bricks of one stack, families counted per member. */
export const MAX_STACK_BRICKS = 1024;

/** Steps per brick without a rest in between; more are needed only by conditions that switch each other on and off. */
export const MAX_STEPS_PER_BRICK = 64;

/** First and longest wait before failed steps are tried again, ms; doubled in between. */
export const RETRY_MS_MIN = 250;
export const RETRY_MS_MAX = 10_000;

/** How often the bricks of a running stack have their `round`, ms. Source: bricks.md 4.5, scan_interval */
export const SCAN_INTERVAL_MS = 5_000;
