/**
 * Stamps: nanoseconds since 1970 as `bigint`; as text `SEC.NNNNNNNNN`, exactly nine digits behind the point.
 * Source: symlink-tree.md, grammar tokens.
 */
export const NS_PER_SECOND = 1_000_000_000n;

/** `1795191001250000000n` is `1795191001.250000000`. Negative stamps (before 1970) count as 0: no link of ours has one. */
export function formatStamp(stampNs: bigint): string {
  const ns = stampNs < 0n ? 0n : stampNs;
  return `${ns / NS_PER_SECOND}.${String(ns % NS_PER_SECOND).padStart(9, '0')}`;
}

const STAMP = /^\s*(\d{1,12})(?:\.(\d{1,9}))?/;

/** As others write it: seconds with any number of decimals up to nine, the rest of the text is ignored. @returns null = no number */
export function readStamp(text: string): bigint | null {
  const match = STAMP.exec(text);
  if (match === null) return null;
  return BigInt(match[1]!) * NS_PER_SECOND + BigInt((match[2] ?? '').padEnd(9, '0'));
}

/** Whole seconds, rounded towards the past. */
export function secondsOf(stampNs: bigint): bigint {
  const rest = ((stampNs % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
  return (stampNs - rest) / NS_PER_SECOND;
}

export function isWholeSecond(stampNs: bigint): boolean {
  return stampNs % NS_PER_SECOND === 0n;
}
