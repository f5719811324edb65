import {
  ARENA_PAGE,
  EXTENT_BYTES,
  EXTENT_HOLE,
  EXTENT_ZERO,
  invariant,
  type Arena,
  type XioObject,
} from '@mars/brick-core';
import { MAX_SPARE_CHUNKS } from '../limits.js';
import type { PositionPattern } from './position-pattern.js';

const PAGE = ARENA_PAGE;
const PAGES_PER_CHUNK = 16;
const CHUNK = PAGES_PER_CHUNK * PAGE;
const CHUNKS_PER_LEAF = 4096;

/** 64 KiB of memory, with its page views made once: copying a page to or from the arena then needs no new view. */
class Chunk {
  readonly pages: Uint8Array[] = [];
  /** Bit n: page n holds data. The others read as if they were not there. */
  allocated = 0;

  constructor() {
    const memory = new ArrayBuffer(CHUNK);
    for (let i = 0; i < PAGES_PER_CHUNK; i++) this.pages.push(new Uint8Array(memory, i * PAGE, PAGE));
  }
}

type Leaf = (Chunk | null)[];

/**
 * Sparse memory with page granularity: what was never written takes no room.
 *
 * ```
 *   leaves[n] ──> chunks[4096] ──> 16 pages of 4 KiB + a bit for each
 *   256 MiB each  64 KiB each
 * ```
 * A page that is not allocated reads as zeroes, or as the pattern when the store has one. Partial pages go through a
 * bounce page in the arena, because `TypedArray.set` copies whole views and a view per request would be garbage.
 */
export class SparseStore {
  /** Pages that hold data. */
  allocatedPages = 0;
  private readonly leaves: (Leaf | undefined)[] = [];
  private readonly spares: Chunk[] = [];
  private readonly bounceView: Uint8Array;

  /**
   * @param bounce arena offset of a page that belongs to this store
   * @param pattern what unwritten pages hold; null = zeroes
   */
  constructor(
    private readonly mem: Arena,
    private readonly bounce: number,
    private readonly pattern: PositionPattern | null,
  ) {
    this.bounceView = new Uint8Array(mem.memory, bounce, PAGE);
  }

  /** Copies `len` bytes at `o.pos` to the payload. */
  read(o: XioObject, len: number): void {
    let chunk = Math.floor(o.pos / CHUNK);
    let at = o.pos - chunk * CHUNK;
    for (let done = 0; done < len;) {
      const n = Math.min(PAGE - (at & (PAGE - 1)), len - done);
      this.readPiece(chunk, at, o.buf + done, n);
      done += n;
      at += n;
      if (at === CHUNK) {
        at = 0;
        chunk++;
      }
    }
  }

  /** Copies the payload to `o.pos`. */
  write(o: XioObject): void {
    let chunk = Math.floor(o.pos / CHUNK);
    let at = o.pos - chunk * CHUNK;
    for (let done = 0; done < o.len;) {
      const n = Math.min(PAGE - (at & (PAGE - 1)), o.len - done);
      this.writePiece(chunk, at, o.buf + done, n);
      done += n;
      at += n;
      if (at === CHUNK) {
        at = 0;
        chunk++;
      }
    }
  }

  /** Makes the range read as zeroes; gives whole pages back where that is the same. */
  zero(o: XioObject): void {
    this.clear(o, this.pattern === null);
  }

  /** Gives the whole pages of the range back; they read as if they had never been written. */
  trim(o: XioObject): void {
    this.clear(o, true);
  }

  /**
   * Writes the extent records of the range to the payload, neighbours of one kind merged.
   * @param room bytes that the payload has
   * @returns bytes filled
   */
  extents(o: XioObject, room: number): number {
    const { view } = this.mem;
    const hole = this.pattern === null ? EXTENT_HOLE | EXTENT_ZERO : EXTENT_HOLE;
    let filled = 0;
    let start = o.pos;
    const end = o.pos + o.len;
    while (start < end && filled + EXTENT_BYTES <= room) {
      const isData = this.isAllocated(start);
      const stop = Math.min(end, this.endOfRun(start, end, isData));
      view.setFloat64(o.buf + filled, start, true);
      view.setFloat64(o.buf + filled + 8, stop - start, true);
      view.setUint32(o.buf + filled + 16, isData ? 0 : hole, true);
      view.setUint32(o.buf + filled + 20, 0, true);
      filled += EXTENT_BYTES;
      start = stop;
    }
    return filled;
  }

  /** Cold path: the first `sizeBytes` bytes in one piece. */
  toBytes(sizeBytes: number): Uint8Array {
    const bytes = new Uint8Array(sizeBytes);
    for (let pos = 0; pos < sizeBytes; pos += PAGE) {
      this.readPiece(Math.floor(pos / CHUNK), pos % CHUNK, this.bounce, PAGE);
      bytes.set(sizeBytes - pos < PAGE ? this.bounceView.subarray(0, sizeBytes - pos) : this.bounceView, pos);
    }
    return bytes;
  }

  /** Cold path: fills an empty store; pages of zeroes stay holes. */
  fromBytes(bytes: Uint8Array): void {
    for (let pos = 0; pos < bytes.length; pos += PAGE) {
      const piece = bytes.subarray(pos, Math.min(pos + PAGE, bytes.length));
      this.bounceView.fill(0);
      this.bounceView.set(piece);
      if (this.pattern === null && this.mem.isZero(this.bounce, PAGE)) continue;
      this.claim(Math.floor(pos / CHUNK), (pos % CHUNK) / PAGE).set(this.bounceView);
    }
  }

