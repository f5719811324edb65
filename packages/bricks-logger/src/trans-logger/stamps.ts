import type { Clock, InjectionToken } from '@mars/brick-core';
import { STAMP_SYNC_MS } from './limits.js';

/** A Lamport stamp in two numbers, as records carry it. */
export interface Stamp {
  stampSec: number;
  stampNsec: number;
}

/** The stamps of records: the Lamport clock of the host. Must not allocate. Source: transaction-log.md 1.3 */
export interface LogStamps {
  nowInto(stamp: Stamp): void;
}

export const LOG_STAMPS: InjectionToken<LogStamps> = Symbol('bricks-logger/LogStamps');

/** Without a Lamport clock: wall clock, followed by the clock of the loop between two looks at it; never goes back. */
export class LoopStamps implements LogStamps {
  private baseSec = 0.5;
  private baseUs = 0.5;
  private readAtUs = -Infinity;
  private lastSec = 0.5;
  private lastNsec = 0.5;

  constructor(private readonly clock: Clock) {
    this.baseSec = this.baseUs = this.lastSec = this.lastNsec = 0;
  }

  nowInto(stamp: Stamp): void {
    const { nowUs } = this.clock;
    if (nowUs - this.readAtUs > STAMP_SYNC_MS * 1000) this.readWall();
    const us = this.baseUs + (nowUs - this.readAtUs);
    const carry = Math.floor(us / 1e6);
    const sec = this.baseSec + carry;
    const nsec = Math.floor((us - carry * 1e6) * 1000);
    if (sec > this.lastSec || (sec === this.lastSec && nsec > this.lastNsec)) {
      this.lastSec = sec;
      this.lastNsec = nsec;
    }
    stamp.stampSec = this.lastSec;
    stamp.stampNsec = this.lastNsec;
  }

  private readWall(): void {
    const ns = this.clock.wallNs();
    this.baseSec = Number(ns / 1_000_000_000n);
    this.baseUs = Number(ns % 1_000_000_000n) / 1000;
    this.readAtUs = this.clock.nowUs;
  }
}
