import * as fs from 'node:fs';
import { promisify } from 'node:util';
import {
  ENOENT,
  ENOTDIR,
  ErrorCode,
  type DirEntry,
  type ErrorCodeName,
  type FileExtent,
  type FileKind,
  type Files,
  type FileStat,
  type OpenFile,
  type OpenOptions,
  type SpaceInfo,
  type Unwatch,
} from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { native } from '../native.js';
import { writeFileAtomic } from './atomic-write.js';
import { makeDirs } from './make-dirs.js';
import { openPath, sizeOfFd } from './open.js';
import { extentsOf } from './extents.js';
import { readFully, writeFully } from './read-write.js';
import { setLinkTimeNs } from './stamps.js';
import { watchDirectory } from './watch.js';

const openAsync = promisify(fs.open);
const closeAsync = promisify(fs.close);
const ftruncateAsync = promisify(fs.ftruncate);
const fsyncAsync = promisify(fs.fsync);
const fdatasyncAsync = promisify(fs.fdatasync);

/** The files of this machine. Errors are MarsErrors with errno, path and a hint. */
export class RealFiles implements Files {
  private readonly watches = new Set<Unwatch>();

  open(path: string, options: OpenOptions): Promise<OpenFile> {
    return openPath(path, options);
  }

  async close(file: OpenFile): Promise<void> {
    await attempt(`close ${file.path}`, file.path, () => closeAsync(file.fd));
  }

  size(file: OpenFile): number {
    return step(`find the size of ${file.path}`, file.path, () => sizeOfFd(file.fd));
  }

  async truncate(file: OpenFile, sizeBytes: number): Promise<void> {
    await attempt(`set the size of ${file.path} to ${sizeBytes}`, file.path, () => ftruncateAsync(file.fd, sizeBytes));
  }

  async readAt(file: OpenFile, into: Uint8Array, posBytes: number): Promise<number> {
    return attempt(`read ${file.path}`, file.path, () => readFully(file.fd, into, posBytes));
  }

  async writeAt(file: OpenFile, from: Uint8Array, posBytes: number): Promise<void> {
    await attempt(`write ${file.path}`, file.path, () => writeFully(file.fd, from, posBytes));
  }

  extents(file: OpenFile, posBytes: number, lenBytes: number, most: number): FileExtent[] {
    return extentsOf(file.fd, posBytes, lenBytes, most);
  }

  async sync(file: OpenFile, { metadata = false }: { metadata?: boolean } = {}): Promise<void> {
    const sync = metadata ? fsyncAsync : fdatasyncAsync;
    await attempt(`make ${file.path} durable`, file.path, () => sync(file.fd));
  }

  async syncDir(path: string): Promise<void> {
    await attempt(`make the directory ${path} durable`, path, () => syncDirectoryLater(path));
  }

  stat(path: string): FileStat | null {
    return orNull(`look at ${path}`, path, () => toStat(fs.statSync(path, { bigint: true })));
  }

  lstat(path: string): FileStat | null {
    return orNull(`look at ${path}`, path, () => toStat(fs.lstatSync(path, { bigint: true })));
  }

  space(path: string): SpaceInfo {
    const answer = native?.statfs(path);
    if (typeof answer === 'object') {
      return { totalBytes: answer.totalBytes, freeBytes: answer.freeBytes, availableBytes: answer.availableBytes };
    }
    return step(`find the free space of ${path}`, path, () => {
      const s = fs.statfsSync(path);
      return { totalBytes: s.blocks * s.bsize, freeBytes: s.bfree * s.bsize, availableBytes: s.bavail * s.bsize };
    });
  }

  readDir(path: string): DirEntry[] | null {
    return orNull(`list ${path}`, path, () =>
      fs.readdirSync(path, { withFileTypes: true }).map((entry) => ({ name: entry.name, kind: kindOf(entry) })),
    );
  }

  makeDir(path: string, options: { mode?: number; recursive?: boolean } = {}): void {
    const { recursive = false, mode } = options;
    step(`make the directory ${path}`, path, () => (recursive ? makeDirs(path, mode) : fs.mkdirSync(path, { mode })));
  }

  removeDir(path: string): void {
    step(`remove the directory ${path}`, path, () => fs.rmdirSync(path));
  }

  rename(from: string, to: string): void {
    step(`rename ${from} to ${to}`, from, () => fs.renameSync(from, to));
  }

  unlink(path: string): void {
    step(`remove ${path}`, path, () => fs.unlinkSync(path));
  }

  readLink(path: string): string | null {
    return orNull(`read the link ${path}`, path, () => fs.readlinkSync(path));
  }

  symlink(target: string, path: string): void {
    step(`make the link ${path}`, path, () => fs.symlinkSync(target, path));
  }

  setLinkTime(path: string, mtimeNs: bigint): void {
    const action = `set the time of ${path}`;
    const status = step(action, path, () => setLinkTimeNs(path, mtimeNs));
    if (status < 0) throw machineError(ErrorCode.FILE_IO, { action, errno: status, path });
  }

  readFile(path: string): Uint8Array | null {
    return orNull(`read ${path}`, path, () => fs.readFileSync(path));
  }

  writeFile(path: string, data: Uint8Array | string, { mode }: { mode?: number } = {}): void {
    step(`write ${path}`, path, () => writeFileAtomic(path, data, mode));
  }

  watch(path: string, changed: (name: string | null) => void): Unwatch {
    const unwatch = watchDirectory(path, changed);
    const once = (): void => {
      if (this.watches.delete(once)) unwatch();
    };
    this.watches.add(once);
    return once;
  }

  /** Ends all watches. Open files belong to those who opened them. */
  shutDown(): void {
    for (const unwatch of [...this.watches]) unwatch();
  }
}

async function syncDirectoryLater(path: string): Promise<void> {
  const fd = await openAsync(path, 'r');
  try {
    await fsyncAsync(fd);
  } finally {
    await closeAsync(fd);
  }
}

function failure(action: string, path: string, cause: unknown, code: ErrorCodeName = ErrorCode.FILE_IO): Error {
  return machineError(code, { action, errno: errnoOf(cause), path, cause });
}

function step<T>(action: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw failure(action, path, error);
  }
}

/** "Not there" is an answer, not an error. */
function orNull<T>(action: string, path: string, run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === ENOENT || errno === ENOTDIR) return null;
    throw failure(action, path, error);
  }
}

async function attempt<T>(action: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw failure(action, path, error);
  }
}

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  isBlockDevice(): boolean;
}

function kindOf(of: Kinds): FileKind {
  if (of.isFile()) return 'file';
  if (of.isDirectory()) return 'directory';
  if (of.isSymbolicLink()) return 'symlink';
  return of.isBlockDevice() ? 'block' : 'other';
}

function toStat(s: fs.BigIntStats): FileStat {
  return {
    kind: kindOf(s),
    sizeBytes: Number(s.size),
    mtimeNs: s.mtimeNs,
    mode: Number(s.mode) & 0o7777,
    inode: Number(s.ino),
    device: Number(s.dev),
  };
}
