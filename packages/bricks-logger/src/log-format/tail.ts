/**
 * May recovery end a log at its last good record? A pure decision over what a scan found; who asks, does the I/O.
 *
 * Several log buffers may be under way when the power fails, and their pages reach the disk in any order. So a torn
 * tail is not just a short one; but a defect in bytes that had been durable is damage, and then only a person may
 * decide (`--force`).
 *
 * Source: transaction-log.md 3.3 [OURS], rules (a) and (b); 1.7
 */

import { invariant } from '@mars/brick-core';
import { MAX_TOTAL_LEN } from './layout.js';
import type { ScanResult } from './scan.js';

/** The writer's own cap on log bytes that are written but not synced; U in the specification. */
export const UNSYNCED_CAP_BYTES = 8 * 1024 * 1024;

export interface TailFacts {
  /** The scan from the published position to the end of the file. */
  readonly scan: ScanResult;
  /** Size of the file when it was scanned. */
  readonly fileBytes: number;
  /** minPos + length of the own replay link, if it names this log; 0 if it names an older one. */
  readonly dirtyEnd: number;
  /**
   * Whether a valid record of a sequence above `scan.lastSeq` stands behind `scan.goodEnd`: the answer of
   * `findNextRecord` from `goodEnd` on, with `stepBytes: 1` and `aboveSeq: scan.lastSeq`.
   */
  readonly validRecordBehind: boolean;
  readonly unsyncedCapBytes?: number;
}

export type TailReason =
  | 'clean' // nothing behind the last good record
  | 'short-tail' // rule (a)
  | 'incomplete-tail' // rule (a)
  | 'zero-tail' // rule (a)
  | 'torn-record' // rule (a): invalid, and nothing newer behind it
  | 'unsynced-range' // rule (b): newer records behind it, but all of that had never been durable
  | 'damaged' // newer records behind it, inside what had been durable
  | 'not-scanned'; // the scan was stopped, so nothing can be said

export interface TailVerdict {
  /** Recovery may set the length of this log to `cutAt`, truncate the own file there and open the next one. */
  readonly accept: boolean;
  readonly reason: TailReason;
  /** End of the last good record. */
  readonly cutAt: number;
  /**
   * The log ends before the range that the disk may already contain parts of, so the disk must not be called
   * consistent (3.4). With our own logs that is lost durable data; logs of the original publish ahead of their sync.
   */
  readonly endsInsideDirtyRange: boolean;
}

/**
 * Judges the end of the own log after a scan.
 * With logs of the original, a longer valid copy of a reachable peer goes before any acceptance.
 */
export function judgeTail(facts: TailFacts): TailVerdict {
  invariant(facts.scan.goodEnd <= facts.fileBytes, 'good records behind the end of the file');
  const reason = tailReason(facts);
  return {
    accept: reason !== 'damaged' && reason !== 'not-scanned',
    reason,
    cutAt: facts.scan.goodEnd,
    endsInsideDirtyRange: facts.scan.goodEnd < facts.dirtyEnd,
  };
}

function tailReason(facts: TailFacts): TailReason {
  const { scan, fileBytes } = facts;
  if (scan.kind === 'stopped') return 'not-scanned';
  if (scan.goodEnd === fileBytes) return 'clean';
  if (scan.kind !== 'defect' && scan.scannedTo !== fileBytes) return 'not-scanned';
  if (scan.kind === 'complete' || scan.kind === 'empty') return 'not-scanned'; // a range that ended before the file
  if (scan.kind === 'short-tail') return 'short-tail';
  if (scan.kind === 'zero-tail') return 'zero-tail';
  if (!facts.validRecordBehind) return scan.kind === 'incomplete' ? 'incomplete-tail' : 'torn-record';
  return isInUnsyncedRange(facts) ? 'unsynced-range' : 'damaged';
}

/** Rule (b): at or behind the published dirty end, and within the last U bytes. */
function isInUnsyncedRange(facts: TailFacts): boolean {
  const { scan, fileBytes, dirtyEnd } = facts;
  const cap = Math.max(MAX_TOTAL_LEN, facts.unsyncedCapBytes ?? UNSYNCED_CAP_BYTES);
  return scan.goodEnd >= dirtyEnd && fileBytes - scan.goodEnd <= cap;
}
