import { invariant } from '../invariant.js';
import { DEFAULT_POOL_OBJECTS, FINISH_BUDGET } from '../limits.js';
import type { Clock } from '../machine/clock.js';
import type { RingQueue } from '../machine/ring-queue.js';
import type { Arena } from '../request/arena.js';
import { XioPool } from '../request/pool.js';
import type { XioObject } from '../request/xio-object.js';
import type { LoopDriver } from './driver.js';
import { reportFault, type FaultOwner } from './fault.js';
import { TimerQueue } from './timer-queue.js';

/** Something with work to do once per tick; consumers (low `rank`) go before providers. */
export interface Batcher extends Partial<FaultOwner> {
  /** Distance from the top of the stack; kept by the graph. */
  rank: number;
  plugged: boolean;
  endBatch?(events: number): void;
}

/** A source of completions from outside (the ring): reaped first and submitted last in every tick. */
export interface TickSource {
  /** Delivers what has completed. @returns number of events */
  reap(): number;
  /** Hands over what the bricks queued in this tick. @returns true when another tick is needed soon */
  submit(): boolean | void;
}

/**
 * The heart beat of a data path. One tick, in this order (bricks.md 5.4):
 *
 * 1. completions from the ring          4. `endBatch` of plugged bricks, consumers before providers
 * 2. timers that are due                5. one submission to the ring
 * 3. answers given with `finish`        6. ask for the next tick if there is work left
 *
 * Providers answer with {@link finish}, never by calling the consumer: so no handler runs inside its consumer's `io`,
 * and recursion is bounded by the depth of the stack.
 */
export class Loop implements Clock {
  readonly pool: XioPool;
  /** The bricks' door to the kernel; null on hosts without one (tests over plain memory). Set by {@link useRing}. */
  ring: RingQueue | null = null;
  private readonly now = new Float64Array(1);
  private readonly timers = new TimerQueue();
  private readonly answers: XioObject[];
  private readonly mask: number;
  private head = 0;
  private tail = 0;
  private readonly plugged: Batcher[][] = [];
  /** How many entries of `plugged[rank]` count; the arrays themselves never shrink, so plugging allocates nothing. */
  private readonly pluggedAt: number[] = [];
  private pluggedCount = 0;
  private readonly sources: TickSource[] = [];
  private idleWaiters: { quiet: () => boolean; resolve: () => void }[] = [];
  private armedUs = Infinity;
  private ticking = false;

  constructor(
    private readonly driver: LoopDriver,
    readonly arena: Arena,
    poolObjects: number = DEFAULT_POOL_OBJECTS,
  ) {
    this.pool = new XioPool(arena, poolObjects);
    const slots = 2 ** Math.ceil(Math.log2(poolObjects + 1));
    this.answers = new Array<XioObject>(slots);
    this.mask = slots - 1;
    driver.bind(() => this.tick());
    driver.sample(this.now);
  }

  /** Monotonic µs, sampled at the start of the tick and before `endBatch`. */
  get nowUs(): number {
    return this.now[0]!;
  }

  wallNs(): bigint {
    return this.driver.wallNs();
  }

  /** The provider's answer, exactly once per `io`; delivered later in this tick, or in the next one. */
  finish(o: XioObject, err: number): void {
    o.markFinished(err);
    this.answers[this.tail++ & this.mask] = o;
    if (!this.ticking) this.driver.arm();
  }

  /** Asks for one `endBatch()` at the end of this tick (or of the next one, when its turn in this tick is over). */
  plug(b: Batcher): void {
    if (b.plugged) return;
    b.plugged = true;
    while (this.plugged.length <= b.rank) {
      this.plugged.push([]);
      this.pluggedAt.push(0);
    }
    this.plugged[b.rank]![this.pluggedAt[b.rank]!++] = b;
    this.pluggedCount++;
    if (!this.ticking) this.driver.arm();
  }

  /** @param owner who is told when `fn` throws; without one it is `arg`, if that can be told */
  after<T>(delayMs: number, arg: T, fn: (arg: T) => void, owner: FaultOwner | null = null): void {
    this.sampleIfIdle();
    this.timers.add(this.now[0]! + delayMs * 1000, arg, fn, owner);
    if (!this.ticking) this.armTimers();
  }

