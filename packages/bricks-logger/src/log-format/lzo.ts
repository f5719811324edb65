/**
 * Raw LZO1X streams, as log records contain them. Written from the public description of the stream format
 * ("LZO stream format as understood by Linux's LZO decompressor"), because no library with a fitting licence exists
 * for Node: the wrappers around liblzo2 or minilzo fall under the GPL, whatever their package.json says.
 *
 * The stream is a series of instructions. Each copies bytes from earlier output (a match) and then 0…3 literals, or
 * is a longer run of literals. `state` is what the last instruction left: 0 nothing, 1…3 that many literals, 4 a run.
 *
 * ```text
 *  0000 LLLL                  state 0: run of 3+L literals (L = 0: 18 + long length)      → state 4
 *  0000 DDSS  H               state 1…3: match of 2 at H*4+D+1;  state 4: match of 3 at H*4+D+2049
 *  0001 HLLL  DDDDDDSS D      match of 2+L (L = 0: 9 + long length) at 16384 + H*16384 + D; distance 16384 = end
 *  001L LLLL  DDDDDDSS D      match of 2+L (L = 0: 33 + long length) at D+1
 *  01LD DDSS  H               match of 3+L at H*8+D+1
 *  1LLD DDSS  H               match of 5+L at H*8+D+1
 *  first byte of all above 17: run of (byte - 17) literals
 *  long length = 255 per zero byte, plus the first byte that is not zero
 * ```
 */

import { CODEC_FAILED, MatchFinder, MIN_MATCH_BYTES, matchLength } from './match-finder.js';

const END_DISTANCE = 16384;
const END_LENGTH = 3;
const STATE_AFTER_RUN = 4;

/** Reads the long form of a length; every loop ends with the input. */
class LengthReader {
  value = 0;

  /** @returns the position behind the length, or CODEC_FAILED */
  read(src: Uint8Array, at: number, end: number, base: number): number {
    let ip = at;
    let len = base;
    while (ip < end && src[ip] === 0) {
      len += 255;
      ip++;
    }
    if (ip >= end) return CODEC_FAILED;
    this.value = len + src[ip]!;
    return ip + 1;
  }
}

const long = new LengthReader();

/**
 * Expands `src[srcAt, srcEnd)` into `dst[dstAt, dstEnd)`. Never reads or writes outside of these, whatever the input.
 *
 * @returns number of bytes written, or CODEC_FAILED if the stream is damaged, too long, or does not end at `srcEnd`
 */
export function lzoDecompress(
  src: Uint8Array,
  srcAt: number,
  srcEnd: number,
  dst: Uint8Array,
  dstAt: number,
  dstEnd: number,
): number {
  let ip = srcAt;
  let op = dstAt;
  let state = 0;
  if (ip >= srcEnd) return CODEC_FAILED;
  if (src[ip]! > 17) {
    const run = src[ip++]! - 17;
    if (ip + run > srcEnd || op + run > dstEnd) return CODEC_FAILED;
    for (let k = 0; k < run; k++) dst[op++] = src[ip++]!;
    state = run < 4 ? run : STATE_AFTER_RUN;
  }
  for (;;) {
    if (ip >= srcEnd) return CODEC_FAILED;
    const t = src[ip++]!;
    let len: number;
    let distance: number;
    let literals: number;
    if (t < 16 && state === 0) {
      len = t + 3;
      if (t === 0) {
        ip = long.read(src, ip, srcEnd, 18);
        if (ip < 0) return CODEC_FAILED;
        len = long.value;
      }
      if (ip + len > srcEnd || op + len > dstEnd) return CODEC_FAILED;
      for (let k = 0; k < len; k++) dst[op++] = src[ip++]!;
      state = STATE_AFTER_RUN;
      continue;
    }
    if (t < 16 || t >= 64) {
      if (ip >= srcEnd) return CODEC_FAILED;
      const h = src[ip++]!;
      literals = t & 3;
      if (t >= 64) {
        len = (t >>> 5) + 1;
        distance = (h << 3) + ((t >>> 2) & 7) + 1;
      } else if (state === STATE_AFTER_RUN) {
        len = 3;
        distance = (h << 2) + (t >>> 2) + 2049;
      } else {
        len = 2;
        distance = (h << 2) + (t >>> 2) + 1;
      }
    } else {
      const mask = t >= 32 ? 31 : 7;
      len = (t & mask) + 2;
      if (len === 2) {
        ip = long.read(src, ip, srcEnd, mask + 2);
        if (ip < 0) return CODEC_FAILED;
        len = long.value;
      }
      if (ip + 2 > srcEnd) return CODEC_FAILED;
      const low = src[ip]! | (src[ip + 1]! << 8);
      ip += 2;
      literals = low & 3;
      if (t >= 32) {
        distance = (low >>> 2) + 1;
      } else {
        distance = ((t & 8) << 11) + (low >>> 2) + END_DISTANCE;
        if (distance === END_DISTANCE) return len === END_LENGTH && ip === srcEnd ? op - dstAt : CODEC_FAILED;
      }
    }
    if (distance > op - dstAt || op + len + literals > dstEnd || ip + literals > srcEnd) return CODEC_FAILED;
    for (let k = 0, from = op - distance; k < len; k++) dst[op++] = dst[from + k]!; // may overlap: byte by byte
    for (let k = 0; k < literals; k++) dst[op++] = src[ip++]!;
    state = literals;
  }
}

