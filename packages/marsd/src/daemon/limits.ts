/** Every bound of the daemon, with its unit and its reason. */

/** The mount point of the tree may appear a little late at boot: waits before giving up, ms (symlink-tree.md, section 2). */
export const MOUNT_WAITS_MS: readonly number[] = [1000, 2000, 3000];

/** Between two rounds at least, ms; news that come meanwhile share the next one (symlink-tree.md 6.1). */
export const ROUND_PAUSE_MS = 100;

/** From a trigger to its round, ms: time for the watch to bring the links that were written just before. */
export const TRIGGER_SETTLE_MS = 10;

/** `marsd start` waits so long for the daemon, ms: a tree of a million links takes seven seconds, a slow disk some more. */
export const START_TIMEOUT_MS = 120_000;

/** `marsd stop` waits so long after the daemon has agreed, ms. */
export const STOP_TIMEOUT_MS = 120_000;

/** Pause between two looks whether the daemon is gone, ms. */
export const STOP_POLL_MS = 20;

/** An answer on the control socket takes at most this long, ms. */
export const CONTROL_TIMEOUT_MS = 10_000;

/** Clients of the control socket at a time. */
export const MAX_CONTROL_CLIENTS = 16;

/** After somebody has unmounted the control files they come back, ms. */
export const REMOUNT_PAUSE_MS = 1000;

/** Tombstones that nobody needs are looked for this often, ms. */
export const COLLECT_PERIOD_MS = 3_600_000;

/** Bytes of marsd.log before it is renamed, and renamed ones that are kept. */
export const LOG_FILE_BYTES = 8 * 1024 * 1024;
export const LOG_FILES_KEPT = 3;

/** Payload memory of the daemon's own loop, bytes: fetch, sync, replay and exports run here. Pages that nobody uses cost nothing. */
export const ARENA_BYTES = 256 * 1024 * 1024;
export const POOL_OBJECTS = 4096;

/** `marsd.yaml` is read as a whole, bytes. */
export const MAX_CONFIG_BYTES = 1 << 20;

/** Longest file name of a unix socket, bytes (sockaddr_un, with its end). */
export const MAX_SOCKET_PATH_BYTES = 107;

/** A host that is joining asks the inviting host this often, ms. */
export const JOIN_RETRY_MS = 2000;

/** A port that could not be opened is tried again after, ms. */
export const LISTEN_RETRY_MS = 5000;

/** The own certificate is looked at this often, ms; it is renewed when half of its life is over. */
export const RENEW_PERIOD_MS = 3_600_000;
