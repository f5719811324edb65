import {
  F_FUA,
  OP_FLUSH,
  OP_WRITE,
  SUPPORT_NATIVE,
  crashPoint,
  invariant,
  type Completer,
  type Counter,
  type Histogram,
  type XioObject,
} from '@mars/brick-core';
import type { EncoderOptions } from '../log-format/encode.js';
import type { Block, BlockStore } from './blocks.js';
import type { LoggerFaults } from './faults.js';
import type { LoggerHouse } from './house.js';
import { LOG_WRITES } from './limits.js';
import type { LogInput } from './log-input.js';
import type { MemoryBuffer, Version } from './memory-buffer.js';
import { RecordQueue } from './records.js';
import type { Stamp } from './stamps.js';

/** What the rest of the logger does when the log got on. */
export interface LogEvents {
  /** `writtenLsn` or `durableLsn` has moved. */
  advanced(): void;
  /** This version's record is durable now. */
  becameDurable(v: Version): void;
  /** A log write or sync failed; nothing behind it will be acknowledged. */
  logFailed(slot: LogInput, err: number, wasSync: boolean): void;
}

export interface AppendLimits {
  /** Largest payload of a record, bytes. */
  recordBytes: number;
  /** Bytes in the log file that are not synced; the rule for torn tails relies on it (transaction-log.md 3.3). */
  unsyncedCapBytes: number;
  syncAfterMs: number;
}

/** One log write under way. */
class LogWrite {
  o: XioObject | null = null;
  block!: Block;
  endLsn = 0.5;
  startedUs = 0.5;
  isFua = false;
  state: 'under way' | 'done' | 'failed' = 'done';
}

/**
 * The log's side of a write: records into blocks, blocks into the file, syncs.
 *
 * ```
 *   append ──> [block][block][open block]          queue, in log order
 *                 │ up to LOG_WRITES under way; a part of the open block only when all are back (group commit)
 *                 └──WRITE──> writtenLsn ──FLUSH──> durableLsn          or both at once: WRITE with FUA
 * ```
 * Only bytes behind `sentLsn` are ever written, each once, so nothing in the file is modified (INV-10), except that a failed
 * write is repeated with the same bytes. Acknowledged is a prefix only, whatever order the writes come back in.
 * Source: transaction-log.md 2.3
 */
export class Appender {
  current!: LogInput;
  /** The log before `current`, while it is needed. */
  old: LogInput | null = null;
  sentLsn = 0.5;
  writtenLsn = 0.5;
  durableLsn = 0.5;
  /** The furthest that `writtenLsn` has ever been: everything up to here may have been answered. Being logged again lowers the others. */
  answeredLsn = 0.5;
  /** Ends of the last requests that are answered when written, and when durable. */
  earlyLsn = 0.5;
  durableWantedLsn = 0.5;
  /** A flush waits for everything written up to here. */
  flushWantedLsn = 0.5;
  /** Memory is short or the logger is about to end: everything shall become durable soon. */
  isUrgent = false;
  /** A write or sync has failed; nothing is issued until {@link retry}. */
  isStalled = false;
  limits: AppendLimits = { recordBytes: 4096, unsyncedCapBytes: 0, syncAfterMs: 0 };
  private readonly records: RecordQueue;
  /** The next version that must be logged again, into a fresh file. */
  private relogNext: Version | null = null;
  private readonly idle: XioObject[] = [];
  private readonly writes: LogWrite[] = Array.from({ length: LOG_WRITES }, () => new LogWrite());
  private oldest = 0;
  private underWay = 0;
  private syncObject: XioObject | null = null;
  private syncing: LogInput | null = null;
  private syncTargetLsn = 0.5;
  private isSyncDue = false;
  private isTimerArmed = false;
  private readonly writeStep: Completer;
  private readonly syncStep: Completer;
  private readonly counts: Record<'records' | 'writes' | 'syncs' | 'bytes', Counter>;
  private readonly commitUs: Histogram;