  sleep(ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const abort = (): void => reject(signal!.reason as Error);
      signal?.addEventListener('abort', abort, { once: true });
      // A promise settles once: after an abort the timer still fires, and finds nothing left to do.
      this.after(ms, undefined, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
    });
  }

  /** Registers the ring; asked first and told last in every tick. */
  addSource(source: TickSource): void {
    this.sources.push(source);
  }

  /** Gives the bricks of this loop their ring; once. */
  useRing(queue: RingQueue): void {
    invariant(this.ring === null, 'a loop has one ring');
    this.ring = queue;
    queue.bind(this);
    this.addSource(queue);
  }

  /** There is something to submit to a source: make sure that a tick comes. */
  kick(): void {
    if (!this.ticking) this.driver.arm();
  }

  /** Cold path: resolves after the first tick at whose end `quiet()` holds. Used to drain wires and bricks. */
  whenQuiet(quiet: () => boolean): Promise<void> {
    if (quiet()) return Promise.resolve();
    return new Promise((resolve) => {
      this.idleWaiters.push({ quiet, resolve });
      // The last request may be freed outside a tick (by a promise); then nobody else would look again.
      this.pool.onFree = this.kickLater;
      this.kick();
    });
  }

  /** Answers that wait for delivery; 0 between ticks means that nothing is due now. */
  get finishing(): number {
    return this.tail - this.head;
  }

  /** One turn; called by the driver. @returns number of events */
  tick(): number {
    invariant(!this.ticking, 'tick() inside a tick');
    this.ticking = true;
    this.driver.sample(this.now);
    // This turn of the driver's timer is used up: the same time must be asked for again if something is due then.
    if (this.now[0]! >= this.armedUs) this.armedUs = NaN;
    let events = 0;
    for (let i = 0; i < this.sources.length; i++) events += this.sources[i]!.reap();
    if (this.timers.length > 0) events += this.timers.run(this.now[0]!);
    events += this.deliver();
    if (this.pluggedCount > 0) {
      this.driver.sample(this.now);
      this.endBatches(events);
    }
    let again = false;
    for (const source of this.sources) if (source.submit()) again = true;
    this.ticking = false;
    if (again || this.head !== this.tail || this.pluggedCount > 0) this.driver.arm();
    this.armTimers();
    if (this.idleWaiters.length > 0) this.checkQuiet();
    return events;
  }

  private deliver(): number {
    const end = this.head + FINISH_BUDGET;
    const start = this.head;
    while (this.head !== this.tail && this.head !== end) this.answers[this.head++ & this.mask]!.deliver();
    return this.head - start;
  }

  private endBatches(events: number): void {
    for (let rank = 0; rank < this.plugged.length; rank++) {
      const turn = this.pluggedAt[rank]!;
      if (turn > 0) this.endBatchesOf(rank, turn, events);
    }
  }

  /** Those who plug themselves while their own rank, or a lower one, is running get their turn in the next tick. */
  private endBatchesOf(rank: number, turn: number, events: number): void {
    const list = this.plugged[rank]!;
    this.pluggedCount -= turn;
    for (let i = 0; i < turn; i++) {
      const b = list[i]!;
      b.plugged = false;
      try {
        b.endBatch!(events);
      } catch (error) {
        reportFault(b, error, null);
      }
    }
    const late = this.pluggedAt[rank]! - turn;
    for (let i = 0; i < late; i++) list[i] = list[turn + i]!;
    this.pluggedAt[rank] = late;
  }

  private armTimers(): void {
    const due = this.timers.nextUs;
    if (due === this.armedUs) return;
    this.armedUs = due;
    this.driver.armAt(due);
  }

  private sampleIfIdle(): void {
    // Between ticks `nowUs` may be old; a timer must not fire early because of that.
    if (!this.ticking) this.driver.sample(this.now);
  }

  private readonly kickLater = (): void => this.kick();

  private checkQuiet(): void {
    const waiting = this.idleWaiters;
    this.idleWaiters = [];
    for (const waiter of waiting) {
      if (waiter.quiet()) waiter.resolve();
      else this.idleWaiters.push(waiter);
    }
    if (this.idleWaiters.length === 0) this.pool.onFree = null;
  }
}