  private readPiece(chunk: number, at: number, dst: number, n: number): void {
    const page = this.find(chunk, at >>> 12);
    if (page === null) this.readHole(chunk, at, dst, n);
    else if (n === PAGE) this.mem.u8.set(page, dst);
    else {
      this.mem.u8.set(page, this.bounce);
      this.mem.copy(dst, this.bounce + (at & (PAGE - 1)), n);
    }
  }

  private readHole(chunk: number, at: number, dst: number, n: number): void {
    if (this.pattern === null) this.mem.fill(dst, n, 0);
    else this.pattern.fill(dst, n, chunk, CHUNK, at);
  }

  private writePiece(chunk: number, at: number, src: number, n: number): void {
    if (n === PAGE) this.mem.copy(this.bounce, src, PAGE);
    else {
      this.readPiece(chunk, at & -PAGE, this.bounce, PAGE);
      this.mem.copy(this.bounce + (at & (PAGE - 1)), src, n);
    }
    this.claim(chunk, at >>> 12).set(this.bounceView);
  }

  private clear(o: XioObject, mayFree: boolean): void {
    let chunk = Math.floor(o.pos / CHUNK);
    let at = o.pos - chunk * CHUNK;
    // `left` may exceed 2^31: a TRIM or ZERO has no payload and may name the whole device.
    for (let left = o.len; left > 0;) {
      const n = Math.min(PAGE - (at & (PAGE - 1)), left);
      if (at === 0 && left >= CHUNK && mayFree) {
        this.freeChunk(chunk);
        at = CHUNK;
        left -= CHUNK;
      } else {
        this.clearPiece(chunk, at, n, mayFree);
        at += n;
        left -= n;
      }
      if (at === CHUNK) {
        at = 0;
        chunk++;
      }
    }
  }

  private clearPiece(chunk: number, at: number, n: number, mayFree: boolean): void {
    const page = this.find(chunk, at >>> 12);
    if (mayFree && page === null) return;
    if (mayFree && n === PAGE) return this.free(chunk, at >>> 12);
    if (page !== null) page.fill(0, at & (PAGE - 1), (at & (PAGE - 1)) + n);
    else {
      this.readPiece(chunk, at & -PAGE, this.bounce, PAGE);
      this.mem.fill(this.bounce + (at & (PAGE - 1)), n, 0);
      this.claim(chunk, at >>> 12).set(this.bounceView);
    }
  }

  private find(chunk: number, page: number): Uint8Array | null {
    const found = this.chunkAt(chunk);
    return found !== null && found.allocated & (1 << page) ? found.pages[page]! : null;
  }

  private chunkAt(chunk: number): Chunk | null {
    const leaf = this.leaves[Math.floor(chunk / CHUNKS_PER_LEAF)];
    return leaf === undefined ? null : leaf[chunk % CHUNKS_PER_LEAF]!;
  }

  /** The page, allocated; whoever calls this overwrites all of it. */
  private claim(chunk: number, page: number): Uint8Array {
    const found = this.chunkAt(chunk) ?? this.addChunk(chunk);
    const bit = 1 << page;
    if (!(found.allocated & bit)) {
      found.allocated |= bit;
      this.allocatedPages++;
    }
    return found.pages[page]!;
  }

  private addChunk(chunk: number): Chunk {
    const nr = Math.floor(chunk / CHUNKS_PER_LEAF);
    while (this.leaves.length <= nr) this.leaves.push(undefined);
    const leaf = (this.leaves[nr] ??= new Array<Chunk | null>(CHUNKS_PER_LEAF).fill(null));
    return (leaf[chunk % CHUNKS_PER_LEAF] = this.spares.pop() ?? new Chunk());
  }

  private free(chunk: number, page: number): void {
    const found = this.chunkAt(chunk)!;
    invariant(found.allocated & (1 << page), 'a page was freed that holds nothing');
    found.allocated &= ~(1 << page);
    this.allocatedPages--;
    if (found.allocated === 0) this.dropChunk(chunk, found);
  }

  private freeChunk(chunk: number): void {
    const found = this.chunkAt(chunk);
    if (found === null) return;
    this.allocatedPages -= bitCount(found.allocated);
    found.allocated = 0;
    this.dropChunk(chunk, found);
  }

  private dropChunk(chunk: number, found: Chunk): void {
    this.leaves[Math.floor(chunk / CHUNKS_PER_LEAF)]![chunk % CHUNKS_PER_LEAF] = null;
    if (this.spares.length < MAX_SPARE_CHUNKS) this.spares.push(found);
  }

  private isAllocated(pos: number): boolean {
    const chunk = Math.floor(pos / CHUNK);
    return this.find(chunk, Math.floor((pos - chunk * CHUNK) / PAGE)) !== null;
  }

  /** First position at or after the page of `pos` where the kind of page changes, at most `end` plus one leaf. */
  private endOfRun(pos: number, end: number, isData: boolean): number {
    let at = pos - (pos % PAGE) + PAGE;
    while (at < end && this.isAllocated(at) === isData) at += isData ? PAGE : this.holeStep(at);
    return at;
  }

  /** How far a hole at `pos` surely reaches: a leaf or a chunk that is not there is skipped at once. */
  private holeStep(pos: number): number {
    const leafBytes = CHUNK * CHUNKS_PER_LEAF;
    if (this.leaves[Math.floor(pos / leafBytes)] === undefined) return leafBytes - (pos % leafBytes);
    if (this.chunkAt(Math.floor(pos / CHUNK)) === null) return CHUNK - (pos % CHUNK);
    return PAGE;
  }
}

function bitCount(mask: number): number {
  let n = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) n++;
  return n;
}
