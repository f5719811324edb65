import { invariant } from '../invariant.js';
import type { Arena } from './arena.js';
import { FREE, HELD, XioObject } from './xio-object.js';

/** Whoever takes objects; `objects` counts what it holds, for leak reports and for the collector (bricks.md 1.8). */
export interface ObjectOwner {
  objects: number;
}

/**
 * The requests of one loop: a fixed number, all built before the first one is taken.
 *
 * An empty pool is back-pressure, not an error: front ends stop reading their sockets while `available` is low
 * (data-path.md 3 rule 6), everybody else queues what it holds and tries again at the end of a later tick.
 */
export class XioPool {
  private readonly objects: XioObject[] = [];
  private readonly owners: (ObjectOwner | null)[] = [];
  private readonly freeSlots: Int32Array;
  private freeCount: number;
  private slotWidth = 0;
  /** Somebody waits for quiet and must look again; set by the loop, and only for as long as somebody waits. */
  onFree: (() => void) | null = null;

  constructor(
    readonly arena: Arena,
    readonly size: number,
  ) {
    this.freeSlots = new Int32Array(size);
    this.freeCount = size;
    for (let slot = 0; slot < size; slot++) {
      this.objects.push(new XioObject(slot, this));
      this.owners.push(null);
      this.freeSlots[slot] = size - 1 - slot;
    }
  }

  /** Objects that can be taken now. */
  get available(): number {
    return this.freeCount;
  }

  /**
   * Takes an object, with a payload of at least `bytes` when `bytes` > 0; all request fields are reset.
   * Ownership: yours until you call {@link free}, in or after your `complete()`.
   * @returns `null` when objects or memory have run out for the moment
   */
  take(by: ObjectOwner, bytes: number): XioObject | null {
    if (this.freeCount === 0) return null;
    let block = -1;
    if (bytes > 0) {
      block = this.arena.alloc(bytes);
      if (block < 0) return null;
    }
    const o = this.objects[this.freeSlots[--this.freeCount]!]!;
    o.op = o.flags = o.prio = o.len = o.err = 0;
    o.pos = o.deadlineUs = 0;
    o.buf = o.block = block;
    o.state = HELD;
    o.generation++;
    by.objects++;
    this.owners[o.slot] = by;
    return o;
  }

  /** Ends the request of a consumer. Payload and object are re-used as soon as nobody retains them any more. */
  free(o: XioObject): void {
    invariant(o.state === HELD, 'free() of a request that is still under way, or already free');
    invariant(o.link === null, 'free() of a request that is still in a queue');
    o.unwind();
    this.owners[o.slot]!.objects--;
    this.owners[o.slot] = null;
    o.state = FREE;
    if (o.refs === 0) this.recycle(o);
    if (this.onFree !== null) this.onFree();
  }

  /** Called when the last reference went; not for bricks. */
  recycle(o: XioObject): void {
    o.repay();
    if (o.block >= 0) this.arena.release(o.block);
    o.block = o.buf = -1;
    this.freeSlots[this.freeCount++] = o.slot;
  }

  /** A block that a filter had lent to an object; not for bricks. */
  releaseBlock(block: number): void {
    this.arena.release(block);
  }

  /** Makes room for `slots` aspects on every object now, so that no request has to grow its array later. */
  reserveSlots(slots: number): void {
    for (const o of this.objects) while (o.aspects.length < slots) o.aspects.push(undefined);
    this.slotWidth = Math.max(this.slotWidth, slots);
  }

  /** Forgets the aspects of a dead brick, before its slot number is given to another one (bricks.md 5.3 rule 9). */
  sweepSlot(slot: number): void {
    if (slot < this.slotWidth) for (const o of this.objects) o.aspects[slot] = undefined;
  }

  /** Objects that are not in the pool: taken, or freed but still retained. For leak reports. */
  outstanding(): XioObject[] {
    return this.objects.filter((o) => o.state !== FREE || o.refs > 0);
  }
}
