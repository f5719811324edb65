import type { Clock } from '@mars/brick-core';
import { MAX_LAMPORT_FUTURE_S } from './limits.js';
import { NS_PER_SECOND, formatStamp, secondsOf } from './stamp.js';

export interface LamportOptions {
  /** A stamp this far ahead of real time is corrupt, seconds. */
  maxFutureSeconds?: number;
}

/**
 * The clock that orders all facts: never behind real time, never behind any stamp that this host has seen, and no two stamps alike.
 *
 * ```
 *   S   the greatest stamp seen or given out, ns; 0 at the start
 *   now()      S := max(real, S + 1)                     stamps of links, commands, log records
 *   advance(t) S := t if t > S, else S + 1               times of links and files that were looked at
 * ```
 * If S is ahead of real time (some host's clock is fast) it stays ahead and creeps, 1 ns per event, until real time has caught up. It is
 * never set back. It is not stored anywhere: the first scan of the tree advances it to the newest link, so scan before the first write.
 * Source: symlink-tree.md, section 4; [OURS] now() is strictly monotonic.
 */
export class LamportClock {
  private latestNs = 0n;
  private maxFuture: bigint;
  private callCount = 0;

  constructor(
    private readonly clock: Clock,
    options: LamportOptions = {},
  ) {
    this.maxFuture = BigInt(options.maxFutureSeconds ?? MAX_LAMPORT_FUTURE_S);
  }

  /** The next stamp: greater than any before, and than any that was seen. */
  now(): bigint {
    this.callCount++;
    return (this.latestNs = later(this.realNs(), this.latestNs + 1n));
  }

  /** What `now()` would be at least; changes nothing. For ages, windows and things people look at. */
  peek(): bigint {
    return later(this.realNs(), this.latestNs);
  }

  /** The system clock: windows of liveness, rates, message texts (symlink-tree.md 4.5). May jump. */
  realNs(): bigint {
    return this.clock.wallNs();
  }

  /** A stamp of the tree was seen, or given to a link. Strict: the clock moves in any case. */
  advance(stampNs: bigint): void {
    const seen = this.clamp(stampNs);
    this.latestNs = seen > this.latestNs ? seen : this.latestNs + 1n;
  }

  /** The stamp of a command from another host was seen. */
  advanceLazy(stampNs: bigint): void {
    this.latestNs = later(this.latestNs, this.clamp(stampNs));
  }

  advanceAndGet(stampNs: bigint): bigint {
    this.advance(stampNs);
    return this.peek();
  }

  /**
   * True when a stamp can only be an error: too far ahead of real time, and of what this clock has accepted so far.
   * (The second half matters when the system clock was set back by more than the limit: then it is the clock that is wrong.)
   */
  isFarFuture(stampNs: bigint): boolean {
    const limit = secondsOf(this.realNs()) + this.maxFuture;
    return secondsOf(stampNs) >= limit && stampNs > this.latestNs;
  }

  /**
   * At the start, when most of the tree is "too far ahead": then not the tree is wrong but the system clock (a battery that is empty). S is
   * set to the newest stamp, without limit, so that what we write still counts. Source: docs/decisions.md.
   */
  adopt(stampNs: bigint): void {
    this.latestNs = later(this.latestNs, stampNs);
  }

  /** Seconds by which stamps of this host run ahead of real time; 0 = not at all. */
  get aheadSeconds(): number {
    const ahead = this.latestNs - this.realNs();
    return ahead <= 0n ? 0 : Number(ahead) / Number(NS_PER_SECOND);
  }

  /** Tunable `max_lamport_future`, seconds. */
  set maxFutureSeconds(seconds: number) {
    this.maxFuture = BigInt(Math.max(0, Math.floor(seconds)));
  }

  get maxFutureSeconds(): number {
    return Number(this.maxFuture);
  }

  /** Contents of the control file `lamport_clock`; the third line counts the stamps given out. Source: symlink-tree.md 2.13. */
  controlText(): string {
    return `CURRENT_TIME=${formatStamp(this.realNs())}\nlamport_now=${formatStamp(this.peek())}\nCALLS=${this.callCount}\n`;
  }

  /** The stamp that a corrupt one counts as: later than all that was seen, but not later than real time would make it. */
  repairStamp(corruptNs: bigint): bigint {
    return this.clamp(corruptNs);
  }

  /** A corrupt stamp moves the clock by 2 ns and then counts as that. Source: symlink-tree.md 4.4. */
  private clamp(stampNs: bigint): bigint {
    if (!this.isFarFuture(stampNs)) return stampNs;
    this.latestNs += 2n;
    return this.latestNs;
  }
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