  constructor(
    private readonly house: LoggerHouse,
    private readonly blocks: BlockStore,
    private readonly memory: MemoryBuffer,
    private readonly events: LogEvents,
    private readonly faults: LoggerFaults,
  ) {
    const { ctx } = house;
    this.records = new RecordQueue(ctx.mem, blocks);
    this.writeStep = house.completer((o) => this.writeDone(o));
    this.syncStep = house.completer((o) => this.syncDone(o));
    this.commitUs = ctx.histogram('log_write_us');
    this.counts = {
      records: ctx.counter('log_records'),
      writes: ctx.counter('log_writes'),
      syncs: ctx.counter('log_syncs'),
      bytes: ctx.counter('log_bytes'),
    };
  }

  /** @returns false when the pool has no objects to spare */
  start(slot: LogInput, options: EncoderOptions): boolean {
    this.records.start(options);
    this.current = slot;
    this.old = null;
    this.sentLsn = this.writtenLsn = this.durableLsn = this.answeredLsn = slot.baseLsn;
    this.earlyLsn = this.durableWantedLsn = this.flushWantedLsn = slot.baseLsn;
    this.isUrgent = this.isStalled = this.isSyncDue = false;
    this.oldest = this.underWay = 0;
    const { pool } = this.house.ctx;
    while (this.idle.length < LOG_WRITES) {
      const o = pool.take(this.house.brick, 0);
      if (o === null) return false;
      this.idle.push(o);
    }
    this.syncObject ??= pool.take(this.house.brick, 0);
    return this.syncObject !== null;
  }

  /** Gives back what {@link start} took; nothing may be under way. */
  close(): void {
    const { pool } = this.house.ctx;
    if (this.syncObject !== null) pool.free(this.syncObject);
    this.syncObject = null;
    this.dropUnwritten();
    this.records.close();
    for (const o of this.idle.splice(0)) pool.free(o);
    for (let v = this.relogNext; v !== null; v = this.relogNext) {
      this.relogNext = v.after;
      v.before = v.after = null;
      this.memory.remove(v);
    }
  }

  get isQuiet(): boolean {
    return this.underWay === 0 && this.syncing === null;
  }

  /** Everything that was appended is durable. */
  get isDurable(): boolean {
    return this.durableLsn >= this.current.endLsn;
  }

  // ---------------------------------------------------------------------------------------------------------- records

  /** Whether a record with a payload of that length can be appended now. */
  hasRoom(len: number): boolean {
    return this.relogNext === null && this.records.hasRoom(this.current, len);
  }

  /**
   * Appends one record and makes its version visible to reads; {@link hasRoom} was asked before.
   * @param from arena offset of the payload; -1 = zeroes
   */
  append(pos: number, len: number, from: number, stamp: Stamp): void {
    const { current } = this;
    const v = this.memory.insert(pos, len);
    v.takenUs = this.house.clock.nowUs;
    v.endLsn = current.endLsn + this.records.add(current, v, from, stamp);
    this.counts.records.n++;
    current.append(v);
  }

  /** From now on records go to `slot`; the present log drains (transaction-log.md 2.7). */
  switchTo(slot: LogInput): void {
    invariant(this.old === null, 'a rotation began before the last one had ended');
    this.old = this.current;
    this.old.state = 'draining';
    this.current = slot;
    this.records.closeOpen();
  }

  // ----------------------------------------------------------------------------------------------------------- writes

  /** Issues what may be issued now; called at the end of a tick. */
  pump(): void {
    if (this.isStalled) return;
    if (this.relogNext !== null) this.pumpRelog();
    if (this.wantsSync) this.startSync();
    while (this.underWay < LOG_WRITES && this.issueNext()) this.underWay++;
    this.records.trim();
    if (this.wantsSync) this.startSync();
    if (this.writtenLsn > this.durableLsn && !this.isTimerArmed) this.armTimer();
  }

