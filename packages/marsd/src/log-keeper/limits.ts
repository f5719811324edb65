/** Every bound of the log keeper, with its unit and its reason. */

/** How often the directory is looked at: a next log that somebody made, the size of the present one, ms. */
export const LOOK_MS = 1000;

/** A recovery takes at most so many steps, beside those that each logfile needs; more of them would be a circle. */
export const RECOVERY_STEPS = 16;
export const RECOVERY_STEPS_PER_LOG = 6;

/** Rotation when nobody says otherwise: transaction-log.md 5.4, bytes. */
export const ROTATE_BYTES = 32 * 2 ** 30;
export const ROTATE_BYTES_MIN = 2 ** 30;
/** … or at this part of the file system, if that is less. */
export const ROTATE_SHARE = 32;

/** Serial numbers that an emergency leaves out: the version link of the last of them is all zeros (symlink-tree.md 6.8). */
export const HOLE_SERIALS = 10;
/** A logger that works without a log is offered a fresh one after this time, ms. */
export const BYPASS_MS = 30_000;
