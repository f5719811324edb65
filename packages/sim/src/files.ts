import {
  EBADF,
  EEXIST,
  EIO,
  EISDIR,
  EINVAL,
  EMFILE,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EXDEV,
  ErrorCode,
  MarsError,
  invariant,
  type DirEntry,
  type FileExtent,
  type FileStat,
  type Files,
  type OpenFile,
  type OpenOptions,
  type SpaceInfo,
  type Unwatch,
} from '@mars/brick-core';
import type { SimClock } from './clock.js';
import { fileError, type DiskWorld, type Place, type SimDisk } from './disk/disk.js';
import { extentsOf } from './disk/extents.js';
import type { DiskOp, Fate } from './disk/faults.js';
import type { Inode } from './disk/inode.js';
import { SECTOR } from './disk/sectors.js';
import type { Volume } from './disk/volume.js';
import { MAX_OPEN_FILES } from './limits.js';
import type { Life } from './world/life.js';

/** An open file of the simulated disk. */
export interface SimFile extends OpenFile {
  readonly inode: Inode;
  readonly volume: Volume;
  readonly isDirect: boolean;
}

/**
 * The files of one life of a host, over its {@link SimDisk}. Names change at once; what moves data or waits for the disk is
 * answered by an event. Reads see what was written, a power cut leaves what was synced and a seeded part of the rest.
 */
export class SimFiles implements Files {
  private readonly table = new Map<number, SimFile>();
  private nextTemporary = 1;

  constructor(
    private readonly world: DiskWorld,
    private readonly life: Life,
    readonly disk: SimDisk,
    private readonly clock: SimClock,
  ) {}

  async open(path: string, options: OpenOptions): Promise<OpenFile> {
    await this.job('open', path, 0, 0, (fate) => -fate.errno, ErrorCode.FILE_OPEN);
    this.life.check();
    const place = this.disk.find(path, { follow: !options.noFollow });
    const inode = this.opened(place, path, options);
    const fd = this.freeFd(path);
    place.volume.open(inode);
    const file: SimFile = {
      fd,
      path,
      isBlockDevice: inode.isDevice,
      sizeBytes: inode.sizeBytes,
      alignBytes: options.direct || inode.isDevice ? SECTOR : 1,
      preferredBytes: 4096,
      isRotational: false,
      isReadOnly: !options.write,
      canDiscard: true,
      inode,
      volume: place.volume,
      isDirect: options.direct ?? false,
    };
    this.table.set(fd, file);
    return file;
  }

  async close(file: OpenFile): Promise<void> {
    this.closeFd(file.fd);
  }

  size(file: OpenFile): number {
    return this.fileOf(file).inode.sizeBytes;
  }

  async truncate(file: OpenFile, sizeBytes: number): Promise<void> {
    const { inode, volume } = this.writable(file);
    await this.job('truncate', file.path, sizeBytes, 0, (fate) => {
      if (fate.errno !== 0) return -fate.errno;
      if (inode.isDevice) return -EINVAL;
      volume.setSize(inode, sizeBytes, this.world.nowNs);
      return 0;
    });
  }

  async readAt(file: OpenFile, into: Uint8Array, posBytes: number): Promise<number> {
    const { inode } = this.fileOf(file);
    const served = (): number => Math.max(0, Math.min(into.length, inode.sizeBytes - posBytes));
    let bytes = 0;
    await this.job('read', file.path, posBytes, into.length, (fate) => {
      if (fate.errno !== 0) return -fate.errno;
      bytes = served();
      if (fate.rot && bytes > 0) inode.data!.rot(posBytes + this.disk.draw(bytes), this.disk.draw(8));
      inode.data!.read(posBytes, into.subarray(0, bytes));
      return bytes;
    });
    return bytes;
  }

  async writeAt(file: OpenFile, from: Uint8Array, posBytes: number): Promise<void> {
    const { inode, volume } = this.writable(file);
    // The caller may change its buffer as soon as it has the promise's result, not before; so no copy is needed.
    await this.job('write', file.path, posBytes, from.length, (fate) => {
      if (fate.errno !== 0) return -fate.errno;
      if (!volume.hasRoom(inode, posBytes, from.length)) return -ENOSPC;
      return volume.write(inode, posBytes, from, this.world.nowNs);
    });
  }