const M2_MAX_LEN = 8;
const M2_MAX_DISTANCE = 2048;
const M3_MAX_DISTANCE = 16384;
const M4_MAX_DISTANCE = 49151;
const FIRST_RUN_MAX = 238;
const SHORT_RUN_MAX = 18;
/** Most bytes that one match instruction takes, apart from its long length. */
const MATCH_OVERHEAD = 4;
const END_MARKER_BYTES = 3;

/** Compresses to raw LZO1X. One instance per thread: it owns its hash table (32 KiB). */
export class LzoCompressor {
  private readonly finder = new MatchFinder();
  private dst: Uint8Array = new Uint8Array(0);
  private op = 0;
  private opStart = 0;
  private opEnd = 0;

  /**
   * @param len  at most 32768 bytes
   * @returns compressed length, or CODEC_FAILED as soon as it is clear that the target is too small
   */
  compress(src: Uint8Array, srcAt: number, len: number, dst: Uint8Array, dstAt: number, dstEnd: number): number {
    this.dst = dst;
    this.op = this.opStart = dstAt;
    this.opEnd = dstEnd - END_MARKER_BYTES;
    this.finder.begin(len);
    const end = srcAt + len;
    let literalsAt = srcAt;
    let i = srcAt;
    let misses = 0;
    while (i + MIN_MATCH_BYTES <= end) {
      const j = this.finder.enter(src, srcAt, i);
      if (j < 0 || i - j > M4_MAX_DISTANCE) {
        i += 1 + (misses++ >>> 5); // the longer nothing fits, the faster we go on
        continue;
      }
      misses = 0;
      const n = matchLength(src, j, i, end);
      if (!this.putLiterals(src, literalsAt, i) || !this.putMatch(i - j, n)) return CODEC_FAILED;
      i += n;
      literalsAt = i;
    }
    if (!this.putLiterals(src, literalsAt, end) || this.op > this.opEnd) return CODEC_FAILED;
    dst[this.op++] = 0x11;
    dst[this.op++] = 0;
    dst[this.op++] = 0;
    return this.op - dstAt;
  }

  private putLiterals(src: Uint8Array, from: number, to: number): boolean {
    const n = to - from;
    if (n === 0) return true;
    if (this.op + n + 2 + n / 255 > this.opEnd) return false;
    if (this.op === this.opStart && n <= FIRST_RUN_MAX) {
      this.dst[this.op++] = 17 + n;
    } else if (n <= 3 && this.op !== this.opStart) {
      this.dst[this.op - 2]! |= n; // every match instruction keeps this count in its last byte but one
    } else if (n <= SHORT_RUN_MAX) {
      this.dst[this.op++] = n - 3;
    } else {
      this.dst[this.op++] = 0;
      this.putLong(n - SHORT_RUN_MAX);
    }
    for (let k = from; k < to; k++) this.dst[this.op++] = src[k]!;
    return true;
  }

  private putMatch(distance: number, len: number): boolean {
    if (this.op + MATCH_OVERHEAD + len / 255 > this.opEnd) return false;
    if (len <= M2_MAX_LEN && distance <= M2_MAX_DISTANCE) {
      this.dst[this.op++] = ((len - 1) << 5) | (((distance - 1) & 7) << 2);
      this.dst[this.op++] = (distance - 1) >>> 3;
      return true;
    }
    if (distance <= M3_MAX_DISTANCE) {
      this.putLen(32, 31, len);
      this.putDistance(distance - 1);
    } else {
      const d = distance - END_DISTANCE;
      this.putLen(16 | ((d >>> 11) & 8), 7, len);
      this.putDistance(d & 0x3fff);
    }
    return true;
  }

  private putLen(opcode: number, mask: number, len: number): void {
    if (len <= mask + 2) {
      this.dst[this.op++] = opcode | (len - 2);
    } else {
      this.dst[this.op++] = opcode;
      this.putLong(len - mask - 2);
    }
  }

  private putLong(value: number): void {
    let rest = value;
    for (; rest > 255; rest -= 255) this.dst[this.op++] = 0;
    this.dst[this.op++] = rest;
  }

  private putDistance(d: number): void {
    this.dst[this.op++] = (d << 2) & 255;
    this.dst[this.op++] = d >>> 6;
  }
}
