import { invariant } from '../invariant.js';
import {
  FUSE_ATTR_OUT_BYTES,
  FUSE_DIRENT_BYTES,
  FUSE_ENTRY_OUT_BYTES,
  FUSE_INIT_OUT_BYTES,
  FUSE_MAJOR,
  FUSE_OPEN_OUT_BYTES,
  FUSE_OUT_HEADER_BYTES,
  FUSE_STATFS_OUT_BYTES,
  FUSE_WRITE_OUT_BYTES,
} from './protocol.js';

const WORD = 2 ** 32;

/** What a file looks like. */
export interface FuseAttributes {
  node: number;
  sizeBytes: number;
  /** Type and permissions. */
  mode: number;
  links: number;
  uid: number;
  gid: number;
  /** Time of the last change, seconds and nanoseconds. */
  timeSec: number;
  timeNs: number;
}

/** What the server offers in the answer to INIT. */
export interface FuseOffer {
  minor: number;
  readAheadBytes: number;
  flags: number;
  flags2: number;
  maxWriteBytes: number;
  /** Longest request, pages; counts with FUSE_MAX_PAGES. */
  maxPages: number;
  maxBackground: number;
}

/**
 * Writes answers in place, at the start of a view. Each `…` method writes header and body and returns the bytes to hand to write(2);
 * the data of a READ goes behind {@link FUSE_OUT_HEADER_BYTES} by the caller's own means, and is counted with {@link data}.
 */
export class FuseAnswer {
  private readonly bytes: Uint8Array;

  constructor(
    private readonly view: DataView,
    private readonly from = 0,
  ) {
    this.bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  }

  /** @param errno 0 = done, nothing to say; else a positive errno */
  status(uniqueLow: number, uniqueHigh: number, errno: number): number {
    return this.header(uniqueLow, uniqueHigh, 0, -errno);
  }

  /** So many bytes of data stand behind the header. */
  data(uniqueLow: number, uniqueHigh: number, bytes: number): number {
    return this.header(uniqueLow, uniqueHigh, bytes, 0);
  }

  init(uniqueLow: number, uniqueHigh: number, offer: FuseOffer): number {
    const { view } = this;
    const at = this.body(FUSE_INIT_OUT_BYTES);
    view.setUint32(at, FUSE_MAJOR, true);
    view.setUint32(at + 4, offer.minor, true);
    view.setUint32(at + 8, offer.readAheadBytes, true);
    view.setUint32(at + 12, offer.flags, true);
    view.setUint16(at + 16, offer.maxBackground, true);
    view.setUint16(at + 18, Math.ceil((offer.maxBackground * 3) / 4), true);
    view.setUint32(at + 20, offer.maxWriteBytes, true);
    view.setUint32(at + 24, 1, true); // times to the nanosecond
    view.setUint16(at + 28, offer.maxPages, true);
    view.setUint32(at + 32, offer.flags2, true);
    return this.header(uniqueLow, uniqueHigh, FUSE_INIT_OUT_BYTES, 0);
  }

  /** LOOKUP. The kernel keeps name and attributes for so long. */
  entry(uniqueLow: number, uniqueHigh: number, attributes: FuseAttributes, validMs: number): number {
    const at = this.body(FUSE_ENTRY_OUT_BYTES);
    this.put64(at, attributes.node);
    this.validity(at + 16, at + 32, validMs);
    this.validity(at + 24, at + 36, validMs);
    this.attributes(at + 40, attributes);
    return this.header(uniqueLow, uniqueHigh, FUSE_ENTRY_OUT_BYTES, 0);
  }

  /** GETATTR, SETATTR. */
  attr(uniqueLow: number, uniqueHigh: number, attributes: FuseAttributes, validMs: number): number {
    const at = this.body(FUSE_ATTR_OUT_BYTES);
    this.validity(at, at + 8, validMs);
    this.attributes(at + 16, attributes);
    return this.header(uniqueLow, uniqueHigh, FUSE_ATTR_OUT_BYTES, 0);
  }

