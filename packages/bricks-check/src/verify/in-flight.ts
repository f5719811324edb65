/**
 * The requests of one pool that pass one brick, in the order in which they were issued: a doubly linked list in flat arrays,
 * indexed by the slot of the request. Entering and leaving allocate nothing, and the oldest is always at hand.
 */
export class InFlight {
  /** Number of the request in this slot. */
  readonly seq: Float64Array;
  /** When it was issued, loop microseconds. */
  readonly sinceUs: Float64Array;
  readonly next: Int32Array;
  private readonly prev: Int32Array;
  private readonly present: Uint8Array;
  /** Slot of the oldest, -1 = none. */
  head = -1;
  private tail = -1;
  count = 0;

  constructor(slots: number) {
    this.seq = new Float64Array(slots);
    this.sinceUs = new Float64Array(slots);
    this.next = new Int32Array(slots).fill(-1);
    this.prev = new Int32Array(slots).fill(-1);
    this.present = new Uint8Array(slots);
  }

  has(slot: number): boolean {
    return this.present[slot] === 1;
  }

  /** Appends; the caller fills `seq` and `sinceUs` itself (as arguments they would be boxed). */
  enter(slot: number): void {
    this.present[slot] = 1;
    this.next[slot] = -1;
    this.prev[slot] = this.tail;
    if (this.tail < 0) this.head = slot;
    else this.next[this.tail] = slot;
    this.tail = slot;
    this.count++;
  }

  leave(slot: number): void {
    const next = this.next[slot]!;
    const prev = this.prev[slot]!;
    if (prev < 0) this.head = next;
    else this.next[prev] = next;
    if (next < 0) this.tail = prev;
    else this.prev[next] = prev;
    this.present[slot] = 0;
    this.count--;
  }
}
