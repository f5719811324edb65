import {
  OP_CACHE,
  OP_COUNT,
  OP_DIGESTS,
  OP_EXTENTS,
  OP_FLUSH,
  OP_NAMES,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  type OpName,
} from './ops.js';

/** Capability bits of a provider. Source: bricks.md 5.7. */
export const CAP_WRITE = 1 << 0;
export const CAP_FLUSH = 1 << 1;
export const CAP_TRIM = 1 << 2;
/** ZERO is at least as fast as TRIM. */
export const CAP_FAST_ZERO = 1 << 3;
export const CAP_EXTENTS = 1 << 4;
/** Writes may start at or beyond the end; reads there are short. */
export const CAP_GROW = 1 << 5;
/** Reserved (decided.md): a provider that lends its own memory. */
export const CAP_LEND = 1 << 6;
/** Never serves short within `align` and `maxLen`, except READ at the end of a growing file. */
export const CAP_WHOLE = 1 << 7;
/** Starts transfers of equal priority in the order of the `io` calls. */
export const CAP_ORDERED = 1 << 8;
/** There is a network below. */
export const CAP_REMOTE = 1 << 9;
export const CAP_ROTATIONAL = 1 << 10;
/** Digests that the provider computes by itself for `F_NODATA` reads, one bit each. */
export const CAP_CSUM_MD5 = 1 << 17;
export const CAP_CSUM_CRC32C = 1 << 18;
export const CAP_CSUM_SHA1 = 1 << 20;
/** Algorithms of DIGESTS, at the same bits as `F_DIGEST_*`. Without any of them DIGESTS is not offered. */
export const CAP_DIGEST_XXH3 = 1 << 21;
export const CAP_DIGEST_SHA256 = 1 << 22;
export const CAP_DIGESTS = CAP_DIGEST_XXH3 | CAP_DIGEST_SHA256;

const CAP_NAMES: readonly (readonly [number, string])[] = [
  [CAP_WRITE, 'WRITE'],
  [CAP_FLUSH, 'FLUSH'],
  [CAP_TRIM, 'TRIM'],
  [CAP_FAST_ZERO, 'FAST_ZERO'],
  [CAP_EXTENTS, 'EXTENTS'],
  [CAP_GROW, 'GROW'],
  [CAP_LEND, 'LEND'],
  [CAP_WHOLE, 'WHOLE'],
  [CAP_ORDERED, 'ORDERED'],
  [CAP_REMOTE, 'REMOTE'],
  [CAP_ROTATIONAL, 'ROTATIONAL'],
  [CAP_CSUM_MD5, 'CSUM_MD5'],
  [CAP_CSUM_CRC32C, 'CSUM_CRC32C'],
  [CAP_CSUM_SHA1, 'CSUM_SHA1'],
  [CAP_DIGEST_XXH3, 'DIGEST_XXH3'],
  [CAP_DIGEST_SHA256, 'DIGEST_SHA256'],
];

/** How a provider does FUA, ZERO or CACHE. */
export const SUPPORT_NONE = 0;
/** By other operations, or by a software path. */
export const SUPPORT_EMULATED = 1;
export const SUPPORT_NATIVE = 2;
export type Support = 0 | 1 | 2;

/** What a provider offers on one output. Filled bottom-up; a filter may only tighten. Source: bricks.md 5.7. */
export class XioInfo {
  /** Bytes. A field of doubles on purpose: sizes pass 2^31. */
  size = 0;
  /** Every position and length must be a multiple; a power of two, bytes. */
  align = 1;
  /** Fastest granularity; a power of two, bytes. */
  preferred = 4096;
  /** Longest request, bytes. */
  maxLen = 1024 * 1024;
  /** `CAP_*` bits. */
  caps = 0;
  fua: Support = SUPPORT_NONE;
  zero: Support = SUPPORT_NONE;
  cache: Support = SUPPORT_NONE;

  /** Back to "reads only, of nothing", so that one object can be filled again and again. */
  clear(): this {
    this.size = 0;
    this.align = 1;
    this.preferred = 4096;
    this.maxLen = 1024 * 1024;
    this.caps = 0;
    this.fua = this.zero = this.cache = SUPPORT_NONE;
    return this;
  }

  copyFrom(other: Readonly<XioInfo>): this {
    this.size = other.size;
    this.align = other.align;
    this.preferred = other.preferred;
    this.maxLen = other.maxLen;
    this.caps = other.caps;
    this.fua = other.fua;
    this.zero = other.zero;
    this.cache = other.cache;
    return this;
  }
}

/** Operations that `info` advertises, one bit per operation (`1 << OP_*`). */
export function advertisedOps(info: Readonly<XioInfo>): number {
  let mask = 1 << OP_READ;
  if (info.caps & CAP_WRITE) mask |= 1 << OP_WRITE;
  if (info.caps & CAP_FLUSH) mask |= 1 << OP_FLUSH;
  if (info.caps & CAP_TRIM) mask |= 1 << OP_TRIM;
  if (info.zero !== SUPPORT_NONE) mask |= 1 << OP_ZERO;
  if (info.caps & CAP_EXTENTS) mask |= 1 << OP_EXTENTS;
  if (info.cache !== SUPPORT_NONE) mask |= 1 << OP_CACHE;
  if (info.caps & CAP_DIGESTS) mask |= 1 << OP_DIGESTS;
  return mask;
}

/** Takes every operation out of `info` that is not in `allowed` (bits `1 << OP_*`). READ always stays. */
export function maskOps(info: XioInfo, allowed: number): void {
  if (!(allowed & (1 << OP_WRITE))) {
    info.caps &= ~(CAP_WRITE | CAP_GROW);
    info.fua = SUPPORT_NONE;
  }
  if (!(allowed & (1 << OP_FLUSH))) info.caps &= ~CAP_FLUSH;
  if (!(allowed & (1 << OP_TRIM))) info.caps &= ~CAP_TRIM;
  if (!(allowed & (1 << OP_ZERO))) {
    info.caps &= ~CAP_FAST_ZERO;
    info.zero = SUPPORT_NONE;
  }
  if (!(allowed & (1 << OP_EXTENTS))) info.caps &= ~CAP_EXTENTS;
  if (!(allowed & (1 << OP_CACHE))) info.cache = SUPPORT_NONE;
  if (!(allowed & (1 << OP_DIGESTS))) info.caps &= ~CAP_DIGESTS;
}

/** Names of the capability bits, for `mars-stack show` and error texts. */
export function capNames(caps: number): string[] {
  return CAP_NAMES.filter(([bit]) => caps & bit).map(([, name]) => name);
}

/** The bit of a capability name; `undefined` for a name that does not exist. */
export function capByName(name: string): number | undefined {
  return CAP_NAMES.find(([, known]) => known === name)?.[0];
}

/** Names of the operations in a mask. */
export function opNames(mask: number): OpName[] {
  return OP_NAMES.filter((_, op) => op < OP_COUNT && mask & (1 << op));
}
