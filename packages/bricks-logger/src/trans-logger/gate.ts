import {
  F_FAST,
  F_FUA,
  EOPNOTSUPP,
  OP_WRITE,
  RequestQueue,
  crashPoint,
  type Counter,
  type Histogram,
  type XioObject,
} from '@mars/brick-core';
import type { Appender } from './append.js';
import type { LoggerFaults } from './faults.js';
import type { LoggerHouse } from './house.js';
import { REGION_BYTES } from './limits.js';
import type { MemoryBuffer } from './memory-buffer.js';
import { stateOf, type RequestState } from './request-state.js';
import type { LogStamps } from './stamps.js';

/**
 * Where writes wait for memory before they are taken, and for the log before they are answered.
 *
 * ```
 *   io ─> [waiting: no memory] ─> records ─> [early: answered when written   ] ─> answer
 *                                         └> [durable: answered when durable ]
 *   flush ────────────────────────────────>  [flushes: the same, nothing logged]
 * ```
 * All four are first in, first out, and in log order: so acknowledgements are always a prefix of the log.
 * Source: transaction-log.md 2.2 (phase 0), 2.4
 */
export class Gate {
  /** 2: nothing is answered before it is durable. */
  semantics = 1;
  /** Nothing more is taken: logging ends. */
  private isShut = false;
  /** Nothing can be logged: the errno that writes and flushes get; 0 = all is well. */
  private refusal = 0;
  /** Largest payload of a record, bytes. */
  recordBytes = 4096;
  private readonly waiting = new RequestQueue();
  private readonly early = new RequestQueue();
  private readonly durable = new RequestQueue();
  private readonly flushes = new RequestQueue();
  private readonly counts: Record<'writes' | 'flushes' | 'waits', Counter>;
  private readonly writeUs: Histogram;

  constructor(
    private readonly house: LoggerHouse,
    private readonly memory: MemoryBuffer,
    private readonly log: Appender,
    private readonly stamps: LogStamps,
    private readonly faults: LoggerFaults,
  ) {
    const { ctx } = house;
    this.counts = {
      writes: ctx.counter('writes'),
      flushes: ctx.counter('flushes'),
      waits: ctx.counter('memory_waits'),
    };
    this.writeUs = ctx.histogram('write_us');
  }

  start(): void {
    this.accept();
  }

  /** Takes writes (again). */
  accept(): void {
    this.isShut = false;
    this.refusal = 0;
    this.house.plug();
  }

  /** New writes wait. */
  shut(): void {
    this.isShut = true;
  }

  /** Who waits, and who comes, is told that nothing can be logged. */
  refuse(err: number): void {
    this.refusal = err;
    this.failAll(err);
  }

  /** The device itself answers whoever waits: what was taken is durable there, what was not goes there as a whole. */
  handOver(pass: (o: XioObject) => void): void {
    for (const queue of [this.early, this.durable, this.flushes]) this.end(queue, 0);
    for (let o = this.waiting.shift(); o !== null; o = this.waiting.shift()) pass(o);
  }

  /** Requests that are not answered. */
  get length(): number {
    return this.waiting.length + this.early.length + this.durable.length + this.flushes.length;
  }

  /** Writes wait for memory. */
  get isBlocked(): boolean {
    return this.waiting.length > 0;
  }

  /** No request stands with one half in the log: the moment for a rotation (transaction-log.md 2.7). */
  get isBetweenRequests(): boolean {
    const o = this.waiting.peek();
    return o === null || this.ticketOf(o).taken === 0;
  }

  /** A WRITE or ZERO. */
  enter(o: XioObject): void {
    if (o.flags & F_FAST && o.op !== OP_WRITE) return this.house.ctx.loop.finish(o, -EOPNOTSUPP);
    if (this.refusal !== 0) return this.house.ctx.loop.finish(o, this.refusal);
    const ticket = stateOf(o, this.house.ctx.slot);
    this.stamps.nowInto(ticket);
    ticket.taken = 0;
    ticket.enteredUs = this.house.clock.nowUs;
    this.counts.writes.n++;
    this.house.plug();
    if (this.waiting.length === 0 && this.take(o, ticket)) return this.awaitLog(o, ticket);
    this.counts.waits.n++;
    this.waiting.push(o);
  }

