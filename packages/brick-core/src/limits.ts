/** Every bound of the core, with its unit and its reason. */

/** Completers on one object: 9 filters, their 10 wires, both ends and the adaptors; more is a stack gone wrong. */
export const MAX_STACK_DEPTH = 64;

/** Completions delivered in one tick before timers, sockets and the control plane get their turn (bricks.md 5.4). */
export const FINISH_BUDGET = 4096;

/** Objects of one loop when nobody says otherwise: 16 clients at depth 128 each. */
export const DEFAULT_POOL_OBJECTS = 2048;

/** Ring operations under way in one loop: four for each object of the default pool. */
export const DEFAULT_RING_TAGS = 8192;

/** Arena of one loop when nobody says otherwise, bytes. */
export const DEFAULT_ARENA_BYTES = 256 * 1024 * 1024;

/** Arena offsets are int32 in ring descriptors, so an arena stays below 2 GiB (data-path.md 4), bytes. */
export const MAX_ARENA_BYTES = 2 ** 31 - 2 ** 20;

/** Largest payload of one request, bytes (decided.md: requests of up to 1 MiB; NBD clients may send more, front ends cut). */
export const MAX_REQUEST_BYTES = 1024 * 1024;

/** Bytes in front of every payload that a front end may use for a reply header (data-path.md 3). */
export const HEAD_ROOM_BYTES = 64;

/** Timers pending in one loop; each held request of a delaying brick is one. */
export const MAX_TIMERS = 1 << 20;

/** Bricks that can live in one loop at the same time. Each costs every pooled object one aspect slot. */
export const MAX_BRICK_SLOTS = 16_384;

/** Distinct counters or histograms of one brick. */
export const MAX_STATS_PER_BRICK = 256;

/** Pieces that one cutting brick (`split`, `zero`) has under way; more would only queue up below. */
export const MAX_PIECES_IN_FLIGHT = 64;

/** Payload that `align` reads, changes and writes in one go, bytes; longer misaligned requests go in several steps. */
export const BOUNCE_BYTES = 128 * 1024;

/** Zeroes that `zero` writes in one go, bytes: one block per brick, shared by all its requests. */
export const ZERO_BLOCK_BYTES = 64 * 1024;

/** Data that `digest` reads and digests in one go, bytes: about what stays in the second-level cache. */
export const DIGEST_PIECE_BYTES = 256 * 1024;

/** DIGESTS requests that `digest` works on at the same time; each holds one piece of memory. */
export const MAX_DIGEST_JOBS = 8;
