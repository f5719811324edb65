import { SeededRandom } from '@mars/brick-core';

/**
 * A generator for one named part of one world. It depends on the seed and on the name only, neither on the order in which
 * parts are made nor on what other parts draw: an extra draw in the disk of host `a` shifts nothing else.
 */
export function randomFor(seed: number, name: string): SeededRandom {
  let high = (seed / 2 ** 21) | 0;
  let low = (seed & 0x1fffff) ^ 0x5bd1e995;
  for (let i = 0; i < name.length; i++) {
    low = Math.imul(low ^ name.charCodeAt(i), 0x01000193);
    high = Math.imul(high ^ (low >>> 7), 0x85ebca6b) + i;
  }
  return new SeededRandom((high >>> 0) * 2 ** 21 + ((low ^ (high >>> 11)) >>> 11));
}

/** A length of time that is drawn: usually between `minUs` and `maxUs`, with `tailRate` of a slow one up to `tailUs`. */
export interface Latency {
  minUs: number;
  maxUs: number;
  tailRate?: number;
  tailUs?: number;
}

/** Draws a latency, in whole nanoseconds. */
export function drawNs(latency: Latency, random: SeededRandom): number {
  const { minUs, maxUs, tailRate = 0, tailUs = maxUs } = latency;
  const isTail = tailRate > 0 && random.float() < tailRate;
  const from = isTail ? maxUs : minUs;
  const to = isTail ? tailUs : maxUs;
  return Math.round((from + (to - from) * random.float()) * 1000);
}
