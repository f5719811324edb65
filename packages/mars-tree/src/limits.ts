/** Every bound of the tree, with its unit and its reason. */

/** Longest value of a link, bytes of UTF-8: what ext4 and tmpfs can hold (XFS: 1024, which no key of ours exceeds). */
export const MAX_VALUE_BYTES = 4095;

/** Longest name that we write, bytes: 255 of the file system, less the room for `.tmp.PID.` in front. */
export const MAX_NAME_BYTES = 230;

/** Longest path below `/mars` that we write, bytes. */
export const MAX_PATH_BYTES = 1024;

/** Directories above a link, at most: `resource-R/actual-H/if-on` has two; foreign trees below `probe-HOST/mars` two more. */
export const MAX_DEPTH = 6;

/** Longest host, resource or device name, characters (symlink-tree.md, grammar tokens). */
export const MAX_IDENTIFIER_CHARS = 63;

/** Longest text of a `msg-` link, bytes (symlink-tree.md 2.8). */
export const MAX_MESSAGE_BYTES = 1023;

/** A stamp this far ahead of real time is corrupt, seconds: 30 days (symlink-tree.md 4.4; tunable `max_lamport_future`). */
export const MAX_LAMPORT_FUTURE_S = 30 * 86_400;

/** Tombstones of `ips/` and of hosts that were away are kept this long, hours (symlink-tree.md 3.5; `--keep-backup-hours`). */
export const KEEP_TOMBSTONE_HOURS = 168;

/** What is younger than this is never collected, seconds (symlink-tree.md 3.5; `--window`). */
export const TOMBSTONE_WINDOW_S = 60;

/** Temporary links of other programs are left-overs when they are this old, seconds (symlink-tree.md 3.1). */
export const STALE_TEMPORARY_S = 3600;

/** Attempts to create the directories above a link (symlink-tree.md 3.1). */
export const MAX_MAKE_DIR_ATTEMPTS = 3;

/** Odd things in the tree that are remembered, so that each is reported once; beyond it they are only counted. */
export const MAX_PROBLEMS = 1000;

/** Between the first news of a change and the look at it, ms: a batch of `marsadm` is then one change. */
export const SETTLE_MS = 5;

/** The same for log files that are known already, ms: the primary's grows with every write, and nobody needs its size more often. */
export const LOG_SETTLE_MS = 200;

/** Changed names of one directory that are remembered singly; beyond it the whole directory is read again. */
export const MAX_DIRTY_NAMES = 256;

/** Entries that are looked at before the loop gets its turn again: a few milliseconds of work. */
export const LOOK_BUDGET = 500;

/** Pause between two portions of such work, ms. */
export const LOOK_PAUSE_MS = 1;

/** Every directory's own time is compared this often, seconds: it shows renames that a watch has missed. */
export const GLANCE_PERIOD_S = 300;

/** Every entry is looked at this often, seconds: finds what changes no directory (`touch -h`). */
export const SCAN_PERIOD_S = 3600;

/** Step of both, ms. */
export const SWEEP_STEP_MS = 1000;

/** A directory that changed less than this before it was read may have changed again in the same moment, ms. */
export const RACY_MS = 2000;

/** Directories that are watched, at most (a thousand resources of eight hosts have 20,000); the rest is only swept. */
export const MAX_WATCHES = 100_000;

/** Entries of one directory that are read; a tree needs 1,000 per resource, so more than this is an accident of somebody else's. */
export const MAX_DIRECTORY_ENTRIES = 200_000;

/** Links that a tree must have before "most stamps are too far ahead" says something about the system clock. */
export const MIN_LINKS_TO_DOUBT_CLOCK = 16;

/** Markers of the old deletion protocol are honoured this long, days (symlink-tree.md 3.6). */
export const OLD_MARKER_DAYS = 7;

/** Log files whose growth is remembered for the next look: one that is written, and some that are fetched, for each of 1,000 resources. */
export const MAX_GROWING_LOGS = 10_000;
