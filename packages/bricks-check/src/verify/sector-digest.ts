import { FIRST_EXACT } from './sector-history.js';

/**
 * Digest of a piece of payload, not for secrets: two lanes of 32 bits, read as little-endian words. Results stay in fields,
 * because a returned double may be boxed (bricks.md 5.3 rule 8).
 */
export class SectorDigest {
  a = 0;
  b = 0;
  /** Both lanes, shortened to 52 bits, as a value for the sector history: never one of its special values. */
  value = 0.5;

  constructor(private readonly view: DataView) {
    this.value = 0;
  }

  /** Digests `len` bytes at this arena offset; neither need be aligned. */
  compute(offset: number, len: number): void {
    const { view } = this;
    const wordsEnd = offset + (len & ~3);
    let a = len ^ 0x243f6a88;
    let b = len ^ 0x13198a2e;
    let at = offset;
    for (; at < wordsEnd; at += 4) {
      const word = view.getInt32(at, true);
      a = Math.imul(a ^ word, 0x9e3779b1);
      a ^= a >>> 15;
      b = Math.imul((b << 5) ^ (b >>> 27) ^ word, 0x85ebca77);
    }
    for (; at < offset + len; at++) {
      a = Math.imul(a ^ view.getUint8(at), 0x9e3779b1);
      b = Math.imul((b << 5) ^ (b >>> 27) ^ view.getUint8(at), 0x85ebca77);
    }
    this.seal(a, b);
  }

  /** Digests `len` zeroes. */
  computeZeroes(len: number): void {
    let a = len ^ 0x243f6a88;
    let b = len ^ 0x13198a2e;
    for (let words = len >> 2; words > 0; words--) {
      a = Math.imul(a, 0x9e3779b1);
      a ^= a >>> 15;
      b = Math.imul((b << 5) ^ (b >>> 27), 0x85ebca77);
    }
    this.seal(a, b);
  }

  private seal(a: number, b: number): void {
    this.a = a;
    this.b = b ^ (b >>> 13);
    this.value = FIRST_EXACT + (this.a >>> 6) * 2 ** 26 + (this.b >>> 6);
  }
}
