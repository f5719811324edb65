/** Every bound of the daemon's resources, with its unit and its reason. */

/** How long requests under way may take to come back when a stack is closed, ms. */
export const CLOSE_TIMEOUT_MS = 30_000;

/** A stack that could not be started is tried again after this time, ms; doubled up to the second. */
export const RETRY_FIRST_MS = 500;
export const RETRY_LAST_MS = 10_000;

/** An export that nobody uses is closed after this time, ms. */
export const EXPORT_IDLE_MS = 60_000;

/** How often the size of an underlying disk is looked at, ms. */
export const LOOK_AT_DISK_MS = 2_000;

/** How often links are written for a position that moves all the time, ms (logger_report_interval_s). */
export const PUBLISH_INTERVAL_MS = 1_000;

/** Unchanged leds that show freshness are written again after this time, ms (symlink-tree.md 2.8). */
export const REFRESH_MS = 15_000;

/** A condition that is gone keeps its text for this time, ms (mars_keep_msg_s). */
export const KEEP_MESSAGE_MS = 10_000;

/** Negative replay codes are published when they have stood for this time, ms (transaction-log.md 3.5). */
export const PERSIST_CODE_MS = 30_000;

/** Ports relative to the first one (transaction-log.md 6.1). */
export const LOG_PORT = 1;
export const DISK_PORT = 2;

/** A member that has not answered for so many scan intervals counts as unreachable (symlink-tree.md 6.3). */
export const UNREACHABLE_INTERVALS = 2;
