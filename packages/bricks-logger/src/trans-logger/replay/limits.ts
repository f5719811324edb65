/** Every bound of replay, with its unit and its reason. */

/** Memory for log bytes that were read and not yet applied, bytes: one arena block. */
export const WINDOW_BYTES = 508 * 1024;

/** No read of the log is smaller than this while the log is longer, bytes. Source: transaction-log.md 3.1. */
export const READ_BYTES_MIN = 128 * 1024;

/** One read of the log at most, bytes: so that reading and applying overlap. */
export const READ_BYTES_MAX = 256 * 1024;

/** Positions of log reads are multiples of this, bytes, so that a log behind direct I/O works as well. */
export const READ_ALIGN_BYTES = 4096;

/** Records that follow each other on the device become one write of at most this, bytes: one arena block. */
export const MERGE_BYTES = 124 * 1024;

/** Writes under way at once. Source: transaction-log.md 3.1. */
export const PARALLEL_WRITES = 512;

/** The pipeline drains, and the position is published, at least so often, ms. Source: transaction-log.md 3.1. */
export const REPORT_MS = 3000;

/** The same for a replay that has caught up with its log: other hosts wait for its position, ms. */
export const CAUGHT_UP_REPORT_MS = 100;

/** First and longest pause before a growing log is looked at again, ms. Source: transaction-log.md 3.1. */
export const POLL_MS_MIN = 1;
export const POLL_MS_MAX = 1000;

/** When objects or memory have run out and nothing of ours will give any back, ms. */
export const RETRY_MS = 1;

/** Warnings about odd records of one run; more of them only fill the log of the daemon. */
export const WARNINGS_MAX = 10;
