import { FUSE_BATCH_FORGET, FUSE_FORGET, FUSE_IN_HEADER_BYTES, FUSE_INTERRUPT } from './protocol.js';

const WORD = 2 ** 32;

/**
 * One request of the kernel, read in place: point it at a message with {@link at}, then ask for what its opcode has. Keep one per
 * connection; nothing is allocated. 64-bit numbers are doubles, exact below 2^53 (nodes and handles are ours, positions are files');
 * `unique` is two words, because the kernel uses all its bits.
 */
export class FuseRequest {
  opcode = 0;
  /** What the answer must repeat. */
  uniqueLow = 0;
  uniqueHigh = 0;
  node = 0;
  /** Who asks; 0 for requests of the kernel itself. */
  pid = 0;
  uid = 0;
  /** The body: offset in the view, bytes. */
  body = 0;
  bodyBytes = 0;
  private view: DataView = EMPTY;

  /**
   * @param at offset of the message in `view`, `bytes` what one read(2) brought
   * @returns false when this is no whole message: the kernel never sends that
   */
  at(view: DataView, at: number, bytes: number): boolean {
    if (bytes < FUSE_IN_HEADER_BYTES || view.getUint32(at, true) !== bytes) return false;
    this.view = view;
    this.opcode = view.getUint32(at + 4, true);
    this.uniqueLow = view.getUint32(at + 8, true);
    this.uniqueHigh = view.getUint32(at + 12, true);
    this.node = double(view, at + 16);
    this.uid = view.getUint32(at + 24, true);
    this.pid = view.getUint32(at + 32, true);
    this.body = at + FUSE_IN_HEADER_BYTES;
    this.bodyBytes = bytes - FUSE_IN_HEADER_BYTES;
    return true;
  }

  /** False for the few requests that must not be answered. */
  get wantsAnswer(): boolean {
    return this.opcode !== FUSE_FORGET && this.opcode !== FUSE_BATCH_FORGET && this.opcode !== FUSE_INTERRUPT;
  }

  // INIT
  get initMajor(): number {
    return this.word(0);
  }
  get initMinor(): number {
    return this.word(4);
  }
  get initReadAhead(): number {
    return this.word(8);
  }
  get initFlags(): number {
    return this.word(12);
  }
  /** The upper features; 0 from kernels that have none. */
  get initFlags2(): number {
    return this.bodyBytes >= 20 ? this.word(16) : 0;
  }

  // OPEN, OPENDIR
  get openFlags(): number {
    return this.word(0);
  }

  // READ, READDIR, WRITE, RELEASE, FLUSH, FSYNC, FALLOCATE
  get handle(): number {
    return double(this.view, this.body);
  }
  /** READ, WRITE, FALLOCATE: position, bytes. READDIR: the entry to go on behind. */
  get position(): number {
    return double(this.view, this.body + 8);
  }
  /** READ, READDIR: at most so many bytes. WRITE: so many are in {@link dataAt}. */
  get size(): number {
    return this.word(16);
  }

  /** WRITE: offset of the data in the view. */
  get dataAt(): number {
    return this.body + 40;
  }

  // FSYNC
  get isDataSync(): boolean {
    return (this.word(8) & 1) !== 0;
  }

  // FALLOCATE
  get allocateBytes(): number {
    return double(this.view, this.body + 16);
  }
  get allocateMode(): number {
    return this.word(24);
  }

  // SETATTR
  /** `FATTR_*` bits of what is to be set. */
  get setValid(): number {
    return this.word(0);
  }
  get setSize(): number {
    return double(this.view, this.body + 16);
  }

  // INTERRUPT
  get interruptedLow(): number {
    return this.word(0);
  }
  get interruptedHigh(): number {
    return this.word(4);
  }

  /** LOOKUP: the name. Cold path. */
  get name(): string {
    let end = this.body;
    while (end < this.body + this.bodyBytes && this.view.getUint8(end) !== 0) end++;
    return decoder.decode(new Uint8Array(this.view.buffer, this.view.byteOffset + this.body, end - this.body));
  }

  private word(at: number): number {
    return this.view.getUint32(this.body + at, true);
  }
}

const EMPTY = new DataView(new ArrayBuffer(64));
const decoder = new TextDecoder();

function double(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * WORD;
}
