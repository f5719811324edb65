import type { XioObject } from '@mars/brick-core';

/**
 * Hash of the results of a run, 64 bits: every request counts with its number, so the order of the requests matters; the
 * order of the answers, which depends on the machine, does not (the parts are added up).
 */
export class ResultHash {
  /** Number of the request that {@link add} is called for. */
  seq = 0.5;
  private sumA = 0;
  private sumB = 0;
  private a = 0;
  private b = 0;

  /** The answered request `seq`, and the digest of what it read. */
  add(o: XioObject, digest: number): void {
    const { seq } = this;
    this.a = 0x243f6a88;
    this.b = 0x85a308d3 | 0;
    this.word(seq | 0);
    this.word((seq / 2 ** 32) | 0);
    this.word(o.op | (o.flags << 8));
    this.word(o.pos | 0);
    this.word((o.pos / 2 ** 32) | 0);
    this.word(o.len);
    this.word(o.err);
    this.word(digest);
    this.sumA = (this.sumA + this.a) | 0;
    this.sumB = (this.sumB + this.b) | 0;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.sumA) + hex(this.sumB);
  }

  private word(word: number): void {
    this.a = Math.imul(this.a ^ word, 0x9e3779b1);
    this.a ^= this.a >>> 15;
    this.b = Math.imul(this.b ^ word, 0xc2b2ae35);
    this.b ^= this.b >>> 13;
  }
}
