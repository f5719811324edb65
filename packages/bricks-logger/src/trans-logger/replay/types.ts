import type { BrickContext, Completer, FaultOwner, ObjectOwner, XioInput, XioObject } from '@mars/brick-core';
import type { DigestEngine } from '../../log-format/digests.js';
import type { UnverifiedRule } from '../../log-format/scan.js';

/** What a brick lends to a {@link Replayer}. */
export interface ReplayHost {
  /** The brick itself: it owns the requests, and its rank is that of the replay. */
  readonly brick: ObjectOwner & FaultOwner & { readonly rank: number };
  readonly ctx: Pick<BrickContext, 'loop' | 'mem' | 'pool' | 'log'>;
  /** `BrickBase.completer` of the brick, so that its draining counts these requests. */
  completer(complete: (o: XioObject) => void): Completer;
}

/** One run. Positions are bytes from the start of the logfile. */
export interface ReplayPlan {
  readonly log: XioInput;
  /** Read (only around records that are no whole blocks), written, flushed. */
  readonly data: XioInput;
  /** A record boundary, never behind the published position. */
  readonly startPos: number;
  /** Exclusive end; a record that would cross it is not applied. 0 = the end of the log. {@link Replayer.setEnd} changes it. */
  readonly endPos: number;
  /** At the end of what is there: wait for more, instead of ending with a code. */
  readonly continuous: boolean;
  /** Writes under way at once; default `PARALLEL_WRITES`. */
  readonly parallel?: number;
  /** Default 'until-checksummed' (transaction-log.md 1.4 [OURS]). */
  readonly unverified?: UnverifiedRule;
  /** Default: plain TypeScript. */
  readonly engine?: DigestEngine;
  /**
   * Everything in front of `minPos` is durable on the data device; `endPos` is where the log ends as far as known.
   * `endPos − minPos` is the dirty length to publish.
   */
  readonly onProgress: (minPos: number, endPos: number) => void;
  /** Called once, after the last `onProgress`; nothing is under way any more. */
  readonly onEnd: (end: ReplayEnd) => void;
}

/** How a run ended. Source: transaction-log.md 3.1, 3.5. */
export interface ReplayEnd {
  /** 1 finished at the end, 2 stopped before it (incomplete tail, or stopped by hand), else a negative errno. */
  readonly code: number;
  /** 0, or the negative detail number of a defect. */
  readonly detail: number;
  /** The repeated byte of detail −10021, else 0. */
  readonly byteCode: number;
  /** The last published position: a record boundary; everything in front of it is durable on the data device. */
  readonly minPos: number;
  /** End of the last good record that was read, at or behind `minPos`. */
  readonly goodEnd: number;
}

/** What a run has done so far. One object, counted up; copy what must live longer. */
export class ReplayCounts {
  records = 0;
  /** Valid records that are not applied: code other than 1. */
  skipped = 0;
  unverified = 0;
  /** Bytes of the log, frames included, and of the device. */
  logBytes = 0;
  dataBytes = 0;
  writes = 0;
  /** Records that had to wait because an older write to the same bytes was under way. */
  overlapWaits = 0;
  flushes = 0;

  clear(): void {
    this.records = this.skipped = this.unverified = this.logBytes = this.dataBytes = 0;
    this.writes = this.overlapWaits = this.flushes = 0;
  }
}