  extents(file: OpenFile, posBytes: number, lenBytes: number, most: number): FileExtent[] {
    const { inode } = this.fileOf(file);
    return extentsOf(inode, posBytes, lenBytes, most);
  }

  sync(file: OpenFile, _options: { metadata?: boolean } = {}): Promise<void> {
    const open = this.fileOf(file);
    return new Promise((resolve, reject) => {
      this.submitSync(open, (result) => {
        if (result < 0) reject(fileError(ErrorCode.FILE_IO, -result, 'sync', file.path));
        else resolve();
      });
    });
  }

  /** fdatasync and fsync alike: data, size and what is needed to find them. For the ring, too. */
  submitSync(file: SimFile, answer: (result: number) => void): ReturnType<SimDisk['submit']> {
    const { inode, volume } = file;
    const token = inode.data!.beginSync();
    // The journal may commit before the data is there, or after it.
    if (this.disk.coin()) volume.journal.commitInode(inode);
    const work = (fate: Fate): number => {
      if (fate.loses) inode.data!.failSync(token);
      else if (fate.errno === 0) {
        volume.journal.commitInode(inode);
        inode.data!.endSync(token);
      } else inode.data!.abandonSync(token);
      return -fate.errno;
    };
    return this.disk.submit(this.life, {
      op: 'sync',
      path: file.path,
      pos: 0,
      len: 0,
      work,
      answer,
      drop: () => inode.data!.abandonSync(token),
    });
  }

  async syncDir(path: string): Promise<void> {
    const { inode, volume } = this.disk.find(path);
    if (inode?.names == null) throw fileError(ErrorCode.FILE_IO, inode === null ? ENOENT : ENOTDIR, 'sync-dir', path);
    await this.job('sync-dir', path, 0, 0, (fate) => {
      if (fate.errno === 0) volume.journal.commitDirectory(inode);
      return -fate.errno;
    });
  }

  stat(path: string): FileStat | null {
    this.life.check();
    return statOf(this.disk.tryFind(path));
  }

  lstat(path: string): FileStat | null {
    this.life.check();
    return statOf(this.disk.tryFind(path, { follow: false }));
  }

  space(path: string): SpaceInfo {
    this.life.check();
    const { volume } = this.disk.find(path);
    const freeBytes = Math.max(0, volume.capacityBytes - volume.usedBytes);
    return { totalBytes: volume.capacityBytes, freeBytes, availableBytes: freeBytes };
  }

  readDir(path: string): DirEntry[] | null {
    this.life.check();
    const inode = this.disk.tryFind(path)?.inode;
    if (inode == null) return null;
    if (inode.names === null) throw fileError(ErrorCode.FILE_IO, ENOTDIR, 'read-dir', path);
    return [...inode.names].map(([name, entry]) => ({ name, kind: entry.kind }));
  }

  makeDir(path: string, options: { mode?: number; recursive?: boolean } = {}): void {
    if (options.recursive) {
      const parent = parentOf(path);
      if (parent !== '/' && this.stat(parent) === null) this.makeDir(parent, options);
      if (this.stat(path)?.kind === 'directory') return;
    }
    const { volume, dir, name } = this.newName(path, 'mkdir');
    const inode = volume.newInode('directory', options.mode ?? 0o755, this.clock.wallNs());
    volume.link(dir, name, inode, this.world.nowNs);
    this.disk.notify(dir, name);
  }

  removeDir(path: string): void {
    const { volume, dir, name, inode } = this.oldName(path, 'rmdir');
    if (inode.names === null) throw fileError(ErrorCode.FILE_IO, ENOTDIR, 'rmdir', path);
    if (inode.names.size > 0) throw fileError(ErrorCode.FILE_IO, ENOTEMPTY, 'rmdir', path);
    volume.unlink(dir, name, this.world.nowNs);
    this.disk.notify(dir, name);
  }

