import { lutimesSync } from 'node:fs';
import { native } from '../native.js';

const NS_PER_S = 1_000_000_000n;
const NS_PER_US = 1000n;

/** Whole seconds (rounded towards the past) and the nanoseconds from 0 to 999999999 on top. */
export function splitNs(ns: bigint): { sec: number; nsec: number } {
  const rest = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
  return { sec: Number((ns - rest) / NS_PER_S), nsec: Number(rest) };
}

/** Nanoseconds rounded up to whole microseconds: a stamp that grows keeps "newest wins" safe. Source: decided.md, Log and tree */
export function ceilToUs(ns: bigint): bigint {
  const rest = ((ns % NS_PER_US) + NS_PER_US) % NS_PER_US;
  return rest === 0n ? ns : ns + NS_PER_US - rest;
}

/** Sets the times of the link itself. Without the addon: microseconds, rounded up. @returns 0 or a negative errno */
export function setLinkTimeNs(path: string, mtimeNs: bigint): number {
  if (native) {
    const { sec, nsec } = splitNs(mtimeNs);
    return native.lutimesNs(path, sec, nsec);
  }
  setLinkTimeUs(path, mtimeNs);
  return 0;
}

/** The fallback; throws as Node does. */
export function setLinkTimeUs(path: string, mtimeNs: bigint): void {
  // Node cuts off below the microsecond, and a double of seconds is about a quarter of one off: aim at its middle.
  const seconds = Number(ceilToUs(mtimeNs) / NS_PER_US) / 1e6 + 0.5e-6;
  lutimesSync(path, seconds, seconds);
}