  private issueNext(): boolean {
    this.records.trim();
    const block = this.records.head;
    if (block === null || block.used === block.sent) return false;
    if (block === this.records.open && !this.mayCut) return false;
    // Recovery takes a byte in N+1 as proof that N is complete: a tail that N lost could not be told from its end otherwise (INV-2).
    if (this.old !== null && block.slot !== this.old && !this.old.isDurable) return false;
    const len = block.used - block.sent;
    if (this.sentLsn > this.durableLsn && this.sentLsn + len - this.durableLsn > this.limits.unsyncedCapBytes) {
      this.isSyncDue = true;
      return false;
    }
    this.issue(block, len);
    return true;
  }

  /**
   * Part of a block goes out only when no write is under way: what comes meanwhile shares the next one. While a sync runs
   * everybody who waits for one would have to wait for the next one anyway, and then write and sync are one operation.
   */
  private get mayCut(): boolean {
    return this.underWay === 0 && (this.syncing === null || this.earlyLsn > this.sentLsn || this.isUrgent);
  }

  private issue(block: Block, len: number): void {
    const slot = block.slot!;
    const write = this.writes[(this.oldest + this.underWay) % LOG_WRITES]!;
    const isFua = this.mayBeFua(block, slot);
    write.block = block;
    write.isFua = isFua;
    write.state = 'under way';
    write.startedUs = this.house.clock.nowUs;
    const o = (write.o = this.idle.pop()!);
    o.op = OP_WRITE;
    o.flags = isFua ? F_FUA : 0;
    o.pos = this.sentLsn - slot.baseLsn;
    o.len = len;
    o.buf = block.buf + block.sent;
    block.sent += len;
    block.refs++;
    this.sentLsn += len;
    slot.sentLsn = this.sentLsn;
    write.endLsn = this.sentLsn;
    this.counts.writes.n++;
    this.counts.bytes.n += len;
    crashPoint('logger.before-append');
    o.push(this.writeStep);
    slot.wire.io(o);
  }

  /** Durable by itself: only when nothing in front of it is volatile, for a durable record behind a hole is worth nothing. */
  private mayBeFua(block: Block, slot: LogInput): boolean {
    if (this.sentLsn > this.durableLsn || this.underWay > 0 || this.syncing !== null) return false;
    if (this.durableWantedLsn <= this.sentLsn && !this.isUrgent) return false;
    return block.next === null && slot.wire.cached.fua === SUPPORT_NATIVE;
  }

  private writeDone(o: XioObject): void {
    crashPoint('logger.after-append');
    const write = this.writeOf(o);
    o.unwind();
    if (o.err < 0) {
      write.state = 'failed';
      this.isStalled = true;
      return this.events.logFailed(write.block.slot!, o.err, false);
    }
    write.state = 'done';
    write.o = null;
    this.idle.push(o);
    this.commitUs.add(this.house.clock.nowUs - write.startedUs);
    this.advance();
    this.house.plug();
  }

  private writeOf(o: XioObject): LogWrite {
    for (let i = 0; i < LOG_WRITES; i++) if (this.writes[i]!.o === o) return this.writes[i]!;
    invariant(false, 'a log write came back that was not under way');
  }

  /** Acknowledged is what has no gap in front of it. */
  private advance(): void {
    const before = this.writtenLsn;
    for (let write = this.writes[this.oldest]!; this.underWay > 0 && write.state === 'done';) {
      const slot = write.block.slot!;
      this.writtenLsn = slot.writtenLsn = write.endLsn;
      this.blocks.release(write.block);
      this.oldest = (this.oldest + 1) % LOG_WRITES;
      this.underWay--;
      if (write.isFua) this.durableUpTo(slot, write.endLsn);
      write = this.writes[this.oldest]!;
    }
    if (this.writtenLsn > this.answeredLsn) this.answeredLsn = this.writtenLsn;
    if (this.faults.writebackBeforeDurable) this.tellDurable(this.current);
    if (this.writtenLsn > before) this.events.advanced();
  }

  // ------------------------------------------------------------------------------------------------------------ syncs

