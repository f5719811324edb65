import type { InjectionToken } from '@mars/brick-core';

/**
 * Ways to be wrong on purpose: each breaks one invariant, so that tests of the tests can prove that a checker would notice.
 * Nothing but such tests registers {@link LOGGER_FAULTS}.
 */
export interface LoggerFaults {
  /** INV-7: data goes to the device although its record is only written, not durable. */
  readonly writebackBeforeDurable?: boolean;
  /** INV-1: FUA writes are answered when their record is written. */
  readonly answerBeforeDurable?: boolean;
  /** INV-1: a flush is answered at once, whatever is volatile. */
  readonly flushAtOnce?: boolean;
  /** INV-4: a position is published without a flush of the data device. */
  readonly publishWithoutFlush?: boolean;
  /** INV-4, INV-5: the published position is the end of whatever was written back last, gap or not. */
  readonly publishOverGaps?: boolean;
  /** INV-8: of two versions the older one goes to the device. */
  readonly oldestWins?: boolean;
  /** INV-9: reads come from the device, whatever is in memory. */
  readonly readsIgnoreMemory?: boolean;
  /** INV-11: the new log is reported before the old one is written back. */
  readonly reportNewLogEarly?: boolean;
  /** INV-17: the memory limit counts for nothing. */
  readonly noMemoryLimit?: boolean;
  /** INV-18: what could not be logged is answered all the same. */
  readonly answerFailedWrites?: boolean;
  /** INV-19: a flush covers the current log only. */
  readonly flushCurrentLogOnly?: boolean;
}

export const LOGGER_FAULTS: InjectionToken<LoggerFaults> = Symbol('bricks-logger/LoggerFaults');

export const NO_FAULTS: LoggerFaults = {};