  /** OPEN, OPENDIR. */
  open(uniqueLow: number, uniqueHigh: number, handle: number, openFlags: number): number {
    const at = this.body(FUSE_OPEN_OUT_BYTES);
    this.put64(at, handle);
    this.view.setUint32(at + 8, openFlags, true);
    return this.header(uniqueLow, uniqueHigh, FUSE_OPEN_OUT_BYTES, 0);
  }

  written(uniqueLow: number, uniqueHigh: number, bytes: number): number {
    const at = this.body(FUSE_WRITE_OUT_BYTES);
    this.view.setUint32(at, bytes, true);
    return this.header(uniqueLow, uniqueHigh, FUSE_WRITE_OUT_BYTES, 0);
  }

  /** A file system without space of its own: zeroes, and the longest name. */
  statfs(uniqueLow: number, uniqueHigh: number, files: number): number {
    const { view } = this;
    const at = this.body(FUSE_STATFS_OUT_BYTES);
    this.put64(at + 24, files);
    view.setUint32(at + 40, 4096, true);
    view.setUint32(at + 44, 255, true);
    view.setUint32(at + 48, 4096, true);
    return this.header(uniqueLow, uniqueHigh, FUSE_STATFS_OUT_BYTES, 0);
  }

  /**
   * One entry of a READDIR, behind those that stand there already. @param used bytes of entries so far, @param limit what the kernel asked for
   * @param next what READDIR will give as `position` to go on behind this entry
   * @returns bytes of entries now; the same as before when there is no room
   */
  directoryEntry(used: number, limit: number, node: number, next: number, type: number, name: Uint8Array): number {
    const bytes = (FUSE_DIRENT_BYTES + name.length + 7) & ~7;
    if (used + bytes > limit) return used;
    const at = this.from + FUSE_OUT_HEADER_BYTES + used;
    invariant(at + bytes <= this.view.byteLength, 'fuse: the answer does not fit its buffer');
    this.bytes.fill(0, at, at + bytes);
    this.put64(at, node);
    this.put64(at + 8, next);
    this.view.setUint32(at + 16, name.length, true);
    this.view.setUint32(at + 20, type, true);
    this.bytes.set(name, at + FUSE_DIRENT_BYTES);
    return used + bytes;
  }

  /** A message of ours that answers nothing. */
  notify(code: number): number {
    return this.header(0, 0, 0, code);
  }

  private header(uniqueLow: number, uniqueHigh: number, bodyBytes: number, error: number): number {
    const { view, from } = this;
    const bytes = FUSE_OUT_HEADER_BYTES + bodyBytes;
    view.setUint32(from, bytes, true);
    view.setInt32(from + 4, error, true);
    view.setUint32(from + 8, uniqueLow, true);
    view.setUint32(from + 12, uniqueHigh, true);
    return bytes;
  }

  /** Reserved fields are zero. @returns where the body stands */
  private body(bytes: number): number {
    const at = this.from + FUSE_OUT_HEADER_BYTES;
    this.bytes.fill(0, at, at + bytes);
    return at;
  }

  private validity(secondsAt: number, nanosecondsAt: number, ms: number): void {
    this.put64(secondsAt, Math.floor(ms / 1000));
    this.view.setUint32(nanosecondsAt, Math.round((ms % 1000) * 1e6), true);
  }

  private attributes(at: number, a: FuseAttributes): void {
    const { view } = this;
    this.put64(at, a.node);
    this.put64(at + 8, a.sizeBytes);
    this.put64(at + 16, Math.ceil(a.sizeBytes / 512));
    for (let time = 0; time < 3; time++) {
      this.put64(at + 24 + 8 * time, a.timeSec);
      view.setUint32(at + 48 + 4 * time, a.timeNs, true);
    }
    view.setUint32(at + 60, a.mode, true);
    view.setUint32(at + 64, a.links, true);
    view.setUint32(at + 68, a.uid, true);
    view.setUint32(at + 72, a.gid, true);
    view.setUint32(at + 80, 4096, true);
  }

  private put64(at: number, value: number): void {
    this.view.setUint32(at, value % WORD, true);
    this.view.setUint32(at + 4, Math.floor(value / WORD), true);
  }
}
