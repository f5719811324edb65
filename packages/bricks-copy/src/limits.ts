/** Every bound of this package, with its unit and its reason. */

/** What is compared and copied as one unit, bytes: its digests at both levels fit one answer. */
export const CHUNK_BYTES = 1024 * 1024;

/** Span of the first comparison, as a power of two: 16 digests for a chunk, 0.025 % of the data. */
export const COARSE_LOG2 = 16;

/** Span of the second one, and the smallest piece that is copied, as a power of two. */
export const FINE_LOG2 = 12;

/** Longest piece that is read and written in one go, bytes: with its header page exactly a block of 256 KiB. */
export const MAX_PIECE_BYTES = 252 * 1024;

/** Chunks that may be under way when nobody says otherwise, bytes: 100 MB/s at a round trip of 300 ms. */
export const DEFAULT_WINDOW = '32M';

/** Pause before a run starts again after an error, milliseconds; doubled from error to error. */
export const MIN_RETRY_MS = 100;
export const MAX_RETRY_MS = 5000;

/** Without a free object or memory it looks again after this time, milliseconds. */
export const NO_MEMORY_RETRY_MS = 1;
