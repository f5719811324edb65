/**
 * Raw LZ4 blocks (no frame, no length prefix), from the public description of the block format.
 *
 * ```text
 *  sequence = token (LLLL MMMM), [literal length: 255 …], literals, offset u16, [match length: 255 …]
 *  the last sequence ends behind its literals; at least 5 bytes of an input are literals at its end,
 *  and the last match starts at least 12 bytes before the end
 * ```
 */

import { CODEC_FAILED, MatchFinder, MIN_MATCH_BYTES, matchLength } from './match-finder.js';

const MAX_OFFSET = 65535;
const LAST_LITERALS = 5;
const MATCH_LIMIT = 12;
const LONG = 15;

/**
 * Expands `src[srcAt, srcEnd)` into `dst[dstAt, dstEnd)`. Never reads or writes outside of these, whatever the input.
 *
 * @returns number of bytes written, or CODEC_FAILED if the block is damaged or too long
 */
export function lz4Decompress(
  src: Uint8Array,
  srcAt: number,
  srcEnd: number,
  dst: Uint8Array,
  dstAt: number,
  dstEnd: number,
): number {
  let ip = srcAt;
  let op = dstAt;
  while (ip < srcEnd) {
    const token = src[ip++]!;
    let literals = token >>> 4;
    if (literals === LONG) {
      let more = 255;
      while (more === 255) {
        if (ip >= srcEnd) return CODEC_FAILED;
        more = src[ip++]!;
        literals += more;
      }
    }
    if (ip + literals > srcEnd || op + literals > dstEnd) return CODEC_FAILED;
    for (let k = 0; k < literals; k++) dst[op++] = src[ip++]!;
    if (ip === srcEnd) return op - dstAt;
    if (ip + 2 > srcEnd) return CODEC_FAILED;
    const offset = src[ip]! | (src[ip + 1]! << 8);
    ip += 2;
    let len = (token & LONG) + MIN_MATCH_BYTES;
    if ((token & LONG) === LONG) {
      let more = 255;
      while (more === 255) {
        if (ip >= srcEnd) return CODEC_FAILED;
        more = src[ip++]!;
        len += more;
      }
    }
    if (offset === 0 || offset > op - dstAt || op + len > dstEnd) return CODEC_FAILED;
    for (let k = 0, from = op - offset; k < len; k++) dst[op++] = dst[from + k]!;
  }
  return CODEC_FAILED; // a block ends with literals, never with a match
}

/** Compresses to a raw LZ4 block. One instance per thread: it owns its hash table (32 KiB). */
export class Lz4Compressor {
  private readonly finder = new MatchFinder();
  private dst: Uint8Array = new Uint8Array(0);
  private op = 0;
  private opEnd = 0;

  /** @returns compressed length, or CODEC_FAILED as soon as it is clear that the target is too small */
  compress(src: Uint8Array, srcAt: number, len: number, dst: Uint8Array, dstAt: number, dstEnd: number): number {
    this.dst = dst;
    this.op = dstAt;
    this.opEnd = dstEnd;
    this.finder.begin(len);
    const end = srcAt + len;
    let literalsAt = srcAt;
    let i = srcAt;
    let misses = 0;
    while (i + MATCH_LIMIT <= end) {
      const j = this.finder.enter(src, srcAt, i);
      if (j < 0 || i - j > MAX_OFFSET) {
        i += 1 + (misses++ >>> 5);
        continue;
      }
      misses = 0;
      const n = matchLength(src, j, i, end - LAST_LITERALS);
      if (!this.putSequence(src, literalsAt, i, i - j, n)) return CODEC_FAILED;
      i += n;
      literalsAt = i;
    }
    return this.putSequence(src, literalsAt, end, 0, 0) ? this.op - dstAt : CODEC_FAILED;
  }

  /** One sequence; `offset` 0 makes it the last one, which has no match. */
  private putSequence(src: Uint8Array, from: number, to: number, offset: number, matchLen: number): boolean {
    const literals = to - from;
    const extra = offset === 0 ? 0 : matchLen - MIN_MATCH_BYTES;
    if (this.op + 1 + literals + literals / 255 + 1 + 2 + extra / 255 + 1 > this.opEnd) return false;
    this.dst[this.op++] = (Math.min(literals, LONG) << 4) | Math.min(extra, LONG);
    if (literals >= LONG) this.putLong(literals - LONG);
    for (let k = from; k < to; k++) this.dst[this.op++] = src[k]!;
    if (offset === 0) return true;
    this.dst[this.op++] = offset & 255;
    this.dst[this.op++] = offset >>> 8;
    if (extra >= LONG) this.putLong(extra - LONG);
    return true;
  }

  private putLong(value: number): void {
    let rest = value;
    for (; rest >= 255; rest -= 255) this.dst[this.op++] = 255;
    this.dst[this.op++] = rest;
  }
}
