import type { SeededRandom } from '@mars/brick-core';

/** Resolution of a rate. A power of two below 2^31, so that every draw is a small integer: a double would be boxed. */
const SCALE = 2 ** 30;

/** Something that happens with a given rate, from a random sequence of its own: switching it on does not shift others. */
export class Chance {
  private limit = 0;

  constructor(private readonly random: SeededRandom) {}

  /** Share of the draws that say yes, 0 … 1. */
  set rate(share: number) {
    this.limit = Math.round(share * SCALE);
  }

  /** Does it happen now? Draws only where a rate is set. */
  happens(): boolean {
    return this.limit > 0 && this.random.int(SCALE) < this.limit;
  }

  /** A whole number from 0 to `below` - 1, to choose how it happens. */
  pick(below: number): number {
    return this.random.int(below);
  }
}
