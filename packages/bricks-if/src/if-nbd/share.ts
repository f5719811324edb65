import type { ObjectOwner, XioObject, XioPool } from '@mars/brick-core';
import {
  FREE_SHARE,
  GREEDY_BYTES,
  GREEDY_FREE_SHARE,
  MAX_SESSION_BYTES,
  MODEST_BYTES,
  POOL_RESERVE,
} from '../limits.js';

/**
 * One connection's share of objects and memory: those who hold much wait first, so nobody can starve the others, however many
 * replies he leaves unread.
 */
export class Share {
  private heldBytes = 0;
  private readonly reserve: number;

  constructor(
    private readonly pool: XioPool,
    private readonly owner: ObjectOwner,
  ) {
    this.reserve = Math.min(POOL_RESERVE, pool.size >> 3);
  }

  /** May one more object with that payload be taken? */
  hasRoom(bytes: number): boolean {
    return this.pool.available > this.reserve && this.hasMemory(bytes);
  }

  /** @returns null when there is none now after all */
  take(bytes: number): XioObject | null {
    const o = this.pool.take(this.owner, bytes);
    if (o !== null && o.block >= 0) this.heldBytes += this.pool.arena.capacity(o.block);
    return o;
  }

  free(o: XioObject): void {
    if (o.block >= 0) this.heldBytes -= this.pool.arena.capacity(o.block);
    this.pool.free(o);
  }

  private hasMemory(bytes: number): boolean {
    const { arena } = this.pool;
    const held = this.heldBytes + bytes;
    if (held <= MODEST_BYTES) return true;
    const left = held > GREEDY_BYTES ? GREEDY_FREE_SHARE : FREE_SHARE;
    return this.heldBytes < MAX_SESSION_BYTES && arena.availableBytes > arena.totalBytes * left;
  }
}
