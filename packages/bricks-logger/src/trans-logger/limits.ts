/** Every bound of the logger, with its unit and its reason. */

/** Smallest unit of a device, bytes: what is one sector is never mixed from two writes. */
export const SECTOR_BYTES = 512;

/**
 * Regions of the device, bytes. Records never cross their borders, so that everything that overlaps stands in one region, and
 * a region is written back in one go. Source: transaction-log.md 2.1
 */
export const REGION_BYTES = 64 * 1024;
export const REGION_SECTORS = REGION_BYTES / SECTOR_BYTES;

/** Longest request of a consumer, bytes; longer ones are cut above. */
export const MAX_LEN_BYTES = 1024 * 1024;

/** Slots of the log port: the old and the new logfile of a rotation. Source: transaction-log.md 2.7 */
export const LOG_SLOTS = 2;

/** Versions in memory. Each costs some 200 bytes of JavaScript memory; with the default memory limit 4k writes need 31,744 of them. */
export const MAX_VERSIONS = 1 << 17;

/** Entries of the region table; more regions than that share entries. */
export const REGION_BUCKETS = 1 << 14;

/** Log writes under way. Full blocks may follow each other; a block that is not full waits until all are back (group commit). */
export const LOG_WRITES = 4;

/** Smallest block, bytes: the longest record must fit, and the page of the arena in front. */
export const MIN_BLOCK_BYTES = 64 * 1024;

/** Blocks that the memory limit has room for at least, unless they would be smaller than the smallest. */
export const BLOCKS_MIN = 8;

/** Blocks that stay ours even when nothing is in them: with one the log always gets on, whatever the arena is used for. */
export const RESERVED_BLOCKS = 2;

/** Blocks kept for re-use, so that the arena is not asked for each. */
export const CACHED_BLOCKS = 8;

/** Writebacks that are issued in one tick: they run in the thread of the loop, and a log write may come behind them. */
export const WRITEBACKS_PER_TICK = 16;

/** Without writes for that long the device counts as idle, and everything is written back, ms. */
export const IDLE_MS = 20;

/** A writeback that failed is tried again after this time, then after twice that and so on, ms. Source: bricks.md 7 */
export const WRITEBACK_RETRY_MS = 1000;
export const WRITEBACK_RETRY_MS_MAX = 30_000;

/** A failed log write is tried again after this time while `resume` is on, ms. */
export const RESUME_MS = 1000;

/** How often the stamps of records are compared with the wall clock, ms; in between they follow the clock of the loop. */
export const STAMP_SYNC_MS = 1000;

/** A read that found no memory to mix in looks again after this time, ms. */
export const READ_RETRY_MS = 1;
