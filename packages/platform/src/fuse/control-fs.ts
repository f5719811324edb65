import { closeSync, readSync, writeSync } from 'node:fs';
import {
  EACCES,
  EAGAIN,
  EBUSY,
  EINTR,
  EINVAL,
  EIO,
  EISDIR,
  ENOENT,
  ENFILE,
  ENOSYS,
  ENOTDIR,
  EPROTO,
  isMarsError,
} from '@mars/brick-core';
import * as fuse from '@mars/brick-core/fuse';
import { errnoOf } from '../errors.js';
import { native } from '../native.js';
import type { ControlFile, ControlFiles } from './control-files.js';
import {
  MAX_CONTROL_READ_BYTES,
  MAX_CONTROL_WRITE_BYTES,
  MAX_OPEN_CONTROL_FILES,
  MAX_PENDING_WRITES,
} from './limits.js';
import type { FuseMount } from './mount.js';

/** Nothing is kept by the kernel: contents change without its knowledge. */
const VALID_MS = 0;
const DIRECTORY_MODE = 0o700;

interface OpenHandle {
  path: string;
  /** What this reader sees; taken anew whenever it reads from the start. */
  contents: Uint8Array | null;
}

/**
 * Serves control files over a FUSE mount, in the event loop of this thread: the protocol, and nothing of what the files mean.
 *
 * Files are opened with FOPEN_DIRECT_IO, so each read(2) and each write(2) of a program is one request here. Their size is shown as 0, as
 * in /proc, so programs read to the end.
 */
export class ControlFs {
  private readonly request = new fuse.FuseRequest();
  private readonly input = Buffer.alloc(fuse.FUSE_REQUEST_ROOM_BYTES + MAX_CONTROL_WRITE_BYTES);
  private readonly output = Buffer.alloc(fuse.FUSE_OUT_HEADER_BYTES + MAX_CONTROL_READ_BYTES);
  private readonly inputView = viewOf(this.input);
  private readonly answer = new fuse.FuseAnswer(viewOf(this.output));
  /** Path by node and node by path; the root is ''. Nodes are never forgotten: there are as many as there are files. */
  private readonly pathOf = new Map<number, string>([[fuse.FUSE_ROOT_NODE, '']]);
  private readonly nodeOf = new Map<string, number>([['', fuse.FUSE_ROOT_NODE]]);
  private readonly handles = new Map<number, OpenHandle>();
  private lastHandle = 0;
  /** Writes whose promise is pending, by the `unique` of their request. */
  private readonly pending = new Map<string, AbortController>();
  private watch: { close(): void } | null = null;
  private isOver = false;

  constructor(
    private readonly mount: FuseMount,
    private readonly files: ControlFiles,
    /** Called once when the file system ended without our doing: somebody has unmounted it. */
    private readonly onLost: (reason: string) => void,
  ) {}

  start(): void {
    const watch = native!.watchFd(this.mount.fd, () => this.readOne());
    if (typeof watch === 'number') throw new Error(`cannot wait for the FUSE descriptor: errno ${-watch}`);
    this.watch = watch;
  }

