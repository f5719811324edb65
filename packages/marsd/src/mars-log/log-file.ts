import { ErrorCode, MarsError, type Files, type OpenFile } from '@mars/brick-core';
import type { ReadChunk } from '@mars/bricks-logger/log-format';

/** Memory of one scan, bytes: large enough that the calls to the kernel do not count. */
export const SCAN_WINDOW_BYTES = 1024 * 1024;

/** An open logfile, for scans. */
export interface LogFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly read: ReadChunk;
  /** What replay puts on a disk must not vanish from the log in a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** @throws MarsError FILE_OPEN, USAGE when it is no file */
export async function openLog(files: Files, path: string): Promise<LogFile> {
  const kind = files.stat(path)?.kind;
  if (kind !== undefined && kind !== 'file' && kind !== 'block') {
    throw new MarsError(ErrorCode.USAGE, `${path} is no file`, { hint: 'Name a logfile: log-000000001-HOST.' });
  }
  const file = await files.open(path, {});
  return {
    path,
    sizeBytes: files.size(file),
    read: reader(files, file),
    sync: () => files.sync(file),
    close: () => files.close(file),
  };
}

function reader(files: Files, file: OpenFile): ReadChunk {
  return (pos, bytes, at, len) => files.readAt(file, bytes.subarray(at, at + len), pos);
}

/** Opens, uses, closes, whatever happens. */
export async function withLog<T>(files: Files, path: string, use: (log: LogFile) => Promise<T>): Promise<T> {
  const log = await openLog(files, path);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}
