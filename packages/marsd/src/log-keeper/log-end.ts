import type { Files } from '@mars/brick-core';
import {
  findNextRecord,
  judgeTail,
  scanLog,
  type DigestEngine,
  type ReadChunk,
  type ScanResult,
} from '@mars/bricks-logger/log-format';
import type { LogEnd } from '@mars/strategy';

export interface LookOptions {
  fromPos: number;
  /** minPos + length of the own replay link. */
  dirtyEnd: number;
  unsyncedCapBytes?: number | undefined;
  engine?: DigestEngine | undefined;
}

/** Finds out where a log ends, and whether what stands behind that may go. Source: transaction-log.md 3.3 [OURS] */
export async function lookAtEnd(files: Files, path: string, options: LookOptions): Promise<LogEnd> {
  const { fromPos, dirtyEnd, unsyncedCapBytes, engine } = options;
  const file = await files.open(path, {});
  try {
    const read: ReadChunk = (pos, bytes, at, len) => files.readAt(file, bytes.subarray(at, at + len), pos);
    const withEngine = engine === undefined ? {} : { engine };
    const scan = await scanLog(read, { from: fromPos, ...withEngine });
    const verdict = judgeTail({
      scan,
      fileBytes: files.size(file),
      dirtyEnd,
      validRecordBehind: mayHideRecords(scan) && (await hasNewerRecord(read, scan, withEngine)),
      ...(unsyncedCapBytes === undefined ? {} : { unsyncedCapBytes }),
    });
    return { goodEnd: verdict.cutAt, reason: verdict.reason, mayCut: verdict.accept };
  } finally {
    await files.close(file);
  }
}

function mayHideRecords({ kind }: ScanResult): boolean {
  return kind === 'defect' || kind === 'incomplete';
}

async function hasNewerRecord(read: ReadChunk, scan: ScanResult, engine: { engine?: DigestEngine }): Promise<boolean> {
  const found = await findNextRecord(read, { from: scan.goodEnd, stepBytes: 1, aboveSeq: scan.lastSeq, ...engine });
  return found !== null;
}
