import type { XioInput } from '../brick/contract.js';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick } from '../brick/meta.js';
import { ErrorCode, MarsError } from '../errors.js';
import { BOUNCE_BYTES } from '../limits.js';
import { CAP_CSUM_CRC32C, CAP_CSUM_MD5, CAP_CSUM_SHA1, CAP_GROW, type XioInfo } from '../request/info.js';
import {
  EXTENT_BYTES,
  F_FUA,
  F_UPTODATE,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
} from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { Range, RangeLocks } from './range-locks.js';

const HIDDEN_CAPS = CAP_GROW | CAP_CSUM_MD5 | CAP_CSUM_CRC32C | CAP_CSUM_SHA1;
const RETRY_MS = 1;

/** On its way as it is, or with a changed range; the answer only needs restoring. */
const PLAIN = 0;
/** The aligned inner part of a ZERO is under way. */
const INNER = 1;
/** The first partial block, or the only one, or both of two neighbours, is being read. */
const HEAD = 2;
/** The last partial block is being read. */
const TAIL = 3;
/** A changed chunk is being written. */
const STORE = 4;
/** A chunk of a misaligned read is being read. */
const LOAD = 5;

/** One request that `align` has to do with: what the consumer sent, and how far the work has come. */
class Work extends Range {
  op = 0;
  flags = 0;
  pos = 0.5;
  len = 0;
  buf = -1;
  mask = 0;
  phase = PLAIN;
  isLocked = false;
  /** First byte of the request that is not done yet. */
  at = 0.5;
  /** The blocks that are worked on, and the last byte + 1 of the request in them. */
  chunkStart = 0.5;
  chunkEnd = 0.5;
  dataEnd = 0.5;
  /** Length of the read under way below. */
  asked = 0;
  /** Memory for one chunk; -1 = none. */
  bounce = -1;

  /** @param o the object whose aspect this is */
  constructor(readonly o: XioObject) {
    super();
  }

  save(mask: number): void {
    const { o } = this;
    this.op = o.op;
    this.flags = o.flags;
    this.pos = this.at = o.pos;
    this.len = o.len;
    this.buf = o.buf;
    this.mask = mask;
    this.isLocked = false;
    this.phase = PLAIN;
    this.start = roundDown(o.pos, mask);
    this.end = roundUp(o.pos + o.len, mask);
  }

  restore(): void {
    const { o } = this;
    o.op = this.op;
    o.flags = this.flags;
    o.pos = this.pos;
    o.len = this.len;
    o.buf = this.buf;
  }

  get dataStop(): number {
    return this.pos + this.len;
  }
}

/**
 * Lets consumers send any position and length to a provider that takes whole blocks only.
 *
 * ```
 *   request            ........|#######################|......
 *   blocks        |---------|---------|---------|---------|       READ:   read all blocks, copy out
 *                  read       (kept)              read            WRITE:  read first and last, copy in, write all
 * ```
 * - I1: a read-modify-write holds its blocks exclusively from the first read to the last write; a plain write, zero or trim
 *   that overlaps waits, and so does a read-modify-write that meets one of those. Otherwise the old bytes that are written
 *   back beside the new ones could undo a write that was answered. Waiting is in order of arrival.
 * - Aligned requests pass straight through; while nobody does a read-modify-write, their locks cost no search.
 * - ZERO: the aligned inner part goes down as ZERO, the ends are read, changed and written. TRIM shrinks to the inner part,
 *   CACHE grows to whole blocks, the answer of EXTENTS is clipped to what was asked.
 * - The provider's size counts down to whole blocks; the rest cannot be reached. Growing files are offered at a fixed size,
 *   because a write in the last block would grow them to its end.
 *
 * Memory: one chunk per misaligned request. One chunk is kept in reserve, so there is always somebody who makes progress and
 * gives it back. Inserted by negotiation where a port sends finer positions than the provider takes. Source: bricks.md 5.7, 6.
 */
