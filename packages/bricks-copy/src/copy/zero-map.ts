import {
  CAP_EXTENTS,
  EXTENTS_PAYLOAD_BYTES,
  EXTENT_BYTES,
  EXTENT_ZERO,
  OP_EXTENTS,
  type BrickContext,
  type Completer,
  type ObjectOwner,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';

const MAX_RECORDS = EXTENTS_PAYLOAD_BYTES / EXTENT_BYTES;
/** Range of one question, bytes: a whole terabyte of holes costs a thousand questions. */
const ASK_BYTES = 2 ** 30;

export type ZeroAnswer = 'zero' | 'data' | 'unknown';

/**
 * Which ranges of a disk read as zeroes without being looked at, as far as its extents tell. Asked in ascending order, one question at a
 * time. Who cannot tell, or fails, counts as data everywhere.
 */
export class ZeroMap {
  private readonly ends = new Float64Array(MAX_RECORDS);
  private readonly isZero = new Uint8Array(MAX_RECORDS);
  /** What the records cover. Changed together with them, never before: a question that is under way says nothing yet. */
  private from = 0.5;
  private to = 0.5;
  private count = 0;
  /** Start of the question under way. */
  private askedFrom = 0.5;
  private isAsking = false;
  /** The question under way was asked before a reset: its answer counts no more. */
  private isStale = false;
  private isBlind = false;

  constructor(
    private readonly input: XioInput,
    private readonly owner: ObjectOwner,
    private readonly ctx: BrickContext,
    private readonly completer: Completer,
    private readonly prio: number,
  ) {
    this.from = this.to = 0;
  }

  /** Forgets everything: the disk may have changed. */
  reset(): void {
    this.from = this.to = this.count = 0;
    this.isBlind = false;
    this.isStale = this.isAsking;
  }

  /** `unknown`: a question is under way, or could not be asked now; come again after {@link answered}. */
  look(pos: number, end: number): ZeroAnswer {
    if (this.isBlind || !(this.input.cached.caps & CAP_EXTENTS)) return 'data';
    if (pos < this.from || end > this.to) {
      this.ask(pos, end);
      return this.isBlind ? 'data' : 'unknown';
    }
    for (let i = 0; i < this.count; i++) {
      if (this.ends[i]! <= pos) continue;
      if (this.isZero[i] === 0) return 'data';
      if (this.ends[i]! >= end) return 'zero';
    }
    return 'data';
  }

  private ask(pos: number, end: number): void {
    if (this.isAsking) return;
    const { size } = this.input.cached;
    if (end > size) return void (this.isBlind = true);
    const o = this.ctx.pool.take(this.owner, EXTENTS_PAYLOAD_BYTES);
    if (o === null) return;
    this.isAsking = true;
    o.op = OP_EXTENTS;
    o.prio = this.prio;
    o.pos = this.askedFrom = pos;
    o.len = Math.min(size - pos, ASK_BYTES);
    o.push(this.completer);
    this.input.io(o);
  }

  /** In the completer: reads the records and frees the object. @param lenWanted of one look: answers that cover less make it blind */
  answered(o: XioObject, lenWanted: number): void {
    this.isAsking = false;
    if (this.isStale) {
      this.isStale = false;
      return this.ctx.pool.free(o);
    }
    this.count = 0;
    this.from = this.to = this.askedFrom;
    if (o.err >= 0) this.readRecords(o);
    // No progress is possible with records that do not reach over one chunk: too fragmented to be worth it here.
    if (this.to < this.from + Math.min(lenWanted, this.input.cached.size - this.from)) {
      if (o.err < 0) this.isBlind = true;
      else this.coverAsData(this.from + lenWanted);
    }
    this.ctx.pool.free(o);
  }

  private readRecords(o: XioObject): void {
    const { view } = this.ctx.mem;
    for (let at = o.buf; at + EXTENT_BYTES <= o.buf + o.len && this.count < MAX_RECORDS; at += EXTENT_BYTES) {
      this.to = view.getFloat64(at, true) + view.getFloat64(at + 8, true);
      this.ends[this.count] = this.to;
      this.isZero[this.count++] = view.getUint32(at + 16, true) & EXTENT_ZERO ? 1 : 0;
    }
  }

  private coverAsData(to: number): void {
    this.to = this.ends[0] = to;
    this.isZero[0] = 0;
    this.count = 1;
  }
}