  private get wantsSync(): boolean {
    if (this.syncing !== null || this.writtenLsn <= this.durableLsn) return false;
    if (this.flushWantedLsn > this.durableLsn || this.isSyncDue) return true;
    if (this.isHalfFull || (this.old !== null && this.old.isWritten && !this.old.isDurable)) return true;
    if (this.durableWantedLsn <= this.durableLsn && !this.isUrgent) return false;
    // Not while writes for the same waiters are under way: they would have to wait for another sync.
    return this.underWay === 0 || (this.durableWantedLsn > this.durableLsn && this.durableWantedLsn <= this.writtenLsn);
  }

  private get isHalfFull(): boolean {
    return this.writtenLsn - this.durableLsn >= this.limits.unsyncedCapBytes / 2;
  }

  /** The older log first: a record of the new one counts as durable only behind it (INV-19). */
  private startSync(): void {
    const isOldFirst = this.old !== null && !this.old.isDurable && !this.faults.flushCurrentLogOnly;
    const slot = isOldFirst ? this.old! : this.current;
    if (slot.writtenLsn <= slot.durableLsn) return;
    const o = this.syncObject!;
    this.syncing = slot;
    this.syncTargetLsn = slot.writtenLsn;
    this.isSyncDue = false;
    this.counts.syncs.n++;
    o.op = OP_FLUSH;
    o.flags = 0;
    o.pos = o.len = 0;
    crashPoint('logger.before-sync');
    o.push(this.syncStep);
    slot.wire.io(o);
  }

  private syncDone(o: XioObject): void {
    const slot = this.syncing!;
    this.syncing = null;
    o.unwind();
    if (o.err < 0) {
      slot.syncErr = o.err;
      this.isStalled = true;
      return this.events.logFailed(slot, o.err, true);
    }
    crashPoint('logger.after-sync');
    this.durableUpTo(slot, this.syncTargetLsn);
    this.events.advanced();
    this.house.plug();
  }

  private durableUpTo(slot: LogInput, lsn: number): void {
    if (lsn > slot.durableLsn) slot.durableLsn = lsn;
    const { old, current } = this;
    const isOldMissing = old !== null && !old.isDurable && !this.faults.flushCurrentLogOnly;
    this.durableLsn = isOldMissing ? old.durableLsn : current.durableLsn;
    this.tellDurable(slot);
    if (slot === old && old.isDurable) this.tellDurable(current);
  }

  /** Records of the newer log are ready only when all of the older one are (INV-11). */
  private tellDurable(slot: LogInput): void {
    const upTo = this.faults.writebackBeforeDurable ? this.writtenLsn : this.durableLsn;
    let v = slot.nextVolatile;
    while (v !== null && v.endLsn <= upTo) {
      v.isDurable = true;
      slot.nextVolatile = v.after;
      this.events.becameDurable(v);
      v = slot.nextVolatile;
    }
  }

  private armTimer(): void {
    this.isTimerArmed = true;
    this.house.clock.after(this.limits.syncAfterMs, null, this.syncIsDue);
  }

  private readonly syncIsDue = (): void => {
    this.isTimerArmed = false;
    if (this.writtenLsn <= this.durableLsn) return;
    this.isSyncDue = true;
    this.house.plug();
  };

  // --------------------------------------------------------------------------------------------------------- failures

  /** No write is under way: all are back, some perhaps failed. */
  get isSettled(): boolean {
    if (this.syncing !== null) return false;
    for (let i = 0; i < this.underWay; i++) {
      if (this.writes[(this.oldest + i) % LOG_WRITES]!.state === 'under way') return false;
    }
    return true;
  }

  /**
   * After a failed write: what stands in the file is made durable where it is, so that only what nobody was told of is left over. The
   * same records in two files would be applied twice, the older ones behind newer ones, if a crash cut the second file short.
   * @returns true while that is under way
   */
  secure(): boolean {
    if (this.syncing !== null) return true;
    if (this.hasLostBytes || this.writtenLsn <= this.durableLsn) return false;
    this.startSync();
    return this.syncing !== null;
  }

  /** A sync failed: what is volatile in that file stays so, however often it is tried. */
  get hasLostBytes(): boolean {
    return this.current.syncErr !== 0 || (this.old !== null && this.old.syncErr !== 0);
  }

