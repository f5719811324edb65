import type { InjectionToken } from '../di.js';

/** Randomness of one host. Seeded in simulations, so bricks with a `seed` parameter use {@link createRandom} instead. */
export interface Random {
  /** Uniform in [0, 1). */
  float(): number;
  /** Uniform integer in [0, below); `below` from 1 to 2^32. */
  int(below: number): number;
  /** Fills with random bytes. */
  bytes(into: Uint8Array): void;
}

export const RANDOM: InjectionToken<Random> = Symbol('brick-core/Random');

/**
 * A small, fast, seeded generator (sfc32): same seed, same sequence, on every machine. Not for secrets.
 * Source of the algorithm: Chris Doty-Humphrey, PractRand, "sfc32" (public domain).
 */
export class SeededRandom implements Random {
  private a: number;
  private b: number;
  private c: number;
  private d = 1;

  constructor(seed: number) {
    // Two independent words from one seed, so that neighbouring seeds give unrelated sequences.
    this.a = mix(seed ^ 0x9e3779b9);
    this.b = mix(Math.floor(seed / 2 ** 32) ^ 0x85ebca6b);
    this.c = mix(seed + 0x6d2b79f5);
    for (let i = 0; i < 12; i++) this.next();
  }

  float(): number {
    return (this.next() >>> 0) / 2 ** 32;
  }

  int(below: number): number {
    return Math.floor(((this.next() >>> 0) / 2 ** 32) * below);
  }

  bytes(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.next();
  }

  /** A generator of its own for a part, so that one part's extra draw does not shift another's sequence. */
  fork(): SeededRandom {
    return new SeededRandom((this.next() >>> 0) * 2 ** 20 + (this.next() >>> 12));
  }

  // An int32: an unsigned result, or a sum kept in a field for a moment, would be boxed (bricks.md 5.3 rule 8).
  private next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + t) | 0;
    return t;
  }
}

export function createRandom(seed: number): SeededRandom {
  return new SeededRandom(seed);
}

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) | 0;
}