@Brick({
  type: 'align',
  about: 'Adaptor: takes any position and length for a provider that takes whole blocks only (read-modify-write).',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: {
    properties: {
      block: {
        unit: 'bytes',
        enum: [0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536],
        default: 0,
        about:
          'Send whole blocks of this size even if the provider takes smaller ones; 0 = what the provider asks for.',
      },
    },
  },
})
export class AlignBrick extends FilterBrick {
  private mask = 0;
  private chunkBytes = BOUNCE_BYTES;
  private reserve = -1;
  private reserveBytes = 0;
  private isReserveOut = false;
  private readonly locks = new RangeLocks((range) => this.granted(range as Work));
  private starvedHead: XioObject | null = null;
  private starvedTail: XioObject | null = null;
  private isRetryArmed = false;

  protected override start(): void {
    this.inputChanged(this.next);
    if (this.mask === 0 || this.refillReserve()) return;
    throw new MarsError(ErrorCode.LIMIT_REACHED, `no memory for ${this.chunkBytes} bytes of read-modify-write`, {
      hint: 'Give the data path more memory, or wait until other requests are done.',
      details: { limit: 'arena' },
    });
  }

  protected override stop(): void {
    if (this.reserve >= 0) this.ctx.mem.release(this.reserve);
    this.reserve = -1;
  }

  protected override inputChanged(input: XioInput): void {
    const { maxLen } = input.cached;
    const align = this.blockOf(input.cached);
    this.mask = align - 1;
    this.chunkBytes = Math.max(align, roundDown(Math.min(BOUNCE_BYTES, maxLen), align - 1));
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    const align = this.blockOf(into);
    if (err < 0 || align === 1) return err;
    into.size = roundDown(into.size, align - 1);
    into.align = 1;
    into.preferred = Math.max(into.preferred, align);
    into.caps &= ~HIDDEN_CAPS;
    return err;
  }

  override io(o: XioObject): void {
    const { mask } = this;
    if (mask === 0 || o.op === OP_FLUSH) return this.next.io(o);
    const isAligned = ((o.pos | o.len) & mask) === 0;
    if (isAligned && (o.op === OP_READ || o.op === OP_EXTENTS || o.op === OP_CACHE)) return this.next.io(o);
    const work = (o.aspects[this.ctx.slot] ??= new Work(o)) as Work;
    work.save(mask);
    if (isAligned) return this.lock(work, false);
    if (o.len === 0) return this.ctx.loop.finish(o, 0);
    if (o.op === OP_READ) this.nextChunk(work);
    else if (o.op === OP_WRITE || o.op === OP_ZERO) this.lock(work, true);
    else if (o.op === OP_TRIM) this.shrink(work);
    else this.widen(work);
  }

  override complete(o: XioObject): void {
    const work = o.aspects[this.ctx.slot] as Work;
    if (work.phase === PLAIN) return this.plainDone(work);
    o.takeBack();
    if (o.err < 0) this.end(work, o.err);
    else this.advance(work);
  }

  // Plain requests: one trip, nothing to read or to copy.

  private shrink(work: Work): void {
    const start = roundUp(work.pos, work.mask);
    const end = roundDown(work.dataStop, work.mask);
    if (end <= start) return this.ctx.loop.finish(work.o, 0);
    work.o.pos = work.start = start;
    work.o.len = end - start;
    work.end = end;
    this.lock(work, false);
  }

  private widen(work: Work): void {
    work.o.pos = work.start;
    work.o.len = work.end - work.start;
    this.send(work, PLAIN);
  }

  private plainDone(work: Work): void {
    const { o } = work;
    const { err } = o;
    const records = o.op === OP_EXTENTS && err >= 0 ? this.clip(work) : -1;
    work.restore();
    if (records >= 0) o.len = records;
    this.unlock(work);
    o.done(err);
  }

  /** Extent records of whole blocks, cut to what was asked. @returns bytes of records */
  private clip(work: Work): number {
    const { view } = this.ctx.mem;
    const { len, buf } = work.o;
    let to = buf;
    for (let from = buf; from + EXTENT_BYTES <= buf + len; from += EXTENT_BYTES) {
      const start = Math.max(view.getFloat64(from, true), work.pos);
      const end = Math.min(view.getFloat64(from, true) + view.getFloat64(from + 8, true), work.dataStop);
      if (end <= start) continue;
      this.ctx.mem.copy(to, from, EXTENT_BYTES);
      view.setFloat64(to, start, true);
      view.setFloat64(to + 8, end - start, true);
      to += EXTENT_BYTES;
    }
    return to - buf;
  }

