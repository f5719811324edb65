/** Every bound of the front ends, with its unit and its reason. */

/** Clients of one listener at the same time; each costs about 64 KiB of arena while it is quiet. */
export const MAX_CONNECTIONS = 512;

/** Time for the whole handshake, TLS included: long enough for a slow line, short enough for attackers. */
export const HANDSHAKE_TIME = '30s';

/** Longest option that is looked at, bytes: an export name, and a few queries. */
export const MAX_OPTION_BYTES = 8192;

/** Longer options are skipped and answered TOO_BIG up to this length, bytes; beyond, the client is not an NBD client. */
export const MAX_SKIPPED_OPTION_BYTES = 64 * 1024;

/** Options of one handshake: real clients send fewer than ten, `nbdinfo --list` three per export. */
export const MAX_OPTIONS = 4096;

/** Requests of one connection that may be under way, and replies that were not sent, together. */
export const DEFAULT_DEPTH = 128;
export const MAX_DEPTH = 1024;

/** Objects of the pool that front ends leave to the bricks below, which need some of their own. */
export const POOL_RESERVE = 64;

/** Arena that the requests of one connection hold, bytes: a client that reads no replies keeps its own share, not everybody's. */
export const MAX_SESSION_BYTES = 32 * 1024 * 1024;

/** A connection that holds more than this leaves `GREEDY_FREE_SHARE` of the arena to the others, bytes. */
export const GREEDY_BYTES = 2 * 1024 * 1024;
export const GREEDY_FREE_SHARE = 0.25;

/** This share of the arena is left to handshakes, to the bricks below, and to connections that hold no more than `MODEST_BYTES`. */
export const FREE_SHARE = 0.05;
export const MODEST_BYTES = 128 * 1024;

/** A client that has begun a large WRITE must deliver its payload within this time, ms: it occupies memory meanwhile. */
export const PAYLOAD_MS = 60_000;

/** How often late payloads are looked for, ms. */
export const PAYLOAD_SWEEP_MS = 10_000;

/** Receive buffer of a connection that is quiet, bytes: with its header page it fills 32 KiB of the arena. */
export const STREAM_BYTES = 7 * 4096;

/** Receive buffer of a busy connection, bytes: with its header page 256 KiB. */
export const BUSY_STREAM_BYTES = 63 * 4096;

/** A buffer grows only while at least this share of the arena is free. */
export const GROW_FREE_SHARE = 0.25;

/** Payloads of WRITE up to this length pass through the receive buffer, bytes; a copy costs less than one more receive. */
export const INLINE_WRITE_BYTES = 12 * 1024;
export const BUSY_INLINE_WRITE_BYTES = 32 * 1024;

/** Longest piece of a long request, bytes: what one object carries. */
export const PIECE_BYTES = 1024 * 1024;

/** The same for requests without payload, bytes; keeps lengths in the range of small integers. */
export const RANGE_PIECE_BYTES = 1024 * 1024 * 1024;

/** Long requests of one connection that are under way. */
export const MAX_LONG_REQUESTS = 16;

/** READ and WRITE above this length are refused, bytes: what clients may count on. */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** Spans of one send; a tick of the busiest connection fits. */
export const MAX_SEND_SPANS = 256;

/** Bytes of one send, above which the rest waits for the next one: so memory comes back while a slow client reads. */
export const MAX_SEND_BYTES = 2 * 1024 * 1024;

/** Buffers that we ask the kernel for, bytes; it gives what its limits allow. */
export const SOCKET_BUFFER_BYTES = 1024 * 1024;

/** Pause before a connection without memory or objects tries again, when nothing of its own will wake it, ms. */
export const RETRY_MS = 1;

/** Pause before accepting again when the process is out of descriptors, ms. */
export const ACCEPT_PAUSE_MS = 100;

/** Clients get this time to take the last replies when the brick is switched off, ms. */
export const DRAIN_MS = 5_000;

/** Operations of a socket that was shut down should end at once; after this time it is closed under them, ms. */
export const LINGER_MS = 1_000;

/** Export names and descriptions in parameters, characters. */
export const MAX_PARAM_NAME = 255;
export const MAX_DESCRIPTION = 1024;
