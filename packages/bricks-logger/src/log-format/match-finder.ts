/**
 * Finds earlier occurrences of four bytes, for both of our compressors: one hash table entry per bucket, newest wins.
 *
 * The table is never cleared between inputs: every input gets a fresh range of numbers, and an entry below the
 * range belongs to an earlier input. A cleared table would cost more than a page takes to compress.
 */

/** What every codec returns instead of a length when the stream is damaged or the target too small. */
export const CODEC_FAILED = -1;

export const MIN_MATCH_BYTES = 4;

const HASH_BITS = 13;
const HASH_FACTOR = 0x9e3779b1 | 0; // 2^32 divided by the golden ratio: spreads neighbouring values
const RANGE_LIMIT = 0x3fff_0000;

export class MatchFinder {
  private readonly newest = new Int32Array(1 << HASH_BITS);
  private base = 1;
  private reserved = 0;

  /** Starts a new input of `len` bytes; forgets everything before. */
  begin(len: number): void {
    this.base += this.reserved;
    if (this.base > RANGE_LIMIT) {
      this.newest.fill(0);
      this.base = 1;
    }
    this.reserved = len;
  }

  /**
   * Enters position `i` (with `i + 4 <= end`) of the input that starts at `start`.
   *
   * @returns the last earlier position with the same four bytes, or -1
   */
  enter(src: Uint8Array, start: number, i: number): number {
    const word = src[i]! | (src[i + 1]! << 8) | (src[i + 2]! << 16) | (src[i + 3]! << 24);
    const bucket = Math.imul(word, HASH_FACTOR) >>> (32 - HASH_BITS);
    const candidate = this.newest[bucket]! - this.base;
    this.newest[bucket] = this.base + i - start;
    if (candidate < 0) return -1;
    const j = start + candidate;
    const same =
      src[j] === src[i] && src[j + 1] === src[i + 1] && src[j + 2] === src[i + 2] && src[j + 3] === src[i + 3];
    return same ? j : -1;
  }
}

/** Number of equal bytes at `j` and `i`, with `i` running to `end` at most; the first four are known to be equal. */
export function matchLength(src: Uint8Array, j: number, i: number, end: number): number {
  let n = MIN_MATCH_BYTES;
  while (i + n < end && src[j + n] === src[i + n]) n++;
  return n;
}
