import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const DEFAULT_MODE = 0o600;
let counter = 0;

/**
 * Replaces a file in one step: whoever looks sees the old or the new contents, also after a power cut; durable on return.
 * The temporary file has a dot name beside it. Mode: as given, else that of the file replaced, else 0600. Throws as Node does.
 */
export function writeFileAtomic(path: string, data: Uint8Array | string, mode?: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${counter++}.tmp`);
  try {
    writeNew(temporary, typeof data === 'string' ? Buffer.from(data) : data, mode ?? modeOf(path));
    renameSync(temporary, path);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
  syncDirectory(dirname(path));
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeNew(path: string, data: Uint8Array, mode: number): void {
  const fd = openSync(path, 'wx', mode);
  try {
    fchmodSync(fd, mode); // open() applied the umask
    for (let done = 0; done < data.length;) done += writeSync(fd, data, done);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function modeOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.mode ?? DEFAULT_MODE) & 0o7777;
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never made; the first error is the one that counts.
  }
}
