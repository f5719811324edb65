import { OP_NAMES, errnoName, type XioObject } from '@mars/brick-core';

/** One request as plain data. */
export interface TraceEntry {
  op: string;
  posBytes: number;
  /** As it was sent. */
  lenBytes: number;
  flags: number;
  /** `ok`, the name of an errno, or `under way`. */
  result: string;
  /** Slot and generation name one request of this loop, for comparison with other traces. */
  slot: number;
  generation: number;
  /** Requests that were under way at this place when it was sent. */
  depth: number;
  /** Loop microseconds. */
  issuedUs: number;
  tookUs: number;
}

/** The last answered requests in flat arrays. */
export class TraceRing {
  /** Times of the request that {@link add} is called for (fields: as arguments they would be boxed). */
  issuedUs = 0.5;
  doneUs = 0.5;
  private readonly issued: Float64Array;
  private readonly done: Float64Array;
  private readonly pos: Float64Array;
  private readonly generations: Float64Array;
  private readonly ops: Int32Array;
  private readonly lens: Int32Array;
  private readonly flags: Int32Array;
  private readonly errs: Int32Array;
  private readonly slots: Int32Array;
  private readonly depths: Int32Array;
  /** Where the next entry goes. */
  private at = 0;
  private filled = 0;

  constructor(private readonly size: number) {
    this.issued = new Float64Array(size);
    this.done = new Float64Array(size);
    this.pos = new Float64Array(size);
    this.generations = new Float64Array(size);
    this.ops = new Int32Array(size);
    this.lens = new Int32Array(size);
    this.flags = new Int32Array(size);
    this.errs = new Int32Array(size);
    this.slots = new Int32Array(size);
    this.depths = new Int32Array(size);
    this.issuedUs = this.doneUs = 0;
  }

  add(o: XioObject, len: number, depth: number): void {
    const { at } = this;
    this.issued[at] = this.issuedUs;
    this.done[at] = this.doneUs;
    this.pos[at] = o.pos;
    this.generations[at] = o.generation;
    this.ops[at] = o.op;
    this.lens[at] = len;
    this.flags[at] = o.flags;
    this.errs[at] = o.err;
    this.slots[at] = o.slot;
    this.depths[at] = depth;
    this.at = at + 1 === this.size ? 0 : at + 1;
    if (this.filled < this.size) this.filled++;
  }

  /** The last `count` entries, newest last. */
  last(count: number): TraceEntry[] {
    const wanted = Math.min(count, this.filled);
    return Array.from({ length: wanted }, (_, k) => this.entry((this.at - wanted + k + this.size) % this.size));
  }

  private entry(at: number): TraceEntry {
    const op = this.ops[at]!;
    const err = this.errs[at]!;
    return {
      op: OP_NAMES[op] ?? String(op),
      posBytes: this.pos[at]!,
      lenBytes: this.lens[at]!,
      flags: this.flags[at]!,
      result: err < 0 ? errnoName(err) : 'ok',
      slot: this.slots[at]!,
      generation: this.generations[at]!,
      depth: this.depths[at]!,
      issuedUs: this.issued[at]!,
      tookUs: this.done[at]! - this.issued[at]!,
    };
  }
}