  /** Issues failed writes again, with the same bytes at the same place. A failed sync cannot be repeated. */
  retry(): void {
    this.isStalled = false;
    for (let i = 0; i < this.underWay; i++) {
      const write = this.writes[(this.oldest + i) % LOG_WRITES]!;
      if (write.state !== 'failed') continue;
      write.state = 'under way';
      write.isFua = false;
      const o = write.o!;
      o.flags = 0;
      o.push(this.writeStep);
      write.block.slot!.wire.io(o);
    }
    this.house.plug();
  }

  /** Records that nobody was told of leave the log and the memory; what was answered stays, for a fresh log. */
  discardUnanswered(): void {
    this.dropUnwritten();
    const keepLsn = this.answeredLsn;
    for (const slot of [this.current, this.old]) {
      if (slot === null) continue;
      for (let v = slot.last; v !== null && v.endLsn > keepLsn; v = slot.last) {
        slot.unlink(v);
        this.memory.remove(v);
      }
      slot.endLsn = Math.max(slot.baseLsn, Math.min(slot.endLsn, keepLsn));
    }
    this.sentLsn = this.current.endLsn;
  }

  /** One file alone has failed, so that a fresh one can take its volatile end over. */
  get mayRelog(): boolean {
    return this.isStalled && this.isSettled && this.old === null;
  }

  /**
   * Logs everything volatile again, into an empty file. The records are the same bytes (but for their sequence numbers), so every
   * LSN that somebody waits for stays what it is; the old file ends where it is durable.
   */
  relog(slot: LogInput, serial: number): void {
    this.dropUnwritten();
    const failed = this.current;
    const { durableLsn } = this;
    this.relogNext = failed.cutVolatile();
    failed.endLsn = failed.sentLsn = failed.writtenLsn = durableLsn;
    failed.syncErr = 0;
    slot.begin(serial, durableLsn);
    this.sentLsn = this.writtenLsn = durableLsn;
    this.isStalled = false;
    this.switchTo(slot);
  }

  /** Logging begins anew in an empty file, with nothing in memory (after a bypass). */
  startOver(slot: LogInput, serial: number): void {
    invariant(this.memory.isEmpty, 'logging begins anew while something is not on the device');
    this.dropUnwritten();
    this.current.state = 'done';
    if (this.old !== null) this.old.state = 'done';
    this.old = null;
    const lsn = Math.max(this.current.endLsn, this.answeredLsn);
    slot.begin(serial, lsn);
    this.sentLsn = this.writtenLsn = this.durableLsn = lsn;
    this.isStalled = false;
    this.current = slot;
  }

  /** What never became durable may go to the device all the same: nothing will be logged any more (bypass). */
  bringOver(tell: (v: Version) => void): void {
    this.dropUnwritten();
    for (const slot of [this.old, this.current]) {
      if (slot === null) continue;
      for (let v = slot.nextVolatile; v !== null; v = v.after) {
        v.isDurable = true;
        tell(v);
      }
      slot.nextVolatile = null;
    }
  }

  /** Encodes what {@link relog} left to do, as far as there is memory. */
  private pumpRelog(): void {
    const { current } = this;
    for (let v = this.relogNext; v !== null; v = this.relogNext) {
      if (!this.records.hasBlock(current, v.len)) return;
      const total = this.records.addAgain(current, v);
      invariant(current.endLsn + total === v.endLsn, 'a record that was logged again has another length');
      this.relogNext = v.after;
      v.after = null;
      current.append(v);
    }
  }

  /** Log writes that failed, or came back behind one, and blocks that were not written. */
  private dropUnwritten(): void {
    for (; this.underWay > 0; this.underWay--) {
      const write = this.writes[this.oldest]!;
      this.oldest = (this.oldest + 1) % LOG_WRITES;
      this.blocks.release(write.block);
      if (write.o !== null) this.idle.push(write.o);
      write.o = null;
      write.state = 'done';
    }
    this.records.drop();
  }
}
