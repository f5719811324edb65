import type { InjectionToken } from '../di.js';

/** How a file or device is opened. */
export interface OpenOptions {
  write?: boolean;
  /** Create a missing file with mode 0600. */
  create?: boolean;
  /** With `create`: refuse an existing file. On a block device: refuse when somebody else holds it. */
  exclusive?: boolean;
  truncate?: boolean;
  /** Bypass the page cache (O_DIRECT). */
  direct?: boolean;
  noFollow?: boolean;
}

/** An open file or device; `fd` is what ring descriptors name. */
export interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly isBlockDevice: boolean;
  /** Bytes, at the time of opening. */
  readonly sizeBytes: number;
  /** Positions and lengths of direct I/O must be multiples, bytes; 1 for buffered files. */
  readonly alignBytes: number;
  readonly preferredBytes: number;
  readonly isRotational: boolean;
  readonly isReadOnly: boolean;
  /** Discard is possible (TRIM of a device, hole punching of a file). */
  readonly canDiscard: boolean;
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'block' | 'other';

export interface FileStat {
  kind: FileKind;
  sizeBytes: number;
  /** Modification time, nanoseconds since the epoch. */
  mtimeNs: bigint;
  mode: number;
  inode: number;
  device: number;
}

export interface SpaceInfo {
  totalBytes: number;
  freeBytes: number;
  availableBytes: number;
}

export interface DirEntry {
  name: string;
  kind: FileKind;
}

/** A piece of a file that is all data, or all hole. */
export interface FileExtent {
  posBytes: number;
  lenBytes: number;
  /** `EXTENT_*` bits; 0 = data. */
  type: number;
}

/** The end of a watch; calling it twice is harmless. */
export type Unwatch = () => void;

/**
 * Files, directories and symlinks of one host. Errors are `MarsError`s with the errno in `details.errno`, except where
 * a `null` says "not there".
 *
 * Metadata calls are synchronous on purpose: they are short, and the tree needs each of them to be one step.
 * Data moves through the ring of a loop; `readFile`/`writeFile` are for small control files.
 */
export interface Files {
  open(path: string, options: OpenOptions): Promise<OpenFile>;
  close(file: OpenFile): Promise<void>;
  /** Current size, bytes (devices: BLKGETSIZE64). */
  size(file: OpenFile): number;
  truncate(file: OpenFile, sizeBytes: number): Promise<void>;
  /** Cold path: fills `into` from `posBytes` on. @returns bytes read, fewer than asked only at the end of the file */
  readAt(file: OpenFile, into: Uint8Array, posBytes: number): Promise<number>;
  /** Cold path: writes all of `from`. */
  writeAt(file: OpenFile, from: Uint8Array, posBytes: number): Promise<void>;
  /**
   * What is allocated between `posBytes` and `posBytes + lenBytes`: pieces without gaps from `posBytes` on, at most `most` of them, so they
   * may end early. Who cannot tell says that everything is data.
   */
  extents(file: OpenFile, posBytes: number, lenBytes: number, most: number): FileExtent[];
  /** fdatasync, or fsync when `metadata` is set. */
  sync(file: OpenFile, options?: { metadata?: boolean }): Promise<void>;
  syncDir(path: string): Promise<void>;

  stat(path: string): FileStat | null;
  lstat(path: string): FileStat | null;
  space(path: string): SpaceInfo;
  readDir(path: string): DirEntry[] | null;
  makeDir(path: string, options?: { mode?: number; recursive?: boolean }): void;
  removeDir(path: string): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  readLink(path: string): string | null;
  symlink(target: string, path: string): void;
  /** Sets the modification time of the link itself, to the nanosecond where the machine can (else rounded up to the µs). */
  setLinkTime(path: string, mtimeNs: bigint): void;
  readFile(path: string): Uint8Array | null;
  /** Replaces the file in one step (temporary file, sync, rename). */
  writeFile(path: string, data: Uint8Array | string, options?: { mode?: number }): void;
  /** Calls `changed(name)` soon after an entry of the directory changed; `null` = look at everything. */
  watch(path: string, changed: (name: string | null) => void): Unwatch;
}

export const FILES: InjectionToken<Files> = Symbol('brick-core/Files');