  rename(from: string, to: string): void {
    const source = this.oldName(from, 'rename');
    const target = this.disk.find(to, { follow: false });
    if (target.dir === null || target.volume !== source.volume) throw fileError(ErrorCode.FILE_IO, EXDEV, 'rename', to);
    if (target.inode?.names != null && (source.inode.names === null || target.inode.names.size > 0)) {
      throw fileError(ErrorCode.FILE_IO, source.inode.names === null ? EISDIR : ENOTEMPTY, 'rename', to);
    }
    if (target.inode !== null && target.inode.names === null && source.inode.names !== null) {
      throw fileError(ErrorCode.FILE_IO, ENOTDIR, 'rename', to);
    }
    source.volume.rename(source.dir, source.name, target.dir, target.name, this.world.nowNs);
    this.disk.notify(source.dir, source.name);
    this.disk.notify(target.dir, target.name);
  }

  unlink(path: string): void {
    const { volume, dir, name, inode } = this.oldName(path, 'unlink');
    if (inode.names !== null) throw fileError(ErrorCode.FILE_IO, EISDIR, 'unlink', path);
    volume.unlink(dir, name, this.world.nowNs);
    this.disk.notify(dir, name);
  }

  readLink(path: string): string | null {
    this.life.check();
    const inode = this.disk.tryFind(path, { follow: false })?.inode;
    if (inode == null) return null;
    if (inode.kind !== 'symlink') throw fileError(ErrorCode.FILE_IO, EINVAL, 'readlink', path);
    return inode.target;
  }

  symlink(target: string, path: string): void {
    const { volume, dir, name } = this.newName(path, 'symlink');
    volume.link(dir, name, volume.newInode('symlink', 0o777, this.clock.wallNs(), target), this.world.nowNs);
    this.disk.notify(dir, name);
  }

  setLinkTime(path: string, mtimeNs: bigint): void {
    const { volume, dir, name, inode } = this.oldName(path, 'set-link-time');
    volume.setTime(inode, mtimeNs, this.world.nowNs);
    this.disk.notify(dir, name);
  }

  readFile(path: string): Uint8Array | null {
    this.life.check();
    const inode = this.disk.tryFind(path)?.inode;
    if (inode == null) return null;
    if (inode.data === null) throw fileError(ErrorCode.FILE_IO, EISDIR, 'read', path);
    const bytes = new Uint8Array(inode.sizeBytes);
    inode.data.read(0, bytes);
    return bytes;
  }

