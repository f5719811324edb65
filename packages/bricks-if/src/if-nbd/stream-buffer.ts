import type { Arena } from '@mars/brick-core';
import {
  BUSY_INLINE_WRITE_BYTES,
  BUSY_STREAM_BYTES,
  GROW_FREE_SHARE,
  INLINE_WRITE_BYTES,
  STREAM_BYTES,
} from '../limits.js';

/**
 * The receive buffer of one connection: an arena block with unread bytes in [head, tail). It starts small, because most
 * connections are quiet most of the time, and grows once when a receive has filled it.
 */
export class StreamBuffer {
  /** Arena offset, -1 = none. */
  block = -1;
  head = 0;
  tail = 0;
  capacity = 0;

  constructor(private readonly mem: Arena) {}

  /** @returns false when the arena has no room now */
  open(): boolean {
    this.block = this.mem.alloc(STREAM_BYTES);
    this.capacity = STREAM_BYTES;
    return this.block >= 0;
  }

  close(): void {
    if (this.block >= 0) this.mem.release(this.block);
    this.block = -1;
  }

  get available(): number {
    return this.tail - this.head;
  }

  /** Arena offset of the first unread byte. */
  get at(): number {
    return this.block + this.head;
  }

  /** WRITE payloads up to this length, bytes, are received here. */
  get inlineBytes(): number {
    return this.capacity === STREAM_BYTES ? INLINE_WRITE_BYTES : BUSY_INLINE_WRITE_BYTES;
  }

  take(bytes: number): void {
    this.head += bytes;
    if (this.head === this.tail) this.head = this.tail = 0;
  }

  /** Moves what is unread to the start. */
  compact(): void {
    if (this.head === 0) return;
    this.mem.copy(this.block, this.block + this.head, this.available);
    this.tail -= this.head;
    this.head = 0;
  }

  /** More room, if there is some to spare. */
  grow(): void {
    if (this.capacity === BUSY_STREAM_BYTES || this.mem.availableBytes < this.mem.totalBytes * GROW_FREE_SHARE) return;
    const block = this.mem.alloc(BUSY_STREAM_BYTES);
    if (block < 0) return;
    this.mem.copy(block, this.block + this.head, this.available);
    this.tail -= this.head;
    this.head = 0;
    this.mem.release(this.block);
    this.block = block;
    this.capacity = BUSY_STREAM_BYTES;
  }
}
