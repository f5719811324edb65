/** Every bound of marsadm, with its unit and its reason. */

/** Default of `--timeout`, seconds (marsadm.md 2). */
export const DEFAULT_TIMEOUT_S = 600;

/** Default of `--window`, seconds: what is older is no sign of life any more. */
export const DEFAULT_WINDOW_S = 60;

/** Between two looks at the tree while waiting, ms: a command on an idle LAN should end well within a second. */
export const LOOK_MS = 100;

/** A wait says what it waits for this often, ms (marsadm.md 6.2: "per second"). */
export const SAY_MS = 1000;

/** A LOOP phase is repeated this often, ms. */
export const LOOP_MS = 250;

/** Peers are triggered again this often while they do not answer, ms. */
export const TRIGGER_AGAIN_MS = 1000;

/** No peer is called dead before this time, ms: the original looks for the first time after a second. */
export const PEER_GRACE_MS = 1000;

/** From this many peers on only their number is shown (marsadm.md 6.4). */
export const MAX_PEERS_NAMED = 9;

/** "Role is stable" check: rounds without and with `--force` (marsadm.md 6.5). */
export const STABLE_ROUNDS = 17;
export const STABLE_ROUNDS_FORCED = 2;

/** Resources of one command line; more is an accident. */
export const MAX_RESOURCES = 10_000;

/** join-resource starts again after a race with log rotation, at most (marsadm.md 8). */
export const MAX_JOIN_ATTEMPTS = 5;

/** Phases of a command cannot go on for ever when the world keeps changing: rounds of log-purge (marsadm.md 11). */
export const MAX_PURGE_ROUNDS = 4;

/** Smallest and granularity of sizes, bytes (marsadm.md 2, 8). */
export const SIZE_STEP_BYTES = 4096;
export const MIN_RESOURCE_BYTES = 65_536;

/** Longest wait for `ssh HOST marsadm invite`, ms. */
export const SSH_TIMEOUT_MS = 20_000;

/** Steps of a chain of addresses in ips/ (symlink-tree.md 2.1). */
export const MAX_ADDRESS_HOPS = 3;

/** join-cluster with a running daemon: rounds, and how long each is, ms (marsadm.md 6.5). */
export const MAX_JOIN_ROUNDS = 5;
export const JOIN_ROUND_MS = 3000;

/** Longest wait for `marsd stop`, ms: it writes back everything first. */
export const STOP_TIMEOUT_MS = 600_000;

/** leave-cluster: time for the last message to reach the peers, ms. */
export const LEAVE_SETTLE_MS = 2000;

/** Steps back in a history of logs; a resource keeps a few hundred. */
export const MAX_HISTORY_STEPS = 100_000;

/** cron: between rotating and deleting, ms (marsadm.md 6.5). */
export const CRON_PAUSE_MS = 7000;

/** view --watch: time between two pictures, ms. */
export const WATCH_MS = 1000;
