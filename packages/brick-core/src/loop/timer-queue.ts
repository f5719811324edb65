import { invariant } from '../invariant.js';
import { MAX_TIMERS } from '../limits.js';

type TimerFn = (arg: unknown) => void;

/**
 * Pending timers as a binary heap in flat arrays, ordered by (time, number): adding and running one allocates nothing.
 * Equal times run in the order in which they were added.
 */
export class TimerQueue {
  private capacity = 64;
  private count = 0;
  private sequence = 0;
  private due = new Float64Array(this.capacity);
  private order = new Float64Array(this.capacity);
  private readonly args: unknown[] = [];
  private readonly fns: TimerFn[] = [];

  get length(): number {
    return this.count;
  }

  /** Time of the earliest timer, µs; Infinity when there is none. */
  get nextUs(): number {
    return this.count === 0 ? Infinity : this.due[0]!;
  }

  add<T>(dueUs: number, arg: T, fn: (arg: T) => void): void {
    invariant(dueUs === dueUs, 'a timer for NaN would never run and block all others');
    if (this.count === this.capacity) this.grow();
    const at = this.count++;
    this.put(at, dueUs, this.sequence++, arg, fn as TimerFn);
    this.siftUp(at);
  }

  /**
   * Runs what is due at `nowUs`; timers that these add are left for the next call, so a timer of 0 ms cannot loop for ever.
   * @returns how many ran
   */
  run(nowUs: number): number {
    const barrier = this.sequence;
    let ran = 0;
    while (this.count > 0 && this.due[0]! <= nowUs && this.order[0]! < barrier) {
      const arg = this.args[0];
      const fn = this.fns[0]!;
      this.dropFirst();
      ran++;
      fn(arg);
    }
    return ran;
  }

  private dropFirst(): void {
    const last = --this.count;
    this.put(0, this.due[last]!, this.order[last]!, this.args[last], this.fns[last]!);
    this.args[last] = undefined;
    this.fns[last] = noTimer;
    if (last > 0) this.siftDown();
  }

  private put(at: number, due: number, order: number, arg: unknown, fn: TimerFn): void {
    this.due[at] = due;
    this.order[at] = order;
    this.args[at] = arg;
    this.fns[at] = fn;
  }

  private before(a: number, b: number): boolean {
    return this.due[a]! < this.due[b]! || (this.due[a] === this.due[b] && this.order[a]! < this.order[b]!);
  }

  private swap(a: number, b: number): void {
    const due = this.due[a]!;
    const order = this.order[a]!;
    const arg = this.args[a];
    const fn = this.fns[a]!;
    this.put(a, this.due[b]!, this.order[b]!, this.args[b], this.fns[b]!);
    this.put(b, due, order, arg, fn);
  }

  private siftUp(at: number): void {
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.before(at, parent)) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private siftDown(): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= this.count) return;
      const right = left + 1;
      const child = right < this.count && this.before(right, left) ? right : left;
      if (!this.before(child, at)) return;
      this.swap(child, at);
      at = child;
    }
  }

  private grow(): void {
    invariant(this.capacity < MAX_TIMERS, 'more timers than MAX_TIMERS: somebody arms timers without a bound');
    this.capacity *= 2;
    const due = new Float64Array(this.capacity);
    const order = new Float64Array(this.capacity);
    due.set(this.due);
    order.set(this.order);
    this.due = due;
    this.order = order;
  }
}

const noTimer: TimerFn = () => {};