  /** Everything answered before becomes durable; nothing to do means: at once (INV-19). */
  flush(o: XioObject): void {
    this.counts.flushes.n++;
    const { log } = this;
    if (log.durableLsn >= log.answeredLsn || this.faults.flushAtOnce) return this.house.ctx.loop.finish(o, 0);
    // What was answered and cannot become durable: the next log may take it over, this flush must not wait for that.
    if (this.refusal !== 0) return this.house.ctx.loop.finish(o, this.refusal);
    const ticket = stateOf(o, this.house.ctx.slot);
    ticket.lsn = log.flushWantedLsn = log.answeredLsn;
    this.flushes.push(o);
    this.house.plug();
  }

  /** Takes what waits, as far as there is memory; once per tick. */
  admit(): void {
    for (let o = this.waiting.peek(); o !== null && this.take(o, this.ticketOf(o)); o = this.waiting.peek()) {
      this.waiting.shift();
      this.awaitLog(o, this.ticketOf(o));
    }
  }

  /** Answers whoever got what he waits for. */
  answer(): void {
    crashPoint('logger.before-answer');
    this.answerUpTo(this.early, this.log.writtenLsn);
    this.answerUpTo(this.durable, this.faults.answerBeforeDurable ? this.log.writtenLsn : this.log.durableLsn);
    this.answerUpTo(this.flushes, this.log.durableLsn);
  }

  /** Answers everybody who waits with an error: nothing more of them will be logged. */
  failAll(err: number): void {
    for (const queue of [this.early, this.durable, this.flushes, this.waiting]) this.end(queue, err);
  }

  private end(queue: RequestQueue, err: number): void {
    for (let o = queue.shift(); o !== null; o = queue.shift()) this.house.ctx.loop.finish(o, err);
  }

  private answerUpTo(queue: RequestQueue, lsn: number): void {
    for (let o = queue.peek(); o !== null && this.ticketOf(o).lsn <= lsn; o = queue.peek()) {
      queue.shift();
      this.writeUs.add(this.house.clock.nowUs - this.ticketOf(o).enteredUs);
      this.house.ctx.loop.finish(o, 0);
    }
  }

  /** The request is logged as soon as the log has come to here. */
  private awaitLog(o: XioObject, ticket: RequestState): void {
    const { log } = this;
    const lsn = (ticket.lsn = log.current.endLsn);
    if (this.semantics === 2 || o.flags & F_FUA) {
      if (lsn <= log.durableLsn) return this.house.ctx.loop.finish(o, 0);
      log.durableWantedLsn = lsn;
      this.durable.push(o);
    } else {
      if (lsn <= log.writtenLsn) return this.house.ctx.loop.finish(o, 0);
      log.earlyLsn = lsn;
      this.early.push(o);
    }
  }

  /** @returns true when the whole request is in the log's memory, and waits for its answer */
  private take(o: XioObject, ticket: RequestState): boolean {
    while (ticket.taken < o.len) {
      const len = this.pieceLen(o, ticket.taken);
      if (this.isShut || !this.memory.hasRoom || !this.log.hasRoom(len)) return false;
      this.log.append(o.pos + ticket.taken, len, o.op === OP_WRITE ? o.buf + ticket.taken : -1, ticket);
      ticket.taken += len;
    }
    return true;
  }

  /** Up to the end of the record, of the region, and of the request. */
  private pieceLen(o: XioObject, taken: number): number {
    // `&` keeps the low 32 bits of a position exactly (bricks.md 5.3 rule 8: no modulo of doubles here).
    const inRegion = (o.pos + taken) & (REGION_BYTES - 1);
    return Math.min(this.recordBytes, REGION_BYTES - inRegion, o.len - taken);
  }

  private ticketOf(o: XioObject): RequestState {
    return o.aspects[this.house.ctx.slot] as RequestState;
  }
}