  // Locks: `granted` goes on where `lock` had to stop.

  private lock(work: Work, isExclusive: boolean): void {
    work.isExclusive = isExclusive;
    work.isLocked = true;
    if (this.locks.lock(work)) this.granted(work);
  }

  private unlock(work: Work): void {
    if (!work.isLocked) return;
    work.isLocked = false;
    this.locks.unlock(work);
  }

  private granted(work: Work): void {
    if (!work.isExclusive) this.send(work, PLAIN);
    else if (work.op === OP_ZERO) this.zeroInner(work);
    else this.nextChunk(work);
  }

  // Misaligned requests: chunk by chunk.

  /** The inner part goes first: when it fails (`F_FAST`), nothing has been changed yet. */
  private zeroInner(work: Work): void {
    const start = roundUp(work.pos, work.mask);
    const end = roundDown(work.dataStop, work.mask);
    if (end <= start) return this.nextChunk(work);
    work.o.pos = start;
    work.o.len = end - start;
    this.send(work, INNER);
  }

  private nextChunk(work: Work): void {
    if (work.at >= work.dataStop) return this.end(work, 0);
    const block = work.mask + 1;
    work.chunkStart = roundDown(work.at, work.mask);
    const most = work.op === OP_ZERO ? block : this.chunkBytes;
    work.chunkEnd = Math.min(work.chunkStart + most, work.end);
    work.dataEnd = Math.min(work.chunkEnd, work.dataStop);
    if (work.bounce < 0 && !this.takeBounce(work)) return this.starve(work.o);
    this.startChunk(work);
  }

  private startChunk(work: Work): void {
    const block = work.mask + 1;
    if (work.op === OP_READ) return this.readBlocks(work, LOAD, work.chunkStart, work.chunkEnd);
    const isHeadPartial = work.at > work.chunkStart;
    const isTailPartial = work.dataEnd < work.chunkEnd;
    if (isHeadPartial && isTailPartial && work.chunkEnd - work.chunkStart <= 2 * block) {
      this.readBlocks(work, HEAD, work.chunkStart, work.chunkEnd);
    } else if (isHeadPartial) this.readBlocks(work, HEAD, work.chunkStart, work.chunkStart + block);
    else this.readTail(work);
  }

  private readTail(work: Work): void {
    const isTailPartial = work.dataEnd < work.chunkEnd;
    const tail = work.chunkEnd - work.mask - 1;
    // The head read has brought the last block already when there are no more than two.
    const isThere = work.phase === HEAD && work.o.pos + work.o.len > tail;
    if (isTailPartial && !isThere) this.readBlocks(work, TAIL, tail, work.chunkEnd);
    else this.store(work);
  }

  private readBlocks(work: Work, phase: number, start: number, end: number): void {
    const { o } = work;
    o.op = OP_READ;
    o.flags = 0;
    o.pos = start;
    o.len = work.asked = end - start;
    o.buf = work.bounce + (start - work.chunkStart);
    this.send(work, phase);
  }

  private store(work: Work): void {
    const { o } = work;
    const target = work.bounce + (work.at - work.chunkStart);
    const bytes = work.dataEnd - work.at;
    if (work.op === OP_ZERO) this.ctx.mem.fill(target, bytes, 0);
    else this.ctx.mem.copy(target, work.buf + (work.at - work.pos), bytes);
    o.op = OP_WRITE;
    o.flags = work.flags & F_FUA;
    o.pos = work.chunkStart;
    o.len = work.chunkEnd - work.chunkStart;
    o.buf = work.bounce;
    this.send(work, STORE);
  }

  /** One step below has succeeded. */
  private advance(work: Work): void {
    switch (work.phase) {
      case HEAD:
        this.fillUp(work);
        return this.readTail(work);
      case TAIL:
        this.fillUp(work);
        return this.store(work);
      case LOAD:
        return this.loaded(work);
      case INNER:
        work.restore();
        return this.nextChunk(work);
      default:
        return this.stored(work);
    }
  }

  /** What a provider did not serve at its end reads as zeroes; never write back what happened to be in memory. */
  private fillUp({ o, asked }: Work): void {
    if (o.len < asked) this.ctx.mem.fill(o.buf + o.len, asked - o.len, 0);
    o.len = asked;
  }

