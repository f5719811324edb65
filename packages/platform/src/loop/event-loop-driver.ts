import type { LoopDriver, Ring } from '@mars/brick-core';
import { sampleMonotonic, WallClock } from './time.js';

/** `setTimeout` fires at once when given more than that, ms. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/**
 * Turns a loop in Node's event loop, beside timers, sockets and promises.
 *
 * Node's timers count whole milliseconds and may be up to one early. So a wait is rounded up, checked when it fires, and a rest
 * below a millisecond is spent in turns of the event loop: such short timers are precise, but cost CPU while they last.
 */
export class ImmediateDriver implements LoopDriver {
  private readonly now = new Float64Array(1);
  private readonly wall = new WallClock();
  private runTick: () => void = () => {};
  private immediate: NodeJS.Immediate | null = null;
  private timer: NodeJS.Timeout | null = null;
  private polling: NodeJS.Immediate | null = null;
  private dueUs = Infinity;
  private closed = false;

  bind(tick: () => void): void {
    this.runTick = tick;
  }

  sample(into: Float64Array): void {
    sampleMonotonic(into);
  }

  wallNs(): bigint {
    return this.wall.nowNs();
  }

  arm(): void {
    if (this.immediate === null && !this.closed) this.immediate = setImmediate(this.onImmediate);
  }

  armAt(dueUs: number): void {
    this.cancelTimer();
    this.dueUs = dueUs;
    if (!this.closed) this.waitForDue();
  }

  /** No tick after this; pending timers of bricks never fire. */
  close(): void {
    this.closed = true;
    this.cancelTimer();
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.immediate = null;
  }

  /** One tick now; for whoever is woken by something else than this driver (the ring). */
  protected tickNow(): void {
    if (this.closed) return;
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.immediate = null;
    this.runTick();
  }

  private readonly onImmediate = (): void => {
    this.immediate = null;
    this.runTick();
  };

  private readonly onTimer = (): void => {
    this.timer = null;
    this.polling = null;
    this.waitForDue();
  };

  private waitForDue(): void {
    if (this.dueUs === Infinity) return;
    this.sample(this.now);
    const restMs = (this.dueUs - this.now[0]!) / 1000;
    if (restMs <= 0) {
      this.dueUs = Infinity;
      this.arm();
    } else if (restMs < 1) {
      this.polling = setImmediate(this.onTimer);
    } else {
      this.timer = setTimeout(this.onTimer, Math.min(Math.ceil(restMs), TIMEOUT_MAX_MS));
    }
  }

  private cancelTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.polling !== null) clearImmediate(this.polling);
    this.timer = null;
    this.polling = null;
  }
}

/** As {@link ImmediateDriver}, and ticks when the ring has completions. */
export class AttachDriver extends ImmediateDriver {
  constructor(private readonly ring: Ring) {
    super();
  }

  override bind(tick: () => void): void {
    super.bind(tick);
    this.ring.attach(() => this.tickNow());
  }

  override close(): void {
    this.ring.detach();
    super.close();
  }
}
