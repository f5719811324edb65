import type { Files, OpenFile } from '@mars/brick-core';

/** Which call makes data durable. `none` is for throw-away data: a flush then promises nothing. */
export type SyncMode = 'fsync' | 'fdatasync' | 'none';

/** How an end opens its file. */
export interface EndOptions {
  path: string;
  create: boolean;
  direct: boolean;
  readonly: boolean;
  exclusive: boolean;
  mayGrow: boolean;
  sync: SyncMode;
  /** Size of a file that is made new, bytes; 0 = empty. */
  newSizeBytes: number;
}

/**
 * Opens the file or device of an end; `create` makes a missing file first.
 *
 * What it holds is synced before anybody reads it: after the death of a process it may hold what was never made durable, and
 * what was read once must not be gone after a power cut. A write error that nobody was told about shows here too.
 * @throws MarsError FILE_OPEN, DEVICE_IN_USE, FILE_IO
 */
export async function openEnd(files: Files, options: EndOptions): Promise<OpenFile> {
  const { path, create, direct, readonly, exclusive, sync, newSizeBytes } = options;
  if (create && !readonly) await makeFile(files, path, newSizeBytes);
  const file = await files.open(path, { write: !readonly, direct, exclusive });
  try {
    if (!file.isReadOnly && sync !== 'none') await files.sync(file, { metadata: true });
    return file;
  } catch (error) {
    await files.close(file);
    throw error;
  }
}

/** Size and name are durable before the first request. An empty file counts as missing: its maker may have died in here. */
async function makeFile(files: Files, path: string, sizeBytes: number): Promise<void> {
  const there = files.stat(path);
  if (there !== null && (there.kind !== 'file' || there.sizeBytes > 0 || sizeBytes === 0)) return;
  const file = await files.open(path, { write: true, create: true });
  try {
    if (sizeBytes > 0) await files.truncate(file, sizeBytes);
    await files.sync(file, { metadata: true });
    await files.syncDir(path.slice(0, path.lastIndexOf('/')) || (path.startsWith('/') ? '/' : '.'));
  } finally {
    await files.close(file);
  }
}
