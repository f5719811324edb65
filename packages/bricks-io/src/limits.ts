/** Every bound of this package, with its unit and its reason. */

/** Piece in which zeroes are written where the file system cannot zero by itself, bytes. */
export const ZERO_PIECE_BYTES = 64 * 1024;

/** Reads that `sio` has under way at the same time (bricks.md 3.2: 16 read threads). */
export const SIO_MAX_READS = 16;

/** Records of one EXTENTS answer are bounded by the payload; look-ups of the file system by this. */
export const MAX_EXTENT_LOOKUPS = 170;
