import type { Arena } from '@mars/brick-core';
import { CACHED_BLOCKS, RESERVED_BLOCKS } from './limits.js';
import type { LogInput } from './log-input.js';

/**
 * A piece of memory that is filled with log records, written to the log from there, and kept while one of its records is not
 * written back: the payload in the record is the only copy in memory.
 *
 * ```
 *   buf             sent             used        capacity
 *    | records ...   | records ...    | free        |
 *      in the log      next write       next record
 * ```
 */
export class Block {
  /** Arena offset. */
  buf = -1;
  capacity = 0;
  used = 0;
  /** Bytes that a log write has taken. */
  sent = 0;
  /** Versions whose data is here, log writes under way, and the queue of what is not written yet. */
  refs = 0;
  /** The log that the records belong to; null = plain data beside compressed records. */
  slot: LogInput | null = null;
  next: Block | null = null;

  get room(): number {
    return this.capacity - this.used;
  }
}

/** Hands out blocks up to the memory limit, which is hard (transaction-log.md 2.8 [OURS]). */
export class BlockStore {
  /** Blocks in use, in bytes of the arena. */
  usedBytes = 0;
  limitBytes = 0;
  /** Bytes of the arena that one block takes. */
  readonly blockBytes: number;
  private readonly capacity: number;
  private free: Block | null = null;
  private freeCount = 0;
  private shells: Block | null = null;

  /** @param bytes memory per block; a power of two makes the best use of the arena */
  constructor(
    private readonly mem: Arena,
    bytes: number,
  ) {
    this.blockBytes = mem.footprint(bytes - 4096);
    this.capacity = this.blockBytes - 4096;
  }

  /** @returns false when the arena has no memory for the reserve */
  open(): boolean {
    for (let i = this.freeCount; i < RESERVED_BLOCKS; i++) {
      const buf = this.mem.alloc(this.capacity);
      if (buf < 0) return false;
      this.keep(this.shell(buf));
    }
    return true;
  }

  /** Gives all memory back; nothing may be in use. */
  close(): void {
    while (this.free !== null) {
      const block = this.free;
      this.free = block.next;
      this.toArena(block);
    }
    this.freeCount = 0;
  }

  /** @returns an empty block with one reference, or null at the memory limit */
  take(): Block | null {
    if (this.usedBytes > 0 && this.usedBytes + this.blockBytes > this.limitBytes) return null;
    const block = this.free === null ? this.fromArena() : this.fromCache();
    if (block === null) return null;
    block.used = block.sent = 0;
    block.refs = 1;
    block.next = null;
    this.usedBytes += this.blockBytes;
    return block;
  }

  release(block: Block): void {
    if (--block.refs > 0) return;
    this.usedBytes -= this.blockBytes;
    block.slot = null;
    if (this.freeCount < CACHED_BLOCKS) this.keep(block);
    else this.toArena(block);
  }

  private fromCache(): Block {
    const block = this.free!;
    this.free = block.next;
    this.freeCount--;
    return block;
  }

  private fromArena(): Block | null {
    const buf = this.mem.alloc(this.capacity);
    return buf < 0 ? null : this.shell(buf);
  }

  private shell(buf: number): Block {
    const block = this.shells ?? new Block();
    this.shells = block.next;
    block.buf = buf;
    block.capacity = this.capacity;
    return block;
  }

  private keep(block: Block): void {
    block.next = this.free;
    this.free = block;
    this.freeCount++;
  }

  private toArena(block: Block): void {
    this.mem.release(block.buf);
    block.buf = -1;
    block.next = this.shells;
    this.shells = block;
  }
}