  writeFile(path: string, data: Uint8Array | string, options: { mode?: number } = {}): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    const temporary = `${path}.tmp${this.nextTemporary++}`;
    const { volume, dir, name } = this.newName(temporary, 'write-file');
    const inode = volume.newInode('file', options.mode ?? 0o644, this.clock.wallNs());
    volume.link(dir, name, inode, this.world.nowNs);
    const written = volume.write(inode, 0, bytes, this.world.nowNs);
    if (written < bytes.length) {
      volume.unlink(dir, name, this.world.nowNs);
      throw fileError(ErrorCode.FILE_IO, written < 0 ? -written : EIO, 'write-file', path);
    }
    // Temporary file, sync, rename: the contents are durable before the name can be.
    volume.journal.commitInode(inode);
    inode.data!.endSync(inode.data!.beginSync());
    this.rename(temporary, path);
  }

  watch(path: string, changed: (name: string | null) => void): Unwatch {
    this.life.check();
    const { inode } = this.disk.find(path);
    if (inode?.names == null) throw fileError(ErrorCode.FILE_IO, inode === null ? ENOENT : ENOTDIR, 'watch', path);
    return this.disk.watch(this.life, inode, changed);
  }

  /** The open file of a descriptor, for the ring; `undefined` = EBADF. */
  byFd(fd: number): SimFile | undefined {
    return this.table.get(fd);
  }

  /** @returns 0 or -EBADF */
  closeFd(fd: number): number {
    this.life.check();
    const file = this.table.get(fd);
    if (file === undefined) return -EBADF;
    this.table.delete(fd);
    file.volume.close(file.inode);
    return 0;
  }

  /** Open files, for leak checks. */
  get openFiles(): readonly OpenFile[] {
    return [...this.table.values()];
  }

  waits(): string[] {
    return this.disk.waits();
  }

  private opened({ volume, dir, name, inode }: Place, path: string, options: OpenOptions): Inode {
    if (inode === null) {
      if (!options.create || dir === null) throw fileError(ErrorCode.FILE_OPEN, ENOENT, 'open', path);
      const made = volume.newInode('file', 0o600, this.clock.wallNs());
      volume.link(dir, name, made, this.world.nowNs);
      this.disk.notify(dir, name);
      return made;
    }
    if (options.exclusive && (options.create || (inode.isDevice && inode.openers > 0))) {
      if (!inode.isDevice) throw fileError(ErrorCode.FILE_OPEN, EEXIST, 'open', path);
      throw new MarsError(ErrorCode.DEVICE_IN_USE, `${path} is in use`, {
        hint: 'Stop whoever uses it.',
        details: { errno: 16, path },
      });
    }
    if (inode.data === null) throw fileError(ErrorCode.FILE_OPEN, inode.kind === 'symlink' ? 40 : EISDIR, 'open', path);
    if (options.truncate && !inode.isDevice) volume.setSize(inode, 0, this.world.nowNs);
    return inode;
  }

  private job(
    op: DiskOp,
    path: string,
    pos: number,
    len: number,
    work: (fate: Fate) => number,
    code: 'FILE_IO' | 'FILE_OPEN' = 'FILE_IO',
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const answer = (result: number): void => {
        if (result < 0) reject(fileError(ErrorCode[code], -result, op, path));
        else resolve();
      };
      this.disk.submit(this.life, { op, path, pos, len, work, answer });
    });
  }

  private newName(path: string, what: string): { volume: Volume; dir: Inode; name: string } {
    this.disk.meta(this.life, path, what);
    const { volume, dir, name, inode } = this.disk.find(path, { follow: false });
    if (inode !== null || dir === null) throw fileError(ErrorCode.FILE_IO, EEXIST, what, path);
    return { volume, dir, name };
  }

  private oldName(path: string, what: string): { volume: Volume; dir: Inode; name: string; inode: Inode } {
    this.disk.meta(this.life, path, what);
    const { volume, dir, name, inode } = this.disk.find(path, { follow: false });
    if (inode === null) throw fileError(ErrorCode.FILE_IO, ENOENT, what, path);
    if (dir === null) throw fileError(ErrorCode.FILE_IO, EINVAL, what, path);
    return { volume, dir, name, inode };
  }

  private fileOf(file: OpenFile): SimFile {
    this.life.check();
    const open = this.table.get(file.fd);
    if (open !== file) throw fileError(ErrorCode.FILE_IO, EBADF, 'use', file.path);
    return open;
  }

  private writable(file: OpenFile): SimFile {
    const open = this.fileOf(file);
    if (open.isReadOnly) throw fileError(ErrorCode.FILE_IO, EBADF, 'write', file.path);
    return open;
  }

  private freeFd(path: string): number {
    let fd = 3;
    while (this.table.has(fd)) fd++;
    if (fd >= MAX_OPEN_FILES) throw fileError(ErrorCode.FILE_OPEN, EMFILE, 'open', path);
    invariant(!this.table.has(fd), 'a descriptor was given out twice');
    return fd;
  }
}

function statOf(place: Place | null): FileStat | null {
  if (place?.inode == null) return null;
  const { inode, volume } = place;
  return {
    kind: inode.kind,
    sizeBytes: inode.kind === 'symlink' ? new TextEncoder().encode(inode.target).length : inode.sizeBytes,
    mtimeNs: inode.mtimeNs,
    mode: inode.mode,
    inode: inode.number,
    device: volume.device,
  };
}

function parentOf(path: string): string {
  const end = path.replace(/\/+$/, '').lastIndexOf('/');
  return end <= 0 ? '/' : path.slice(0, end);
}
