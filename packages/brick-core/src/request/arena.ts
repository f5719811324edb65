import { MarsError, ErrorCode } from '../errors.js';
import { invariant } from '../invariant.js';
import { HEAD_ROOM_BYTES, MAX_ARENA_BYTES } from '../limits.js';

/** Smallest block and alignment of every block, bytes. */
export const ARENA_PAGE = 4096;
/** Largest block, bytes: a request of 1 MiB and the page in front that holds its header room. */
const MAX_CLASS_PAGES = 512;

/**
 * The payload memory of one loop: one slab, handed out in page-aligned blocks of 1, 2, 4 … 512 pages.
 *
 * ```
 *  block with header room:   | page: ........ head room (64) | payload, page aligned ... |
 *                                                             ^ the offset that alloc() returns
 * ```
 * Blocks are buddies, so freed neighbours merge again and a long run does not fragment. Nothing here allocates
 * JavaScript memory after construction. Offsets are bytes from the start of the slab and fit an int32.
 *
 * Source: data-path.md 1, 3, 4; decided.md, *The request contract*.
 */
export class Arena {
  readonly u8: Uint8Array;
  readonly view: DataView;
  /** Order of the block that starts at this page, + 1; 0 elsewhere. Negative while the block is free. */
  private readonly order: Int8Array;
  private readonly next: Int32Array;
  private readonly prev: Int32Array;
  /** First free block per order, as a page number; -1 = none. */
  private readonly heads: Int32Array;
  private readonly maxOrder = Math.log2(MAX_CLASS_PAGES);
  private readonly pages: number;
  private freePages: number;

  /** @param memory the slab; its base must be page aligned when a ring does direct I/O (the native arena is) */
  constructor(readonly memory: ArrayBuffer | SharedArrayBuffer) {
    this.pages = Math.floor(memory.byteLength / ARENA_PAGE);
    if (this.pages < 2 || memory.byteLength > MAX_ARENA_BYTES) {
      throw new MarsError(ErrorCode.BAD_ARENA, `an arena of ${memory.byteLength} bytes is not possible`, {
        hint: `Choose a size between ${2 * ARENA_PAGE} and ${MAX_ARENA_BYTES} bytes.`,
      });
    }
    this.u8 = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.order = new Int8Array(this.pages);
    this.next = new Int32Array(this.pages).fill(-1);
    this.prev = new Int32Array(this.pages).fill(-1);
    this.heads = new Int32Array(this.maxOrder + 1).fill(-1);
    this.freePages = this.pages;
    this.seed();
  }

  /** Bytes that can still be handed out, if they were in one piece. */
  get availableBytes(): number {
    return this.freePages * ARENA_PAGE;
  }

  get totalBytes(): number {
    return this.pages * ARENA_PAGE;
  }

  /** Bytes in use now. */
  get usedBytes(): number {
    return (this.pages - this.freePages) * ARENA_PAGE;
  }

  /**
   * A page-aligned block of at least `bytes` with `HEAD_ROOM_BYTES` writable bytes in front of it.
   * @returns its offset, or -1 when there is none now (back-pressure, not an error: come back after a release)
   */
  alloc(bytes: number): number {
    const page = this.take(this.orderFor(bytes));
    return page < 0 ? -1 : (page + 1) * ARENA_PAGE;
  }

  /** Gives a block back. `bytes` may be anything that the block was big enough for; only the offset counts. */
  release(offset: number): void {
    const page = offset / ARENA_PAGE - 1;
    invariant(
      page >= 0 && page < this.pages && (page | 0) === page,
      'arena: release of an offset that alloc never gave',
    );
    invariant(this.order[page]! > 0, 'arena: block released twice, or never allocated');
    this.give(page, this.order[page]! - 1);
  }

  /** Payload bytes that a block at `offset` really has. */
  capacity(offset: number): number {
    const order = this.order[offset / ARENA_PAGE - 1]!;
    invariant(order > 0, 'arena: capacity of a block that is not allocated');
    return ((1 << (order - 1)) - 1) * ARENA_PAGE;
  }

  /** Bytes of the slab that one request for `bytes` takes, header page and rounding included. */
  footprint(bytes: number): number {
    return (1 << this.orderFor(bytes)) * ARENA_PAGE;
  }

  /** memmove inside the slab; creates no view. */
  copy(dst: number, src: number, len: number): void {
    this.u8.copyWithin(dst, src, src + len);
  }

  fill(offset: number, len: number, byte: number): void {
    this.u8.fill(byte, offset, offset + len);
  }

  isZero(offset: number, len: number): boolean {
    const { u8 } = this;
    for (let i = offset; i < offset + len; i++) if (u8[i] !== 0) return false;
    return true;
  }

