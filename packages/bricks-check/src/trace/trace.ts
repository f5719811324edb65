import { Brick, FilterBrick, OP_NAMES, type Counter, type ParamsSchema, type XioObject } from '@mars/brick-core';
import { MAX_SLOW_REPORTS_PER_SECOND, MAX_TRACE_ENTRIES } from '../limits.js';
import { InFlight } from '../verify/in-flight.js';
import { TraceRing, type TraceEntry } from './trace-ring.js';

const traceParams: ParamsSchema = {
  properties: {
    ring: {
      type: 'integer',
      default: 1024,
      minimum: 1,
      maximum: MAX_TRACE_ENTRIES,
      about: 'requests that are remembered',
    },
    slowerThan: { unit: 'ms', default: 0, about: 'log requests that took longer; 0 = none' },
    dump: {
      type: 'integer',
      default: 0,
      minimum: 0,
      about: 'set it: the last so many requests are logged, and what is under way',
    },
  },
};

const SECOND_US = 1e6;

/**
 * Remembers the last requests with their times, for the moment when something has gone wrong. Changes nothing, and
 * allocates nothing while it remembers.
 */
@Brick({
  type: 'trace',
  about: 'Ring of the last requests with times; logs slow ones.',
  inputs: { next: {} },
  ops: 'all',
  params: traceParams,
  live: ['slowerThan', 'dump'],
})
export class TraceBrick extends FilterBrick {
  private ring!: TraceRing;
  private flying!: InFlight;
  private readonly requests: (XioObject | null)[] = [];
  /** Requests under way when this one was sent, and its length then, by slot. */
  private depths!: Int32Array;
  private lens!: Int32Array;
  private slowerThanUs = 0;
  private slow!: Counter;
  private passed!: Counter;
  /** Second in which `reportsInSecond` were logged. */
  private secondUs = 0.5;
  private reportsInSecond = 0;

  protected override attached(): void {
    const { params, pool } = this.ctx;
    this.ring = new TraceRing(params.ring as number);
    this.flying = new InFlight(pool.size);
    for (let slot = 0; slot < pool.size; slot++) this.requests.push(null);
    this.depths = new Int32Array(pool.size);
    this.lens = new Int32Array(pool.size);
    this.slow = this.ctx.counter('slow');
    this.passed = this.ctx.counter('requests');
    this.secondUs = 0;
    this.slowerThanUs = (params.slowerThan as number) * 1000;
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name === 'slowerThan') this.slowerThanUs = (value as number) * 1000;
    else this.dump(value as number);
  }

  /** The last answered requests, newest last. Cold path; plain data for `mars-stack ctl`. */
  last(count: number): TraceEntry[] {
    return this.ring.last(count);
  }

  /** What is under way now, oldest first. Cold path. */
  underWay(): TraceEntry[] {
    const found: TraceEntry[] = [];
    for (let slot = this.flying.head; slot >= 0; slot = this.flying.next[slot]!)
      found.push(this.entryOf(this.requests[slot]!));
    return found;
  }

  override io(o: XioObject): void {
    const { slot } = o;
    const { flying } = this;
    flying.sinceUs[slot] = this.ctx.loop.nowUs;
    this.depths[slot] = flying.count;
    this.lens[slot] = o.len;
    this.requests[slot] = o;
    flying.enter(slot);
    o.push(this);
    this.next.io(o);
  }

  override complete(o: XioObject): void {
    const { slot } = o;
    const { ring, flying } = this;
    flying.leave(slot);
    this.requests[slot] = null;
    this.passed.n++;
    ring.issuedUs = flying.sinceUs[slot]!;
    ring.doneUs = this.ctx.loop.nowUs;
    ring.add(o, this.lens[slot]!, this.depths[slot]!);
    if (this.slowerThanUs > 0 && ring.doneUs - ring.issuedUs > this.slowerThanUs) this.noteSlow();
    o.done(o.err);
  }

  /** Counted always, logged a few times per second. */
  private noteSlow(): void {
    this.slow.n++;
    const now = this.ctx.loop.nowUs;
    if (now - this.secondUs >= SECOND_US) {
      this.secondUs = now;
      this.reportsInSecond = 0;
    }
    if (this.reportsInSecond++ >= MAX_SLOW_REPORTS_PER_SECOND) return;
    this.ctx.log.warn({ ...this.ring.last(1)[0], underWay: this.flying.count }, 'slow request');
  }

  private dump(count: number): void {
    for (const entry of this.last(count)) this.ctx.log.info({ ...entry }, 'traced request');
    for (const entry of this.underWay().slice(0, count)) this.ctx.log.info({ ...entry }, 'request under way');
  }

  private entryOf(o: XioObject): TraceEntry {
    const { slot } = o;
    return {
      op: OP_NAMES[o.op] ?? String(o.op),
      posBytes: o.pos,
      lenBytes: this.lens[slot]!,
      flags: o.flags,
      result: 'under way',
      slot,
      generation: o.generation,
      depth: this.depths[slot]!,
      issuedUs: this.flying.sinceUs[slot]!,
      tookUs: this.ctx.loop.nowUs - this.flying.sinceUs[slot]!,
    };
  }
}
