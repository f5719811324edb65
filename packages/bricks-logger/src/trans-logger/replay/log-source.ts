import { CAP_FLUSH, CAP_GROW, OP_FLUSH, OP_READ, XioInfo, invariant } from '@mars/brick-core';
import type { Completer, XioInput, XioObject } from '@mars/brick-core';
import type { LogArea } from '../../log-format/layout.js';
import { READ_ALIGN_BYTES, READ_BYTES_MAX, READ_BYTES_MIN, WINDOW_BYTES } from './limits.js';
import type { ReplayHost } from './types.js';

/**
 * The bytes of a log in front of the decoder: a block of the arena that slides along the file, one read ahead of what is
 * decoded. File offset and memory address are congruent modulo a page, so every read is page aligned on both sides.
 *
 * ```text
 *  file   … | decoded | to be decoded … | read is under way …
 *           base      at                 filled                base + WINDOW_BYTES
 * ```
 * Only bytes that were made durable are handed out: what replay puts on the device must still be in the log after a power
 * cut (INV-7, decided.md *Log and tree*). So the log is flushed once for what it holds at the start, and again whenever it has
 * grown.
 */
export class LogSource {
  readonly area: LogArea;
  /** 0, or the negative errno of a read or flush of the log: what is behind `usableEnd` cannot be had. */
  err = 0;
  private log!: XioInput;
  private block = -1;
  private base = 0.5;
  private filled = 0.5;
  private durableEnd = 0.5;
  /** End of the last read, as asked for; the flush under way will prove the bytes up to `provenEnd`. */
  private askedEnd = 0.5;
  private provenEnd = 0.5;
  private isAtEof = false;
  private isReading = false;
  private isFlushing = false;
  private readonly scratchInfo = new XioInfo();
  private readonly readStep: Completer;
  private readonly flushStep: Completer;

  constructor(
    private readonly host: ReplayHost,
    private readonly progressed: () => void,
  ) {
    const { u8: bytes, view } = host.ctx.mem;
    this.area = { bytes, view };
    this.readStep = host.completer((o) => this.readDone(o));
    this.flushStep = host.completer((o) => this.flushDone(o));
  }

  /** @returns false when there is no memory now */
  open(log: XioInput, fromPos: number): boolean {
    invariant(this.block < 0, 'a log source was opened twice');
    this.block = this.host.ctx.mem.alloc(WINDOW_BYTES);
    if (this.block < 0) return false;
    this.log = log;
    this.base = this.filled = alignDown(fromPos);
    this.durableEnd = 0;
    this.err = 0;
    this.isAtEof = false;
    return true;
  }

  close(): void {
    invariant(!this.isBusy, 'a log source was closed while it reads');
    if (this.block >= 0) this.host.ctx.mem.release(this.block);
    this.block = -1;
  }

  get isBusy(): boolean {
    return this.isReading || this.isFlushing;
  }

  /** Arena offset of the byte at file offset `pos`. */
  addressOf(pos: number): number {
    return this.block + (pos - this.base);
  }

  /** End of the bytes that are there and durable. */
  get usableEnd(): number {
    return Math.min(this.filled, this.durableEnd);
  }

  /** True when the file ends at `usableEnd`, as far as is known now. */
  get isFileEnd(): boolean {
    return this.isAtEof && this.durableEnd >= this.filled;
  }

  /** Length of the log as far as known. */
  get knownEnd(): number {
    return Math.max(this.filled, this.log.cached.size);
  }

  /** The log may have grown: look again. */
  lookAgain(): void {
    this.isAtEof = false;
  }

  /**
   * Starts what is missing: a read, a flush.
   * @param at      decoded so far
   * @param limit   nothing behind this is needed
   * @param mayMove bytes of the window may change their address; not while a decoded record is held
   */
  pump(at: number, limit: number, mayMove: boolean): void {
    if (this.err !== 0) return;
    if (this.durableEnd < Math.min(this.filled, limit) || this.durableEnd === 0) this.startFlush();
    if (this.isReading || this.isAtEof || this.filled >= limit) return;
    if (mayMove && this.roomBytes < READ_BYTES_MIN) this.slide(at);
    if (this.roomBytes >= READ_BYTES_MIN) this.startRead();
  }

  private get roomBytes(): number {
    return this.base + WINDOW_BYTES - alignDown(this.filled);
  }

  private slide(at: number): void {
    const keepFrom = alignDown(Math.min(at, this.filled));
    // Moving much memory for little room would be done again at once.
    if (keepFrom - this.base + this.roomBytes < READ_BYTES_MIN) return;
    this.host.ctx.mem.copy(this.block, this.addressOf(keepFrom), this.filled - keepFrom);
    this.base = keepFrom;
  }

  private startRead(): void {
    const { brick, ctx } = this.host;
    const { cached } = this.log;
    const pos = alignDown(this.filled);
    let len = Math.min(this.roomBytes, READ_BYTES_MAX);
    if (!(cached.caps & CAP_GROW)) len = Math.min(len, cached.size - pos);
    len = Math.min(len, cached.maxLen);
    if (len <= 0) return this.sawEof();
    const o = ctx.pool.take(brick, 0);
    if (o === null) return;
    o.op = OP_READ;
    o.pos = pos;
    o.len = len;
    o.buf = this.addressOf(pos);
    this.askedEnd = pos + len;
    this.isReading = true;
    o.push(this.readStep);
    this.log.io(o);
  }

  private readDone(o: XioObject): void {
    this.isReading = false;
    const end = o.pos + o.len;
    if (o.err !== 0) this.err = o.err;
    else {
      if (end > this.filled) this.filled = end;
      const { caps, size } = this.log.cached;
      if (end < this.askedEnd || (!(caps & CAP_GROW) && end >= size)) this.isAtEof = true;
    }
    this.host.ctx.pool.free(o);
    this.progressed();
  }

  private sawEof(): void {
    this.isAtEof = true;
    this.progressed();
  }

  private startFlush(): void {
    if (this.isFlushing) return;
    if (!(this.log.cached.caps & CAP_FLUSH)) {
      // Without a flush there is no volatile cache (a log that is only readable was synced by whoever opened it).
      this.durableEnd = Infinity;
      return this.progressed();
    }
    const o = this.host.ctx.pool.take(this.host.brick, 0);
    if (o === null) return;
    // Both are the ends of finished writes, so the flush that begins now covers them.
    const size = this.log.info(this.scratchInfo.clear()) < 0 ? 0 : this.scratchInfo.size;
    this.provenEnd = Math.max(this.filled, size);
    o.op = OP_FLUSH;
    this.isFlushing = true;
    o.push(this.flushStep);
    this.log.io(o);
  }

  private flushDone(o: XioObject): void {
    this.isFlushing = false;
    if (o.err !== 0) this.err = o.err;
    // An empty log is proven as well; 0 would mean that nobody has looked yet.
    else this.durableEnd = Math.max(this.provenEnd, 1);
    this.host.ctx.pool.free(o);
    this.progressed();
  }
}

function alignDown(pos: number): number {
  return pos - (pos % READ_ALIGN_BYTES);
}
