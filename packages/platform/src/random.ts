import { randomFillSync, randomInt } from 'node:crypto';
import type { Random } from '@mars/brick-core';

const WORDS = 256;

/** The system's randomness; good for secrets. */
export class RealRandom implements Random {
  private readonly words = new Uint32Array(WORDS);
  private used = WORDS;

  float(): number {
    // 53 random bits, as many as a double below 1 holds.
    return ((this.word() >>> 5) * 2 ** 26 + (this.word() >>> 6)) / 2 ** 53;
  }

  int(below: number): number {
    return randomInt(below);
  }

  bytes(into: Uint8Array): void {
    randomFillSync(into);
  }

  private word(): number {
    if (this.used === WORDS) {
      randomFillSync(this.words);
      this.used = 0;
    }
    return this.words[this.used++]!;
  }
}
