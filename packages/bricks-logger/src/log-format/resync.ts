/**
 * Looks for records behind a defect, for people. **Replay never uses this**: what stands behind a defect may belong
 * to another run of the disk, and even if not, applying it would skip lost writes.
 *
 * Recovery uses one bit of it: whether a valid record of a higher sequence stands behind a defect decides if the
 * defect may be called a torn tail (tail.ts), and finding one makes recovery stricter, never more lenient.
 *
 * Source: transaction-log.md 1.6 [OURS], 3.3 [OURS]
 */

import { RecordDecoder } from './decode.js';
import { portableDigestEngine } from './digests.js';
import type { DigestEngine } from './digests.js';
import { RESYNC_STEP_BYTES, START_MAGIC_FIRST_BYTE } from './layout.js';
import { LogScanner } from './scan.js';
import type { ScanOptions, ScanResult } from './scan.js';
import { LogWindow, drive, driveSync } from './window.js';
import type { ReadChunk, ReadChunkSync, WindowWork } from './window.js';

export interface ResyncOptions {
  /** First offset to try: where the defective record starts. The offset itself is tried, too. */
  readonly from: number;
  readonly to?: number;
  /** 4 finds what known writers write; 1 finds everything and is still fast. */
  readonly stepBytes?: number;
  /** Only records with a sequence above this one, or an unknown one (0). Default 0: any record. */
  readonly aboveSeq?: number;
  readonly engine?: DigestEngine;
  readonly windowBytes?: number;
}

export interface FoundRecord {
  readonly offset: number;
  readonly totalLen: number;
  readonly seq: number;
  readonly verified: boolean;
}

export class ResyncSearch implements WindowWork {
  readonly window: LogWindow;
  found: FoundRecord | null = null;
  private readonly decoder: RecordDecoder;
  private readonly stepBytes: number;

  constructor(private readonly options: ResyncOptions) {
    this.window = new LogWindow(options.from, options.to, options.windowBytes);
    this.decoder = new RecordDecoder(options.engine ?? portableDigestEngine);
    this.stepBytes = options.stepBytes ?? RESYNC_STEP_BYTES;
  }

  run(): 'read' | 'done' {
    const w = this.window;
    while (w.holdsRecord) {
      this.toCandidate();
      if (!w.holdsRecord) return 'read';
      if (w.available === 0) return 'done';
      if (this.isRecord()) return 'done';
      w.at += this.stepBytes;
      if (w.at > w.filled) w.at = w.filled;
    }
    return 'read';
  }

  /** Moves to the next multiple of the step where the first magic byte stands, or to the end of what is there. */
  private toCandidate(): void {
    const w = this.window;
    while (w.at < w.filled) {
      const hit = w.area.bytes.indexOf(START_MAGIC_FIRST_BYTE, w.at);
      if (hit < 0 || hit >= w.filled) break;
      const beyond = (w.base + hit - this.options.from) % this.stepBytes;
      if (beyond === 0) {
        w.at = hit;
        return;
      }
      w.at = hit + this.stepBytes - beyond;
    }
    w.at = w.filled - this.tailBytes();
  }

  /** Keeps `at` on a step although the window may end between two of them. */
  private tailBytes(): number {
    const w = this.window;
    return w.isComplete ? 0 : (w.base + w.filled - this.options.from) % this.stepBytes;
  }

  private isRecord(): boolean {
    const w = this.window;
    const r = this.decoder.decode(w.area, w.at, w.filled, 0, 'accept');
    if (r.kind !== 'record' || (r.seq !== 0 && r.seq <= (this.options.aboveSeq ?? 0))) return false;
    this.found = { offset: w.offset, totalLen: r.totalLen, seq: r.seq, verified: r.verified };
    return true;
  }
}

/** The next plausible record at or behind `from`, or null. For inspection only. */
export async function findNextRecord(read: ReadChunk, options: ResyncOptions): Promise<FoundRecord | null> {
  const search = new ResyncSearch(options);
  await drive(search, read);
  return search.found;
}

export function findNextRecordSync(read: ReadChunkSync, options: ResyncOptions): FoundRecord | null {
  const search = new ResyncSearch(options);
  driveSync(search, read);
  return search.found;
}

/** Most pieces a survey lists; a badly shredded log has more, and nobody reads them. */
export const SURVEY_SEGMENTS_MAX = 1000;

/** A run of good records, or bytes that are none. */
export type Segment =
  | { readonly kind: 'good'; readonly scan: ScanResult }
  | { readonly kind: 'bad'; readonly from: number; readonly to: number; readonly scan: ScanResult };

/** Everything that a log holds, defects and what is behind them, in file order. For inspection only. */
export async function surveyLog(read: ReadChunk, options: ScanOptions = {}): Promise<Segment[]> {
  const segments: Segment[] = [];
  let prevSeq = options.prevSeq ?? 0;
  let from = options.from ?? 0;
  while (segments.length < SURVEY_SEGMENTS_MAX) {
    const scanner = new LogScanner({ ...options, from, prevSeq });
    await drive(scanner, read);
    const scan = scanner.result();
    if (scan.goodEnd > from || scan.kind === 'empty') segments.push({ kind: 'good', scan });
    if (scan.kind === 'complete' || scan.kind === 'empty') break;

    // Behind a gap in the sequence a record may start at once; where nothing was good, the start itself is bad.
    const searchFrom = scan.goodEnd + (scan.goodEnd === from ? RESYNC_STEP_BYTES : 0);
    const search = new ResyncSearch({ ...options, from: searchFrom });
    await drive(search, read);
    segments.push({ kind: 'bad', from: scan.goodEnd, to: search.found?.offset ?? search.window.end, scan });
    if (search.found === null) break;
    from = search.found.offset;
    prevSeq = 0;
  }
  return segments;
}
