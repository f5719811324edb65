/** Operations of one tick, when nobody says otherwise: more wait in the overflow queue of the RingQueue. */
export const DEFAULT_RING_ENTRIES = 1024;

/** Operations under way in the fallback; as in the addon, more complete with -EBUSY. */
export const THREAD_RING_IN_FLIGHT = 65_536;

/** Vector elements of one tick in the fallback, for each operation of a tick. */
export const SPANS_PER_ENTRY = 16;

/** Socket handles of the fallback start here: above every descriptor (fs.nr_open), so the two cannot be mixed up. */
export const FIRST_HANDLE = 1 << 20;

/** Accepted connections of a fallback listener that nobody asked for yet; more are refused. */
export const ACCEPT_BACKLOG = 128;

/** Longest message the fallback puts together for one send, bytes. */
export const SEND_MAX_BYTES = 64 * 1024 * 1024;
