import { OP_FLUSH, crashPoint, errnoName, type Completer, type Counter, type XioObject } from '@mars/brick-core';
import type { Appender } from './append.js';
import type { LoggerFaults } from './faults.js';
import type { LoggerHouse } from './house.js';
import type { LogInput } from './log-input.js';

/** What the rest of the logger does when a position was published, or cannot be. */
export interface ProgressEvents {
  /** Nothing of this log is needed any more. */
  logDone(slot: LogInput): void;
  reported(): void;
  dataFlushFailed(err: number): void;
}

/**
 * Publishes how far recovery may skip: `replay = SERIAL,minPos,dirtyLen`.
 *
 * ```
 *   backLsn moves ─> data device FLUSH ─> what backLsn was when the flush began is published
 * ```
 * Always the log with the lower serial; the next one only after the older is completely on the device (INV-11). A position
 * never goes back (INV-6), and being behind is harmless, because replay is idempotent. Source: transaction-log.md 2.6
 */
export class Progress {
  /** The data device failed a flush: what was written back since the last one may be lost there. The log has it. */
  err = 0;
  intervalMs = 2000;
  private flusher: XioObject | null = null;
  private isFlushing = false;
  /** Durable on the device, as far as `backLsn` was when the last flush began. */
  private flushedLsn = 0.5;
  private flushingLsn = 0.5;
  private isTimerArmed = false;
  private isDue = false;
  private isForced = false;
  private readonly flushStep: Completer;
  private readonly flushes: Counter;

  constructor(
    private readonly house: LoggerHouse,
    private readonly log: Appender,
    private readonly events: ProgressEvents,
    private readonly faults: LoggerFaults,
  ) {
    this.flushStep = house.completer((o) => this.flushed(o));
    this.flushes = house.ctx.counter('data_flushes');
  }

  /** @returns false when the pool has no object to spare */
  start(): boolean {
    this.err = 0;
    this.isDue = this.isForced = this.isFlushing = false;
    this.flushedLsn = this.flushingLsn = this.log.current.baseLsn;
    this.flusher ??= this.house.ctx.pool.take(this.house.brick, 0);
    return this.flusher !== null;
  }

  /** A new log begins, and nothing is in memory. */
  startOver(): void {
    this.flushedLsn = this.log.current.baseLsn;
  }

  close(): void {
    if (this.flusher !== null) this.house.ctx.pool.free(this.flusher);
    this.flusher = null;
  }

  get isQuiet(): boolean {
    return !this.isFlushing;
  }

  /** Everything that was written back is durable there and published. */
  get isComplete(): boolean {
    return this.flushedLsn >= this.backLsn && !this.isFlushing && !this.isForced && this.log.old === null;
  }

  /** Publish soon, whatever the interval says: rotation, stop, emergency. */
  force(): void {
    this.isForced = true;
    this.house.plug();
  }

  /** Everything is on the device: what is not published yet shall be. */
  finish(): void {
    if (!this.isComplete) this.isForced = true;
  }

  /** Once per tick with something to do. */
  pump(): void {
    if (!this.isTimerArmed && !this.isUpToDate) this.arm();
    if (this.isFlushing || this.err !== 0 || !(this.isDue || this.isForced || this.isOldWrittenBack)) return;
    if (this.faults.publishWithoutFlush) this.flushedLsn = this.backLsn;
    if (this.flushedLsn < this.backLsn) this.startFlush();
    else this.report();
  }

  /** The facts as they stand; positions of records that are not durable are not counted. */
  report(): void {
    this.isDue = this.isForced = false;
    this.events.reported();
    const { old, current } = this.log;
    if (old !== null) {
      this.publish(old);
      if (!this.isDone(old) && !this.faults.reportNewLogEarly) return;
      this.events.logDone(old);
    }
    this.publish(current);
  }

  /** After a failure the old file is also needed until what was answered from it stands in the new one. */
  private isDone(old: LogInput): boolean {
    return old.isWrittenBack && this.flushedLsn >= old.endLsn && this.log.writtenLsn >= this.log.answeredLsn;
  }

  private publish(slot: LogInput): void {
    const { ctx } = this.house;
    const pos = (lsn: number): number => Math.max(0, Math.min(lsn, slot.endLsn) - slot.baseLsn);
    // After a bypass the device is ahead of the log: what never became durable there does not count.
    const minPos = pos(Math.min(this.flushedLsn, slot.durableLsn));
    crashPoint('logger.before-publish');
    ctx.publish('log', `${slot.serial},${pos(slot.durableLsn)},${pos(slot.writtenLsn)}`);
    ctx.publish('replay', `${slot.serial},${minPos},${pos(slot.durableLsn) - minPos}`);
  }

  /** End of the gap-free prefix that is on the device, over both logs. */
  private get backLsn(): number {
    const { old, current } = this.log;
    return old !== null && !old.isWrittenBack ? old.backLsn : current.backLsn;
  }

  private get isOldWrittenBack(): boolean {
    return this.log.old?.isWrittenBack ?? false;
  }

  private get isUpToDate(): boolean {
    return this.flushedLsn >= this.log.current.endLsn && this.log.old === null;
  }

  private startFlush(): void {
    this.flushingLsn = this.backLsn;
    const o = this.flusher!;
    o.op = OP_FLUSH;
    o.flags = o.len = 0;
    o.pos = 0;
    this.isFlushing = true;
    this.flushes.n++;
    o.push(this.flushStep);
    this.house.data.io(o);
  }

  private flushed(o: XioObject): void {
    this.isFlushing = false;
    o.unwind();
    if (o.err < 0) return this.flushFailed(o.err);
    this.flushedLsn = this.flushingLsn;
    this.report();
    this.house.plug();
  }

  private flushFailed(err: number): void {
    this.err = err;
    this.house.ctx.log.error(
      { err: errnoName(err), hint: 'Repair the data device, then switch the stack off and on: the log is replayed.' },
      'the data device could not be flushed: no position is published any more',
    );
    this.events.dataFlushFailed(err);
  }

  private arm(): void {
    this.isTimerArmed = true;
    this.house.clock.after(this.intervalMs, null, this.intervalEnds);
  }

  private readonly intervalEnds = (): void => {
    this.isTimerArmed = false;
    this.isDue = true;
    this.house.plug();
  };
}
