import type { Life } from './life.js';

/** Something that will happen at a moment of virtual time. */
export interface WorldEvent {
  readonly atNs: number;
  /** Equal times happen in the order in which they were scheduled. */
  readonly number: number;
  /** What it is, for the trace: one of few words. */
  readonly kind: string;
  /** Whose it is; it does not happen when that life has ended. `null` = the world's own. */
  readonly life: Life | null;
  run: (() => void) | null;
}

/** The one queue of all hosts: a binary heap ordered by (time, number). Cancelled events stay in it until their time. */
export class EventQueue {
  private readonly heap: WorldEvent[] = [];
  private numbers = 0;

  get length(): number {
    return this.heap.length;
  }

  add(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent {
    const event: WorldEvent = { atNs, number: this.numbers++, kind, life, run };
    this.heap.push(event);
    this.siftUp(this.heap.length - 1);
    return event;
  }

  /** The next event that will really happen, or `undefined`; drops those that will not. */
  peek(): WorldEvent | undefined {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined) return undefined;
      if (first.run !== null && first.life?.isOver !== true) return first;
      this.dropFirst();
    }
  }

  pop(): WorldEvent | undefined {
    const first = this.peek();
    if (first !== undefined) this.dropFirst();
    return first;
  }

  /** Everything that will still happen, in no order; for reports. */
  pending(): WorldEvent[] {
    return this.heap.filter((event) => event.run !== null && event.life?.isOver !== true);
  }

  clear(): void {
    this.heap.length = 0;
  }

  private dropFirst(): void {
    const last = this.heap.pop()!;
    if (this.heap.length === 0) return;
    this.heap[0] = last;
    this.siftDown();
  }

  private siftUp(at: number): void {
    const { heap } = this;
    const event = heap[at]!;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  private siftDown(): void {
    const { heap } = this;
    const event = heap[0]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, event)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: WorldEvent, b: WorldEvent): boolean {
  return a.atNs < b.atNs || (a.atNs === b.atNs && a.number < b.number);
}
