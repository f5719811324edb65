/**
 * Operations and flags of a request. Plain constants instead of an enum: they are compared on the hot path and travel
 * as numbers. Source: bricks.md 5.2, 5.3.
 */
export const OP_READ = 0;
/** Durable at completion with `F_FUA`; without it only accepted. */
export const OP_WRITE = 1;
/** Everything that completed before this request was issued is durable when it completes. `len` is 0. */
export const OP_FLUSH = 2;
/** The range's contents are no longer needed; reads may give anything until it is written again. */
export const OP_TRIM = 3;
/** The range reads as zeroes afterwards. */
export const OP_ZERO = 4;
/**
 * Tells what is allocated. `pos` and `len` name the range; the payload has room for `EXTENTS_PAYLOAD_BYTES`. The provider fills
 * it with records that follow each other without a gap from `pos` on, clipped to the range, and sets `len` to the bytes it
 * filled. They may cover less than the range: ask again from the end of the last one.
 */
export const OP_EXTENTS = 5;
/** Hint: the range will be read soon. */
export const OP_CACHE = 6;
/**
 * Digests of a range, computed where the data is. `pos` and `len` name the range; `flags` name the algorithm (`F_DIGEST_*`) and the span
 * ({@link spanFlags}). The provider writes one digest of `DIGEST_BYTES` for each span of the range (the last span may be shorter), one
 * behind the other, to the payload, which has room for `DIGESTS_PAYLOAD_BYTES`, and sets `len` to the bytes it wrote. Fewer than asked
 * for: the data ended.
 */
export const OP_DIGESTS = 7;
export const OP_COUNT = 8;

/** Names for people, indexed by operation. */
export const OP_NAMES = ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache', 'digests'] as const;
export type OpName = (typeof OP_NAMES)[number];

/** Set by the provider of a successful read: the payload holds the data. */
export const F_UPTODATE = 1 << 0;
/** Only the digest of the data is wanted; the payload is neither filled nor transferred. */
export const F_NODATA = 1 << 6;
/** Forced unit access: this write (or zero, or trim) is durable when it completes. */
export const F_FUA = 1 << 8;
/** ZERO may be done by unmapping the range. */
export const F_MAY_TRIM = 1 << 9;
/** ZERO fails with EOPNOTSUPP rather than be emulated slowly. */
export const F_FAST = 1 << 10;
/** EXTENTS: the first extent is enough. */
export const F_REQ_ONE = 1 << 11;

/** DIGESTS: XXH3-128, little-endian, lower half first. Fast; no protection against somebody who wants two blocks to look alike. */
export const F_DIGEST_XXH3 = 1 << 21;
/** DIGESTS: the first 128 bits of SHA-256. */
export const F_DIGEST_SHA256 = 1 << 22;
export const DIGEST_FLAGS = F_DIGEST_XXH3 | F_DIGEST_SHA256;
/** Bits 16-20 of `flags`: log2 of the span of DIGESTS. */
const SPAN_SHIFT = 16;
const SPAN_MASK = 0x1f;

/** Smallest and largest span of DIGESTS, bytes, as powers of two. */
export const MIN_SPAN_LOG2 = 9;
export const MAX_SPAN_LOG2 = 20;

/** The `flags` bits for DIGESTS with spans of `2 ** log2` bytes. */
export function spanFlags(log2: number): number {
  return (log2 & SPAN_MASK) << SPAN_SHIFT;
}

/** log2 of the span that the `flags` of a DIGESTS request name. */
export function spanLog2(flags: number): number {
  return (flags >>> SPAN_SHIFT) & SPAN_MASK;
}

/** Priorities (bricks.md 2.1). */
export const PRIO_HIGH = -1;
export const PRIO_NORMAL = 0;
export const PRIO_LOW = 1;

/** One extent record in the payload of EXTENTS: f64 pos, f64 len, u32 type, u32 zero; little endian. */
export const EXTENT_BYTES = 24;
/** Room for records that every EXTENTS request brings, bytes: 170 records. */
export const EXTENTS_PAYLOAD_BYTES = 170 * EXTENT_BYTES;
/** One digest in the payload of DIGESTS, bytes. */
export const DIGEST_BYTES = 16;
/** Room that every DIGESTS request brings, bytes: 256 digests. */
export const DIGESTS_PAYLOAD_BYTES = 256 * DIGEST_BYTES;

/** Extent types: bit set, as in NBD's base:allocation. */
export const EXTENT_HOLE = 1 << 0;
export const EXTENT_ZERO = 1 << 1;
