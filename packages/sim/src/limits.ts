/** Every bound of the simulator, with its unit and its reason. */

/** Events of one `run` when nobody says otherwise: a scenario that needs more is most likely going in circles. */
export const DEFAULT_MAX_EVENTS = 5_000_000;

/** Events between two turns of the real event loop: often enough for Ctrl-C and for test time-outs, seldom enough to cost nothing. */
export const EVENTS_PER_BREATH = 1024;

/** Lines of a full trace that are kept in memory; the hash goes on behind it. A line is about 60 bytes. */
export const MAX_TRACE_LINES = 2_000_000;

/** Request objects of a simulated host when nobody says otherwise: 20,000 worlds are built in one run. */
export const DEFAULT_SIM_OBJECTS = 64;

/** Arena of a simulated host when nobody says otherwise, bytes: 32 requests of 32 KiB with their header pages. */
export const DEFAULT_SIM_ARENA_BYTES = 4 * 1024 * 1024;

/** Ring operations that can be under way for each request object: the same share as in the core. */
export const RING_TAGS_PER_OBJECT = 4;

/** Metadata operations that wait for a journal commit; beyond it the older half is committed, as a full journal would do. */
export const MAX_JOURNAL_OPS = 4096;

/** Virtual age at which the journal commits a metadata operation by itself, ns (ext4 commits every 5 s). */
export const JOURNAL_COMMIT_NS = 5e9;

/** Symlinks that one path may lead through, as in Linux. */
export const MAX_SYMLINK_HOPS = 40;

/** Open files of one host. */
export const MAX_OPEN_FILES = 4096;

/** Fault rules of one disk. */
export const MAX_FAULT_RULES = 256;

/** Operations of one simulated ring in flight; the addon has the same bound. */
export const MAX_RING_OPS = 65_536;

/** Bytes of one stream that were written and not yet read by the peer, before `write` answers false. */
export const STREAM_HIGH_WATER_BYTES = 256 * 1024;

/** The same, before a writer that ignores that answer is stopped. */
export const MAX_STREAM_BYTES = 64 * 1024 * 1024;

/** Largest segment of a simulated stream, bytes: small enough that frames are cut in their middle. */
export const MAX_SEGMENT_BYTES = 16 * 1024;

/** Segments of one stream under way at a time: its window. */
export const MAX_SEGMENTS_IN_FLIGHT = 16;

/** Longest read of the survey after a crash, bytes. */
export const SURVEY_BYTES = 32 * 1024;

/** Writes that a client remembers per sector before it forgets those that are replaced for good. */
export const MAX_SECTOR_HISTORY = 64;

/** Operations that one sweep visits, each with a run of its own. */
export const MAX_SWEEP = 10_000;

/** Lines per host in the report of a stuck world. */
export const MAX_WAIT_LINES = 32;
