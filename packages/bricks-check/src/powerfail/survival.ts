import type { SeededRandom } from '@mars/brick-core';

export type Lose = 'none' | 'all' | 'random';

const ONE = 2 ** 32;

/**
 * What a power cut leaves of the volatile writes. Every draw is a hash of (cut, write, granule), so the answer does not depend on
 * the order in which one asks, and the same question always gets the same answer.
 *
 * With `random`, a write that is torn reached the medium granule by granule; another one reached it as a whole or not at all.
 * How many did is drawn once per cut, because bugs hide at both ends: nearly everything lost, and nearly everything kept.
 */
export class Survival {
  private seed = 0;
  private keptLimit = 0;
  private tornLimit = 0;

  constructor(
    private readonly random: SeededRandom,
    private readonly lose: Lose,
    private readonly tornShare: number,
  ) {}

  /** A new cut, with new luck. */
  draw(): void {
    this.seed = this.random.int(ONE) | 0;
    const kept = [0.1, 0.5, 0.9][this.random.int(3)]!;
    this.keptLimit = kept * ONE;
    this.tornLimit = this.tornShare * ONE;
  }

  isTorn(request: number): boolean {
    return this.lose === 'random' && this.hash(request, -1) < this.tornLimit;
  }

  /** Did this granule of this write reach the medium? */
  reached(request: number, granule: number): boolean {
    if (this.lose !== 'random') return this.lose === 'none';
    if (this.isTorn(request)) return this.hash(request, granule) < ONE / 2;
    return this.hash(request, -2) < this.keptLimit;
  }

  private hash(request: number, what: number): number {
    let h = this.seed ^ Math.imul(request | 0, 0x9e3779b1) ^ Math.imul((what | 0) + 1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
    h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
    return (h ^ (h >>> 15)) >>> 0;
  }
}
