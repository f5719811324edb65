import type { Clock } from '@mars/brick-core';
import { DEAD_AFTER_MS, HEARTBEAT_MS } from '../limits.js';

export interface Beating {
  ping(): void;
  dead(silentMs: number): void;
}

/** Notices peers that have gone without a word. Only the side that hears nothing asks, so an idle channel carries one ping per interval. */
export class Heartbeat {
  lastHeardUs: number;
  roundTripMs = -1;
  private isRunning = false;
  private isSuspended = false;
  private pingUs = -1;

  constructor(
    private readonly clock: Clock,
    private readonly beating: Beating,
  ) {
    this.lastHeardUs = clock.nowUs;
  }

  start(): void {
    this.isRunning = true;
    this.heard();
    this.later();
  }

  stop(): void {
    this.isRunning = false;
  }

  /** While we do not read we cannot hear. */
  suspend(isSuspended: boolean): void {
    this.isSuspended = isSuspended;
    this.heard();
  }

  heard(): void {
    this.lastHeardUs = this.clock.nowUs;
  }

  answered(): void {
    // The time of a loop is sampled in its ticks; outside of one it may be old.
    this.clock.after(0, this, measure);
  }

  /** @internal */
  measure(): void {
    if (this.pingUs >= 0) this.roundTripMs = (this.clock.nowUs - this.pingUs) / 1000;
    this.pingUs = -1;
  }

  private later(): void {
    this.clock.after(HEARTBEAT_MS, this, beat);
  }

  /** @internal */
  beat(): void {
    if (!this.isRunning) return;
    const silentMs = this.isSuspended ? 0 : (this.clock.nowUs - this.lastHeardUs) / 1000;
    if (silentMs >= DEAD_AFTER_MS) return this.beating.dead(silentMs);
    // Nine tenths: a peer heard just after the last beat would else go unasked for two intervals.
    if (silentMs >= 0.9 * HEARTBEAT_MS) {
      this.pingUs = this.clock.nowUs;
      this.beating.ping();
    }
    this.later();
  }
}

function beat(heartbeat: Heartbeat): void {
  heartbeat.beat();
}

function measure(heartbeat: Heartbeat): void {
  heartbeat.measure();
}