  /** Unmounts. Programs that still have a file open see ENOTCONN from now on. */
  async close(): Promise<void> {
    if (this.isOver) return;
    await this.mount.unmount();
    this.end();
  }

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.watch?.close();
    closeSync(this.mount.fd);
    for (const writer of this.pending.values()) writer.abort();
    this.pending.clear();
    this.handles.clear();
  }

  /** The event loop calls again while there is more, so that others get their turn in between. */
  private readOne(): void {
    if (this.isOver) return;
    let bytes: number;
    try {
      bytes = readSync(this.mount.fd, this.input);
    } catch (error) {
      const errno = errnoOf(error);
      // ENOENT: the program was killed before its request got here.
      if (errno === EAGAIN || errno === EINTR || errno === ENOENT) return;
      this.end();
      return this.onLost((error as Error).message);
    }
    if (this.request.at(this.inputView, 0, bytes)) this.serve();
  }

  private serve(): void {
    const { request: q } = this;
    switch (q.opcode) {
      case fuse.FUSE_INIT:
        return this.init();
      case fuse.FUSE_LOOKUP:
        return this.lookup();
      case fuse.FUSE_GETATTR:
        return this.attributes();
      case fuse.FUSE_SETATTR:
        return this.setAttributes();
      case fuse.FUSE_OPENDIR:
      case fuse.FUSE_OPEN:
        return this.open();
      case fuse.FUSE_READ:
        return this.read();
      case fuse.FUSE_READDIR:
        return this.readDirectory();
      case fuse.FUSE_WRITE:
        return this.write();
      case fuse.FUSE_RELEASE:
      case fuse.FUSE_RELEASEDIR:
        this.handles.delete(q.handle);
        return this.status(0);
      case fuse.FUSE_STATFS:
        return this.send(this.answer.statfs(q.uniqueLow, q.uniqueHigh, this.files.size));
      case fuse.FUSE_FLUSH:
      case fuse.FUSE_FSYNC:
      case fuse.FUSE_ACCESS:
      case fuse.FUSE_DESTROY:
        return this.status(0);
      case fuse.FUSE_INTERRUPT:
        return this.interrupt();
      case fuse.FUSE_CREATE:
        return this.status(EACCES);
      default:
        // The kernel does not ask twice for what is not there.
        if (q.wantsAnswer) this.status(ENOSYS);
    }
  }

  private init(): void {
    const { request: q } = this;
    if (q.initMajor !== fuse.FUSE_MAJOR || q.initMinor < fuse.FUSE_MINOR_LEAST) return this.status(EPROTO);
    const offer: fuse.FuseOffer = {
      minor: Math.min(q.initMinor, fuse.FUSE_MINOR),
      readAheadBytes: 0,
      flags: q.initFlags & (fuse.FUSE_BIG_WRITES | fuse.FUSE_PARALLEL_DIROPS),
      flags2: 0,
      maxWriteBytes: MAX_CONTROL_WRITE_BYTES,
      maxPages: 0,
      maxBackground: 12,
    };
    this.send(this.answer.init(q.uniqueLow, q.uniqueHigh, offer));
  }

  private lookup(): void {
    const { request: q } = this;
    const dir = this.pathOf.get(q.node);
    if (dir === undefined) return this.status(ENOENT);
    const path = dir === '' ? q.name : `${dir}/${q.name}`;
    if (this.files.get(path) === undefined && !this.files.isDirectory(path)) return this.status(ENOENT);
    this.send(this.answer.entry(q.uniqueLow, q.uniqueHigh, this.describe(path), VALID_MS));
  }

  private attributes(): void {
    const { request: q } = this;
    const path = this.pathOf.get(q.node);
    if (path === undefined) return this.status(ENOENT);
    this.send(this.answer.attr(q.uniqueLow, q.uniqueHigh, this.describe(path), VALID_MS));
  }

  /** `>` cuts a file to nothing before it writes; that changes nothing here. Rights and owners are fixed. */
  private setAttributes(): void {
    const fixed = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID;
    if (this.request.setValid & fixed) return this.status(EACCES);
    this.attributes();
  }

  private open(): void {
    const { request: q } = this;
    const path = this.pathOf.get(q.node);
    if (path === undefined) return this.status(ENOENT);
    const file = this.files.get(path);
    const access = q.openFlags & fuse.O_ACCMODE;
    if (file === undefined && access !== fuse.O_RDONLY) return this.status(EISDIR);
    if (file !== undefined && !permits(file, access)) return this.status(EACCES);
    if (this.handles.size >= MAX_OPEN_CONTROL_FILES) return this.status(ENFILE);
    const handle = ++this.lastHandle;
    this.handles.set(handle, { path, contents: null });
    const flags = file === undefined ? 0 : fuse.FOPEN_DIRECT_IO;
    this.send(this.answer.open(q.uniqueLow, q.uniqueHigh, handle, flags));
  }

  private read(): void {
    const { request: q, output } = this;
    const handle = this.handles.get(q.handle);
    const file = handle === undefined ? undefined : this.files.get(handle.path);
    if (file?.read === undefined) return this.status(EACCES);
    if (handle!.contents === null || q.position === 0) {
      const contents = contentsOf(file);
      if (contents === null) return this.status(EIO);
      handle!.contents = contents;
    }
    const end = Math.min(handle!.contents.length, q.position + q.size, q.position + MAX_CONTROL_READ_BYTES);
    const piece = handle!.contents.subarray(q.position, Math.max(q.position, end));
    output.set(piece, fuse.FUSE_OUT_HEADER_BYTES);
    this.send(this.answer.data(q.uniqueLow, q.uniqueHigh, piece.length));
  }

  private readDirectory(): void {
    const { request: q } = this;
    const path = this.pathOf.get(q.node);
    if (path === undefined || !this.files.isDirectory(path)) return this.status(ENOTDIR);
    const names = ['.', '..', ...this.files.list(path)];
    const limit = Math.min(q.size, MAX_CONTROL_READ_BYTES);
    let used = 0;
    for (let i = q.position; i < names.length; i++) {
      const child = i < 2 ? path : path === '' ? names[i]! : `${path}/${names[i]!}`;
      const type = this.files.get(child) === undefined ? fuse.DT_DIRECTORY : fuse.DT_FILE;
      const now = this.answer.directoryEntry(used, limit, this.node(child), i + 1, type, Buffer.from(names[i]!));
      if (now === used) break;
      used = now;
    }
    this.send(this.answer.data(q.uniqueLow, q.uniqueHigh, used));
  }

  /** The answer may come later, so nothing of the request may be needed then. */
  private write(): void {
    const { request: q } = this;
    const { uniqueLow, uniqueHigh, size } = q;
    const path = this.handles.get(q.handle)?.path;
    const file = path === undefined ? undefined : this.files.get(path);
    if (file?.write === undefined) return this.status(EACCES);
    if (this.pending.size >= MAX_PENDING_WRITES) return this.status(EBUSY);
    const text = this.input.toString('utf8', q.dataAt, q.dataAt + size);
    const key = `${uniqueHigh}:${uniqueLow}`;
    const aborter = new AbortController();
    this.pending.set(key, aborter);
    const done = (errno: number): void => {
      if (!this.pending.delete(key) || this.isOver) return;
      if (errno === 0) this.send(this.answer.written(uniqueLow, uniqueHigh, size));
      else this.send(this.answer.status(uniqueLow, uniqueHigh, errno));
    };
    void deliver(file, text, aborter.signal).then(done);
  }

  /** The writer got a signal. It hears EINTR now; whoever works on its command is told, and goes on or not. */
  private interrupt(): void {
    const { interruptedLow, interruptedHigh } = this.request;
    const key = `${interruptedHigh}:${interruptedLow}`;
    const writer = this.pending.get(key);
    if (writer === undefined) return;
    this.pending.delete(key);
    writer.abort();
    this.send(this.answer.status(interruptedLow, interruptedHigh, EINTR));
  }

  private describe(path: string): fuse.FuseAttributes {
    const file = this.files.get(path);
    const nowMs = Date.now();
    return {
      node: this.node(path),
      // As in /proc: contents may grow between a look at the size and the read, and programs that believe a size then see a part.
      sizeBytes: 0,
      mode: file === undefined ? fuse.S_IFDIR | DIRECTORY_MODE : fuse.S_IFREG | file.mode,
      links: file === undefined ? 2 : 1,
      uid: process.getuid!(),
      gid: process.getgid!(),
      timeSec: Math.floor(nowMs / 1000),
      timeNs: (nowMs % 1000) * 1e6,
    };
  }

  private node(path: string): number {
    let node = this.nodeOf.get(path);
    if (node === undefined) {
      node = this.nodeOf.size + fuse.FUSE_ROOT_NODE;
      this.nodeOf.set(path, node);
      this.pathOf.set(node, path);
    }
    return node;
  }

  private status(errno: number): void {
    const { uniqueLow, uniqueHigh } = this.request;
    this.send(this.answer.status(uniqueLow, uniqueHigh, errno));
  }

  private send(bytes: number): void {
    try {
      writeSync(this.mount.fd, this.output, 0, bytes);
    } catch (error) {
      // ENOENT: the asker was killed meanwhile. Anything else shows up at the next read, which knows what to do.
      if (errnoOf(error) === EINVAL) throw error;
    }
  }
}

function permits(file: ControlFile, access: number): boolean {
  if (access !== fuse.O_WRONLY && file.read === undefined) return false;
  return access === fuse.O_RDONLY || file.write !== undefined;
}

const encoder = new TextEncoder();

function contentsOf(file: ControlFile): Uint8Array | null {
  try {
    return encoder.encode(file.read!());
  } catch {
    return null; // the reader hears EIO
  }
}

/** @returns 0, or the errno for the writer */
async function deliver(file: ControlFile, text: string, signal: AbortSignal): Promise<number> {
  try {
    await file.write!(text, signal);
    return 0;
  } catch (error) {
    const errno = isMarsError(error) ? error.details['errno'] : undefined;
    return typeof errno === 'number' ? Math.abs(errno) : EINVAL;
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