  private loaded(work: Work): void {
    const { o } = work;
    // A provider may serve less than was asked at its end.
    const servedTo = Math.min(work.dataEnd, work.chunkStart + o.len);
    if (servedTo > work.at) {
      this.ctx.mem.copy(work.buf + (work.at - work.pos), work.bounce + (work.at - work.chunkStart), servedTo - work.at);
    }
    work.at = Math.max(work.at, servedTo);
    if (servedTo === work.dataEnd) return this.nextChunk(work);
    work.len = work.at - work.pos;
    this.end(work, 0);
  }

  private stored(work: Work): void {
    work.at = work.dataEnd;
    // Behind the head of a ZERO comes its inner part, which is done; what is left is the tail.
    if (work.op === OP_ZERO) work.at = Math.max(work.at, roundDown(work.dataStop, work.mask));
    if (work.o.refs > 0) this.lendBounce(work);
    this.nextChunk(work);
  }

  private end(work: Work, err: number): void {
    this.giveBounce(work);
    work.restore();
    if (work.op === OP_READ && err === 0) work.o.flags |= F_UPTODATE;
    this.ctx.loop.finish(work.o, err);
    this.unlock(work);
    this.feed();
  }

  private send(work: Work, phase: number): void {
    work.phase = phase;
    work.o.push(this);
    this.next.io(work.o);
  }

  // Memory: one chunk per request under way, from the arena or the reserve.

  private takeBounce(work: Work): boolean {
    // Whoever was here first goes first, unless it waits for nothing but memory that is there now.
    if (this.starvedHead !== null && this.starvedHead !== work.o) return false;
    work.bounce = this.ctx.mem.alloc(work.chunkEnd - work.chunkStart);
    if (work.bounce >= 0) return true;
    if (this.isReserveOut || !this.refillReserve()) return false;
    this.isReserveOut = true;
    work.bounce = this.reserve;
    return true;
  }

  private giveBounce(work: Work): void {
    const { bounce } = work;
    if (bounce < 0) return;
    work.bounce = -1;
    if (bounce === this.reserve) this.isReserveOut = false;
    else this.ctx.mem.release(bounce);
  }

  /** Somebody below still looks at the payload (a logger, until written back). */
  private lendBounce(work: Work): void {
    if (work.bounce === this.reserve) {
      this.reserve = -1;
      this.isReserveOut = false;
    }
    work.o.lend(work.bounce);
    work.bounce = -1;
  }

  private refillReserve(): boolean {
    if (this.reserve >= 0 && this.reserveBytes >= this.chunkBytes) return true;
    const block = this.ctx.mem.alloc(this.chunkBytes);
    if (block < 0) return false;
    if (this.reserve >= 0) this.ctx.mem.release(this.reserve);
    this.reserve = block;
    this.reserveBytes = this.chunkBytes;
    return true;
  }

  private starve(o: XioObject): void {
    if (this.starvedTail === null) this.starvedHead = o;
    else this.starvedTail.link = o;
    this.starvedTail = o;
    this.retryLater();
  }

  /** Memory comes back with the requests of others, who do not know of us: look again in a while. */
  private retryLater(): void {
    if (this.isRetryArmed) return;
    this.isRetryArmed = true;
    this.ctx.loop.after(RETRY_MS, this, retry);
  }

  /** Called by its timer only. */
  retried(): void {
    this.isRetryArmed = false;
    this.feed();
  }

  private feed(): void {
    while (this.starvedHead !== null) {
      const o = this.starvedHead;
      const work = o.aspects[this.ctx.slot] as Work;
      if (!this.takeBounce(work)) return this.retryLater();
      this.starvedHead = o.link;
      if (this.starvedHead === null) this.starvedTail = null;
      o.link = null;
      this.startChunk(work);
    }
  }

  private blockOf(info: Readonly<XioInfo>): number {
    return Math.max(info.align, (this.ctx.params.block as number) || 1);
  }
}

function retry(brick: AlignBrick): void {
  brick.retried();
}

/** `&` sees the low 32 bits of a position exactly, which is all that a mask needs. */
function roundDown(x: number, mask: number): number {
  return x - (x & mask);
}

function roundUp(x: number, mask: number): number {
  return x + (-x & mask);
}
