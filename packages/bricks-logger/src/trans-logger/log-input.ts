import { invariant, type XioInput } from '@mars/brick-core';
import type { Version } from './memory-buffer.js';

/**
 * free: nothing of ours is in it. current: new records go here. draining: the next one is current, but this one is not
 * written, synced, written back or reported to the end. done: reported; the wire may go.
 */
export type LogInputState = 'free' | 'current' | 'draining' | 'done';

/**
 * One logfile that is open: how far it is written, durable and written back (transaction-log.md 2.1, 2.6).
 *
 * ```
 *  0        backLsn       durableLsn     writtenLsn      sentLsn     endLsn
 *  | written | dirty       | in the       | being         | in       |
 *  | back    |             | page cache   | written       | memory   |
 *  <- list of versions, in log order: first ...................... last ->
 * ```
 * Positions are LSNs: bytes in the order of *all* logs of this run. A position in the file is LSN − `baseLsn`.
 */
export class LogInput {
  state: LogInputState = 'free';
  /** Serial number of the file. */
  serial = 0;
  /** Sequence number of the next record; 1 at the start of a file. */
  seq = 1;
  baseLsn = 0.5;
  /** End of the last record that was encoded. */
  endLsn = 0.5;
  sentLsn = 0.5;
  writtenLsn = 0.5;
  durableLsn = 0.5;
  /** Everything in front of it is on the data device (perhaps not yet durable there). Moves over a gap-free prefix only. */
  backLsn = 0.5;
  /** A sync of this file failed: nothing in it can become durable any more (the kernel tells it once). */
  syncErr = 0;
  first: Version | null = null;
  last: Version | null = null;
  /** The oldest version whose record is not durable. */
  nextVolatile: Version | null = null;

  constructor(
    readonly nr: number,
    readonly wire: XioInput,
  ) {
    this.begin(0, 0);
    this.state = 'free';
  }

  /** An empty file is open in this slot; its records come behind everything that was logged up to `baseLsn`. */
  begin(serial: number, baseLsn: number): void {
    this.state = 'current';
    this.serial = serial;
    this.seq = 1;
    this.baseLsn = this.endLsn = this.sentLsn = this.writtenLsn = this.durableLsn = this.backLsn = baseLsn;
    this.syncErr = 0;
    this.first = this.last = this.nextVolatile = null;
  }

  /** A record was encoded: its version goes to the end of the list. */
  append(v: Version): void {
    v.slot = this;
    v.before = this.last;
    if (this.last === null) this.first = v;
    else this.last.after = v;
    this.last = v;
    this.nextVolatile ??= v;
    this.endLsn = v.endLsn;
  }

  /**
   * A version is written back: `backLsn` moves when it was the oldest one, else its end is handed to its predecessor, so that
   * it moves over a gap-free prefix only (INV-4, INV-5). Source: transaction-log.md 2.6
   */
  writtenBack(v: Version): void {
    if (v.before === null) {
      invariant(v.endLsn > this.backLsn, 'the replay position must not go back');
      this.backLsn = v.endLsn;
    } else if (v.endLsn > v.before.endLsn) v.before.endLsn = v.endLsn;
    this.unlink(v);
  }

  /** Takes all volatile versions out of the list. @returns the first of them; they stay linked to each other */
  cutVolatile(): Version | null {
    const first = this.nextVolatile;
    if (first === null) return null;
    this.last = first.before;
    if (first.before === null) this.first = null;
    else first.before.after = null;
    first.before = this.nextVolatile = null;
    return first;
  }

  /** Wrong on purpose (`publishOverGaps`): as if nothing in front of it were missing. */
  skipTo(v: Version): void {
    this.backLsn = Math.max(this.backLsn, v.endLsn);
    this.unlink(v);
  }

  unlink(v: Version): void {
    if (v === this.nextVolatile) this.nextVolatile = v.after;
    if (v.before === null) this.first = v.after;
    else v.before.after = v.after;
    if (v.after === null) this.last = v.before;
    else v.after.before = v.before;
    v.before = v.after = null;
  }

  get isWritten(): boolean {
    return this.writtenLsn >= this.endLsn;
  }

  get isDurable(): boolean {
    return this.durableLsn >= this.endLsn;
  }

  /** Nothing of it is missing on the data device. */
  get isWrittenBack(): boolean {
    return this.isDurable && this.first === null;
  }
}
