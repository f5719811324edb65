import type { Entry } from '../snapshot/entry.js';

/**
 * A sum of 64 bits over a set of facts, as two lanes of 32. Adding and taking away a fact costs the same whatever the size of the set,
 * and the order does not matter. Equal sums are taken for equal sets: members of a cluster do not try to deceive each other, and by chance
 * two sets collide once in 2^64 comparisons.
 */
export interface Sum {
  readonly hi: number;
  readonly lo: number;
}

export const ZERO: Sum = { hi: 0, lo: 0 };

export function sameSum(a: Sum, b: Sum): boolean {
  return a.hi === b.hi && a.lo === b.lo;
}

export function plus(a: Sum, b: Sum): Sum {
  return { hi: (a.hi + b.hi) >>> 0, lo: (a.lo + b.lo) >>> 0 };
}

export function minus(a: Sum, b: Sum): Sum {
  return { hi: (a.hi - b.hi) >>> 0, lo: (a.lo - b.lo) >>> 0 };
}

const SEED_HI = 0xdeadbeef;
const SEED_LO = 0x41c6ce57;

/** Where the hashes of all names in a directory begin; computed once per directory. */
export function seedOf(dir: string): Sum {
  return hashText(SEED_HI, SEED_LO, dir);
}

/** Hash of one link: directory, name, value and stamp. */
export function hashLink(seed: Sum, name: string, entry: Entry): Sum {
  const named = hashText(seed.hi, seed.lo, name);
  const valued = hashText(named.hi, named.lo, entry.value);
  // Stamps have less than 62 bits until the year 2116.
  const high = Number(entry.stampNs >> 31n);
  const low = Number(entry.stampNs & 0x7fffffffn);
  return mixed(Math.imul(valued.hi ^ high, 0x85ebca77) ^ low, Math.imul(valued.lo ^ low, 0xc2b2ae3d) ^ high);
}

/** Which bucket of a directory a name belongs to; uses other bits than the sums do. */
export function hashName(name: string): number {
  return hashText(0x9e3779b9, 0x7f4a7c15, name).hi;
}

/** Two lanes of multiply and xor over UTF-16, each lane seeing every character; the constants are those of MurmurHash3 and cyrb53. */
function hashText(hi: number, lo: number, text: string): Sum {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    hi = Math.imul(hi ^ c, 0x9e3779b1);
    lo = Math.imul(lo ^ c, 0x5f356495);
  }
  // The length separates "ab" + "c" from "a" + "bc".
  return mixed(hi ^ text.length, lo ^ Math.imul(text.length, 0x27d4eb2f));
}

/** Lets every bit of one lane reach every bit of both. */
function mixed(hi: number, lo: number): Sum {
  hi = Math.imul(hi ^ (hi >>> 16), 0x85ebca6b) ^ Math.imul(lo ^ (lo >>> 13), 0xc2b2ae35);
  lo = Math.imul(lo ^ (lo >>> 16), 0x85ebca6b) ^ Math.imul(hi ^ (hi >>> 13), 0xc2b2ae35);
  return { hi: (hi ^ (hi >>> 15)) >>> 0, lo: (lo ^ (lo >>> 16)) >>> 0 };
}
