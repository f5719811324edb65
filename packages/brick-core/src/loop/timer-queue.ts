import { invariant } from '../invariant.js';
import { MAX_TIMERS } from '../limits.js';
import { reportFault, type FaultOwner } from './fault.js';

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
  private readonly owners: (FaultOwner | null)[] = [];

  get length(): number {
    return this.count;
  }

  /** Time of the earliest timer, µs; Infinity when there is none. */
  get nextUs(): number {
    return this.count === 0 ? Infinity : this.due[0]!;
  }

  add<T>(dueUs: number, arg: T, fn: (arg: T) => void, owner: FaultOwner | null = null): void {
    invariant(dueUs === dueUs, 'a timer for NaN would never run and block all others');
    if (this.count === this.capacity) this.grow();
    let at = this.count++;
    // Later ones make room. Of equal times the new one stays behind: its number is the highest.
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.due[parent]! <= dueUs) break;
      this.move(parent, at);
      at = parent;
    }
    this.due[at] = dueUs;
    this.order[at] = this.sequence++;
    this.args[at] = arg;
    this.fns[at] = fn as TimerFn;
    this.owners[at] = owner;
  }

  /**
   * Runs what is due at `nowUs`; timers that these add are left for the next call, so a timer of 0 ms cannot loop for ever.
   * One that throws is reported to its owner (to its argument, if it has none), and the others run all the same.
   * @returns how many ran
   */
  run(nowUs: number): number {
    const barrier = this.sequence;
    let ran = 0;
    while (this.count > 0 && this.due[0]! <= nowUs && this.order[0]! < barrier) {
      const arg = this.args[0];
      const fn = this.fns[0]!;
      const owner = this.owners[0]!;
      this.dropFirst();
      ran++;
      try {
        fn(arg);
      } catch (error) {
        reportFault(owner ?? arg, error, arg);
      }
    }
    return ran;
  }

  private dropFirst(): void {
    const last = --this.count;
    if (last > 0) this.moveDown(last);
    this.args[last] = undefined;
    this.fns[last] = noTimer;
    this.owners[last] = null;
  }

  /** The top is free: entry `from` (behind the others) goes there, or as far down as earlier ones take the way up. */
  private moveDown(from: number): void {
    let at = 0;
    for (;;) {
      const child = this.earlierChild(at);
      if (child < 0 || this.before(from, child)) break;
      this.move(child, at);
      at = child;
    }
    this.move(from, at);
  }

  private earlierChild(at: number): number {
    const left = 2 * at + 1;
    if (left >= this.count) return -1;
    const right = left + 1;
    return right < this.count && this.before(right, left) ? right : left;
  }

  private before(a: number, b: number): boolean {
    return this.due[a]! < this.due[b]! || (this.due[a] === this.due[b] && this.order[a]! < this.order[b]!);
  }

  private move(from: number, to: number): void {
    this.due[to] = this.due[from]!;
    this.order[to] = this.order[from]!;
    this.args[to] = this.args[from];
    this.fns[to] = this.fns[from]!;
    this.owners[to] = this.owners[from]!;
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
