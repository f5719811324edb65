import type { Clock, Logger } from '@mars/brick-core';
import { ROUND_PAUSE_MS } from './limits.js';

/** One step of a round: idempotent, compares what should be with what is. */
export type RoundStep = { name: string; run: () => void | Promise<void> };

/**
 * The main loop: a round when somebody asks for one, and every few seconds anyway.
 *
 * ```
 *   request() ──> settle ──> round ──> 100 ms ──> wait for the next request, at most scan_interval_sec
 * ```
 * Requests during a round lead to one more round, so nothing that was asked for is missed. A step that fails is logged and tried again
 * in the next round; the others run. Source: symlink-tree.md 6.1
 */
export class Rounds {
  private readonly steps: RoundStep[] = [];
  private readonly waiting: (() => void)[] = [];
  private isRunning = false;
  private isRequested = false;
  private stopped: Promise<void> = Promise.resolve();
  private wake: () => void = () => {};
  private done = 0;

  constructor(
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly maxPauseMs: () => number,
  ) {}

  /** Rounds so far. */
  get count(): number {
    return this.done;
  }

  add(step: RoundStep): void {
    this.steps.push(step);
  }

  /** A round soon, please. @param afterMs not before so many milliseconds have passed */
  request(afterMs = 0): void {
    if (afterMs > 0) return this.clock.after(afterMs, this, (rounds) => rounds.request());
    this.isRequested = true;
    this.wake();
  }

  /** Resolves after a round that began after this call. */
  async next(): Promise<void> {
    const done = new Promise<void>((resolve) => this.waiting.push(resolve));
    this.request();
    return done;
  }

  start(): void {
    this.isRunning = true;
    this.isRequested = true;
    this.stopped = this.loop();
  }

  /** Resolves when the round under way has ended; no other follows. */
  async stop(): Promise<void> {
    this.isRunning = false;
    this.wake();
    await this.stopped;
  }

  /** All steps once; for the last round, after `stop`. */
  async round(): Promise<void> {
    const waiting = this.waiting.splice(0);
    for (const { name, run } of this.steps) {
      try {
        await run();
      } catch (err) {
        this.log.error({ err, step: name }, 'a step of the main loop failed');
      }
    }
    this.done++;
    for (const resolve of waiting) resolve();
  }

  private async loop(): Promise<void> {
    while (this.isRunning) {
      this.isRequested = false;
      await this.round();
      await this.clock.sleep(ROUND_PAUSE_MS);
      if (this.isRunning && !this.isRequested) await this.pause();
    }
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      let isOver = false;
      this.wake = () => {
        if (isOver) return;
        isOver = true;
        this.wake = () => {};
        resolve();
      };
      const { wake } = this;
      this.clock.after(this.maxPauseMs(), wake, (fn) => fn());
    });
  }
}
