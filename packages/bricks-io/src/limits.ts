/** Every bound of this package, with its unit and its reason. */

/**
 * Piece in which zeroes are written where the kernel cannot zero by itself, and in which is read ahead, bytes. An end has one of
 * each; together with the header page of the arena they fill a block of 128 KiB.
 */
export const PIECE_BYTES = 60 * 1024;

/**
 * Buffered writes up to this many bytes may be done by the loop's own thread (RING_INLINE). On ext4 that is 3 to 4 times the rate of 4k
 * writes and a quarter to a third of their CPU; at 64 KiB the copy itself dominates, and both ways are equal.
 */
export const INLINE_WRITE_BYTES = 64 * 1024;

/** Reads that `sio` has under way at the same time (bricks.md 3.2: 16 read threads). */
export const SIO_MAX_READS = 16;

/** Records of one EXTENTS answer are bounded by the payload; look-ups of the file system by this. */
export const MAX_EXTENT_LOOKUPS = 170;

/** Pause before an operation that the kernel could not take (EAGAIN, EINTR) is tried again, ms (bricks.md 3.1: 1 to 100). */
export const AGAIN_MS = 10;

/** Tries before EAGAIN is answered after all: ten minutes. */
export const MAX_AGAIN = 60_000;
