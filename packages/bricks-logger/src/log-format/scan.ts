/**
 * Walks a range of a logfile record by record, from a reader that the caller provides, with bounded memory.
 * This is the only way records are found: a range starts at a record boundary, and behind the first defect nothing
 * is a record any more (transaction-log.md 1.6, "No resynchronisation").
 */

import { invariant } from '@mars/brick-core';
import { RecordDecoder } from './decode.js';
import type { DecodedRecord, UnverifiedPolicy } from './decode.js';
import { DETAIL, REPLAY_CODE, STATUS } from './details.js';
import type { DigestEngine } from './digests.js';
import { portableDigestEngine } from './digests.js';
import { ScanStats } from './stats.js';
import { LogWindow, drive, driveSync } from './window.js';
import type { ReadChunk, ReadChunkSync, WindowWork } from './window.js';

/**
 * How a scan ended. complete: exactly at the end of the range. empty: the range has no bytes. short-tail and
 * incomplete: the last record is not there as a whole. zero-tail: nothing but zeros up to the end. stopped: the
 * caller said so. defect: everything else.
 */
export type ScanKind = 'complete' | 'empty' | 'short-tail' | 'incomplete' | 'zero-tail' | 'stopped' | 'defect';

/** 'until-checksummed': as transaction-log.md 1.4 [OURS] wants it. 'always' is for people who confirmed it. */
export type UnverifiedRule = 'until-checksummed' | 'always' | 'never';

export interface ScanOptions {
  /** A record boundary; default 0. */
  readonly from?: number;
  /** Exclusive; default and maximum: the end of the file. */
  readonly to?: number;
  /** Sequence of the record in front of `from`, 0 if there is none or it is unknown. */
  readonly prevSeq?: number;
  readonly unverified?: UnverifiedRule;
  readonly engine?: DigestEngine;
  readonly windowBytes?: number;
}

export interface ScanResult {
  readonly kind: ScanKind;
  readonly from: number;
  /** End of what was looked at: for every kind but `defect` and `stopped`, the end of the range or the file. */
  readonly scannedTo: number;
  /** End of the last good record = start of whatever is behind. */
  readonly goodEnd: number;
  /** 0 or negative errno; as in transaction-log.md 1.6. */
  readonly status: number;
  /** 0 or negative detail, as published. */
  readonly detail: number;
  readonly byteCode: number;
  /** As published after a replay of this range (3.5), but 0 for an empty range. */
  readonly replayCode: number;
  /** Sequence of the last good record, 0 if there was none. */
  readonly lastSeq: number;
  readonly stats: ScanStats;
}

/**
 * Called for each good record. The record and its payload are valid during the call only.
 *
 * @returns false to stop in front of the next record
 */
export type OnRecord = (record: DecodedRecord, offset: number) => boolean | void;

const takeAll: OnRecord = () => true;

/** The walk itself, without I/O. `scanLog` and `scanLogSync` drive it. */
export class LogScanner implements WindowWork {
  readonly window: LogWindow;
  readonly stats = new ScanStats();
  private readonly decoder: RecordDecoder;
  private readonly from: number;
  private policy: UnverifiedPolicy;
  private readonly untilChecksummed: boolean;
  private prevSeq: number;
  private kind: ScanKind | null = null;
  private goodEnd: number;
  private status = 0;
  private detail = 0;
  private byteCode = 0;
  private state: 'records' | 'zeros' | 'done' = 'records';

  constructor(
    options: ScanOptions = {},
    private readonly onRecord: OnRecord = takeAll,
  ) {
    this.from = this.goodEnd = options.from ?? 0;
    this.window = new LogWindow(this.from, options.to, options.windowBytes);
    this.decoder = new RecordDecoder(options.engine ?? portableDigestEngine);
    const rule = options.unverified ?? 'until-checksummed';
    this.policy = rule === 'never' ? 'refuse' : 'accept';
    this.untilChecksummed = rule === 'until-checksummed';
    this.prevSeq = options.prevSeq ?? 0;
  }

  run(): 'read' | 'done' {
    if (this.state === 'records' && this.records() === 'read') return 'read';
    if (this.state === 'zeros' && this.zeros() === 'read') return 'read';
    return 'done';
  }

  /** The verdict; only when `run` said `'done'`. */
  result(): ScanResult {
    invariant(this.kind !== null, 'a scan has no result before its end');
    return {
      kind: this.kind,
      from: this.from,
      scannedTo: this.window.end,
      goodEnd: this.goodEnd,
      status: this.status,
      detail: this.detail,
      byteCode: this.byteCode,
      replayCode: replayCodeOf(this.kind, this.status),
      lastSeq: this.stats.lastSeq,
      stats: this.stats,
    };
  }

  private records(): 'read' | 'done' {
    const w = this.window;
    while (w.holdsRecord) {
      const r = this.decoder.decode(w.area, w.at, w.filled, this.prevSeq, this.policy);
      if (r.kind !== 'record') return this.end(r);
      this.accept(r);
      const goOn = this.onRecord(r, w.offset);
      w.at += r.totalLen;
      this.goodEnd = w.offset;
      if (goOn === false) return this.finish('stopped');
    }
    return 'read';
  }

  private accept(r: DecodedRecord): void {
    this.prevSeq = r.seq;
    if (r.verified && this.untilChecksummed) this.policy = 'refuse';
    this.stats.add(r);
  }

  private end(r: DecodedRecord): 'read' | 'done' {
    this.status = r.status;
    this.detail = r.detail;
    this.byteCode = r.byteCode;
    if (r.kind === 'end') return this.finish(this.goodEnd === this.from ? 'empty' : 'complete');
    if (r.kind === 'short-tail') return this.finish('short-tail');
    if (r.kind === 'incomplete') return this.finish('incomplete');
    if (r.detail !== DETAIL.badStartMagic) return this.finish('defect');
    this.state = 'zeros';
    return this.zeros();
  }

  /** A bad start magic is a torn tail if zeros follow up to the end (1.7): a file that grew before its data came. */
  private zeros(): 'read' | 'done' {
    const w = this.window;
    if (!isZero(w.area.bytes, w.at, w.filled)) return this.finish('defect');
    w.at = w.filled;
    return w.isComplete ? this.finish('zero-tail') : 'read';
  }

  private finish(kind: ScanKind): 'done' {
    this.kind = kind;
    this.state = 'done';
    return 'done';
  }
}

function isZero(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Source: transaction-log.md 3.1, 3.5. An empty range has nothing to report yet: code 0. */
export function replayCodeOf(kind: ScanKind, status: number): number {
  if (kind === 'empty') return REPLAY_CODE.none;
  if (kind === 'complete') return REPLAY_CODE.finished;
  if (status === STATUS.good || status === STATUS.incomplete) return REPLAY_CODE.stoppedEarly;
  return status;
}

/** Scans until the end of the range or the first defect. Rejects only if `read` does. */
export async function scanLog(read: ReadChunk, options?: ScanOptions, onRecord?: OnRecord): Promise<ScanResult> {
  const scanner = new LogScanner(options, onRecord);
  await drive(scanner, read);
  return scanner.result();
}

export function scanLogSync(read: ReadChunkSync, options?: ScanOptions, onRecord?: OnRecord): ScanResult {
  const scanner = new LogScanner(options, onRecord);
  driveSync(scanner, read);
  return scanner.result();
}

/** A reader over bytes in memory. */
export function readerOf(log: Uint8Array): ReadChunkSync {
  return (pos, bytes, at, len) => {
    const n = Math.max(0, Math.min(len, log.length - pos));
    bytes.set(log.subarray(pos, pos + n), at);
    return n;
  };
}
