import type { LamportClock } from '../lamport-clock.js';
import { TOMBSTONE } from '../names.js';
import type { Entry } from '../snapshot/entry.js';
import { NS_PER_SECOND, isWholeSecond, secondsOf } from '../stamp.js';

/** A value with a stamp that somebody else has given it. */
export interface StampedFact {
  path: string;
  value: string;
  stampNs: bigint;
}

/**
 * What to do with a value that came from elsewhere. Only `take` changes something.
 * `kept-file`: a file with contents, which no link may replace unless it is a log that was deleted.
 */
export type Decision = 'take' | 'same' | 'older' | 'nothing-to-delete' | 'too-far-ahead' | 'kept-file';

/**
 * Merge of one entry of a peer's list: newest wins; at equal stamps the greater value, bytewise, so that all hosts choose alike.
 * A tombstone never creates anything. Source: symlink-tree.md 3.2, 3.3; [OURS] for ties, files and far futures.
 */
export function decideMerge(existing: Entry | null, fact: StampedFact, clock: LamportClock): Decision {
  if (clock.isFarFuture(fact.stampNs)) return 'too-far-ahead';
  if (isProtected(existing, fact)) return 'kept-file';
  if (existing === null) return fact.value === TOMBSTONE ? 'nothing-to-delete' : 'take';
  if (clock.isFarFuture(existing.stampNs)) return 'take';
  if (fact.stampNs !== existing.stampNs) return fact.stampNs > existing.stampNs ? 'take' : 'older';
  if (existing.kind === 'file') return 'older';
  const order = compareValues(fact.value, existing.value);
  return order === 0 ? 'same' : order > 0 ? 'take' : 'older';
}

/** A push, or another write whose stamp is given: equal stamps overwrite. Source: symlink-tree.md 3.2. */
export function decidePush(existing: Entry | null, fact: StampedFact, clock: LamportClock): Decision {
  if (clock.isFarFuture(fact.stampNs)) return 'too-far-ahead';
  if (isProtected(existing, fact)) return 'kept-file';
  if (existing === null || clock.isFarFuture(existing.stampNs)) return 'take';
  if (existing.stampNs > fact.stampNs) return 'older';
  return existing.stampNs === fact.stampNs && existing.value === fact.value ? 'same' : 'take';
}

/**
 * Stamp of a local write: later than everything seen, and than the value it replaces.
 * Source: symlink-tree.md 3.1, with the rule for file systems that keep whole seconds only.
 */
export function localStamp(existing: Entry | null, clock: LamportClock): bigint {
  const nowNs = clock.now();
  if (existing === null || clock.isFarFuture(existing.stampNs)) return nowNs;
  const old = existing.stampNs;
  const stampNs = nowNs > old ? nowNs : old + 1n;
  const isCoarse = isWholeSecond(old) && secondsOf(old) === secondsOf(stampNs);
  return isCoarse ? (secondsOf(stampNs) + 1n) * NS_PER_SECOND + 1n : stampNs;
}

/** Of two stamps alike, this orders the values: as bytes of UTF-8. */
export function compareValues(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A coarse file system has cut the stamp when we took this value before: taking it again would go on for ever. */
export function isCutCopy(existing: Entry, { value, stampNs }: StampedFact): boolean {
  const isCut = isWholeSecond(existing.stampNs) && secondsOf(existing.stampNs) === secondsOf(stampNs);
  return isCut && existing.kind === 'link' && existing.value === value;
}

const LOG_PATH = /^resource-[^/]+\/log-\d/;

/**
 * A log file gives way to nothing but its tombstone, and any other file with contents gives way to nothing that comes from outside:
 * `data-HOST` may be a file, and then it is somebody's disk.
 */
function isProtected(existing: Entry | null, { path, value }: StampedFact): boolean {
  if (LOG_PATH.test(path)) return value !== TOMBSTONE;
  return existing !== null && existing.kind === 'file' && existing.sizeBytes > 0;
}