  private orderFor(bytes: number): number {
    // One more page than the payload needs: its end holds the header room.
    const pages = ((bytes + ARENA_PAGE - 1) >>> 12) + 1;
    invariant(bytes >= 0 && pages <= MAX_CLASS_PAGES, 'arena: block larger than the largest class');
    return 32 - Math.clz32(pages - 1);
  }

  private seed(): void {
    let page = 0;
    while (page < this.pages) {
      let order = page === 0 ? this.maxOrder : Math.min(this.maxOrder, 31 - Math.clz32(page & -page));
      while (page + (1 << order) > this.pages) order--;
      this.link(page, order);
      page += 1 << order;
    }
  }

  private take(order: number): number {
    let from = order;
    while (from <= this.maxOrder && this.heads[from]! < 0) from++;
    if (from > this.maxOrder) return -1;
    const page = this.heads[from]!;
    this.unlink(page, from);
    while (from > order) {
      from--;
      this.link(page + (1 << from), from);
    }
    this.order[page] = order + 1;
    this.freePages -= 1 << order;
    return page;
  }

  private give(page: number, order: number): void {
    this.freePages += 1 << order;
    this.order[page] = 0;
    while (order < this.maxOrder) {
      const buddy = page ^ (1 << order);
      if (buddy + (1 << order) > this.pages || this.order[buddy] !== -(order + 1)) break;
      this.unlink(buddy, order);
      page = Math.min(page, buddy);
      order++;
    }
    this.link(page, order);
  }

  private link(page: number, order: number): void {
    const head = this.heads[order]!;
    this.order[page] = -(order + 1);
    this.next[page] = head;
    this.prev[page] = -1;
    if (head >= 0) this.prev[head] = page;
    this.heads[order] = page;
  }

  private unlink(page: number, order: number): void {
    const next = this.next[page]!;
    const prev = this.prev[page]!;
    if (prev < 0) this.heads[order] = next;
    else this.next[prev] = next;
    if (next >= 0) this.prev[next] = prev;
    this.order[page] = 0;
  }
}

const POISON_FREE = 0xdb;
const POISON_NEW = 0xa5;

/** One block that is still out, for the leak report. */
export interface ArenaLeak {
  offset: number;
  bytes: number;
  generation: number;
}

/**
 * The arena of all tests and simulations: fresh blocks hold garbage, freed blocks are poisoned and looked at again
 * before they are handed out (a write after the release is found), every block has a generation, and what is still
 * out can be listed.
 *
 * Source: decided.md, *The request contract* ("Debug arena with poison and generation tags in all tests").
 */
export class DebugArena extends Arena {
  private readonly out = new Map<number, { bytes: number; generation: number }>();
  private readonly poisoned = new Uint8Array(Math.ceil(this.memory.byteLength / ARENA_PAGE));
  private readonly poisonPage = new Uint8Array(ARENA_PAGE).fill(POISON_FREE);
  private generation = 0;

  override alloc(bytes: number): number {
    const offset = super.alloc(bytes);
    if (offset < 0) return offset;
    const end = offset + this.capacity(offset);
    for (let at = offset - ARENA_PAGE; at < end; at += ARENA_PAGE) this.checkPoison(at);
    this.fill(offset - HEAD_ROOM_BYTES, end - offset + HEAD_ROOM_BYTES, POISON_NEW);
    this.out.set(offset, { bytes, generation: ++this.generation });
    return offset;
  }

  override release(offset: number): void {
    invariant(this.out.delete(offset), `arena: block at ${offset} released twice, or never allocated`);
    const end = offset + this.capacity(offset);
    this.fill(offset - ARENA_PAGE, end - offset + ARENA_PAGE, POISON_FREE);
    this.poisoned.fill(1, offset / ARENA_PAGE - 1, end / ARENA_PAGE);
    super.release(offset);
  }

  /** Generation of the block at `offset`; 0 when it is free. A holder remembers it: same number, same block. */
  generationOf(offset: number): number {
    return this.out.get(offset)?.generation ?? 0;
  }

  /** Blocks that were never given back, oldest first. */
  leaks(): ArenaLeak[] {
    return [...this.out].map(([offset, block]) => ({ offset, ...block }));
  }

  private checkPoison(at: number): void {
    if (!this.poisoned[at / ARENA_PAGE]) return;
    this.poisoned[at / ARENA_PAGE] = 0;
    const intact = Buffer.compare(this.u8.subarray(at, at + ARENA_PAGE), this.poisonPage) === 0;
    invariant(intact, `arena: page at ${at} was written after its release`);
  }
}
