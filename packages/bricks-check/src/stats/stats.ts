import {
  Brick,
  CLOCK,
  FilterBrick,
  OP_COUNT,
  OP_NAMES,
  OP_READ,
  OP_WRITE,
  OP_ZERO,
  OP_TRIM,
  inject,
  type Clock,
  type Counter,
  type Histogram,
  type ParamsSchema,
  type XioObject,
} from '@mars/brick-core';
import { MAX_HEATMAP_CELLS, MAX_TRACKED_STREAMS } from '../limits.js';
import { Heatmap, type HeatmapReport } from './heatmap.js';

const statsParams: ParamsSchema = {
  properties: {
    histogram: { type: 'boolean', default: true, about: 'latencies and sizes as distributions, not only as counters' },
    interval: {
      unit: 'ms',
      default: '10s',
      about: 'how often rates are published as facts while requests flow; 0 = never',
    },
    heatmap: { unit: 'bytes', default: 0, about: 'piece of the device that is counted on its own; 0 = no heatmap' },
  },
};

const COUNTER_NAMES = ['reads', 'writes', 'flushes', 'trims', 'zeroes', 'extents', 'caches'] as const;

/** When a request was passed on. Created once per pooled object. */
class Stamp {
  us = 0.5;
  /** Length as it was sent; a short read changes it. */
  len = 0;
}

/**
 * Counts what passes: requests, bytes, errors, latencies and sizes per operation, how sequential it is, and where on the
 * device it happens. Changes nothing.
 */
@Brick({
  type: 'stats',
  about: 'Counters, latencies, sizes, sequentiality and heat of what passes.',
  inputs: { next: {} },
  ops: 'all',
  params: statsParams,
  live: ['interval'],
})
export class StatsBrick extends FilterBrick {
  private readonly counts: Counter[] = [];
  private readonly latencies: Histogram[] = [];
  private readonly sizes: Histogram[] = [];
  private bytesRead!: Counter;
  private bytesWritten!: Counter;
  private errors!: Counter;
  private sequentialReads!: Counter;
  private sequentialWrites!: Counter;
  private readonly readEnds = new Float64Array(MAX_TRACKED_STREAMS).fill(-1);
  private readonly writeEnds = new Float64Array(MAX_TRACKED_STREAMS).fill(-1);
  private readAt = 0;
  private writeAt = 0;
  private heat: Heatmap | null = null;
  private hasHistograms = true;
  private isMeasuring = false;
  private sinceUs = 0.5;
  private readonly before = new Float64Array(4);

  constructor(@inject(CLOCK) private readonly clock: Clock) {
    super();
  }

  protected override attached(): void {
    const { ctx } = this;
    this.hasHistograms = ctx.params.histogram as boolean;
    for (let op = 0; op < OP_COUNT; op++) {
      this.counts.push(ctx.counter(COUNTER_NAMES[op]!));
      if (this.hasHistograms) this.latencies.push(ctx.histogram(`${OP_NAMES[op]}_us`));
    }
    if (this.hasHistograms) this.sizes.push(ctx.histogram('read_size_bytes'), ctx.histogram('write_size_bytes'));
    this.bytesRead = ctx.counter('bytes_read');
    this.bytesWritten = ctx.counter('bytes_written');
    this.errors = ctx.counter('errors');
    this.sequentialReads = ctx.counter('reads_sequential');
    this.sequentialWrites = ctx.counter('writes_sequential');
    this.sinceUs = 0;
  }

  protected override start(): void {
    const granuleBytes = this.ctx.params.heatmap as number;
    if (granuleBytes === 0 || this.heat !== null) return;
    this.heat = new Heatmap(this.next.cached.size, granuleBytes, MAX_HEATMAP_CELLS);
  }

  /** Where on the device it is hot; `null` without `heatmap`. Cold path, for monitoring. */
  heatmap(): HeatmapReport | null {
    return this.heat === null ? null : this.heat.report();
  }

  override io(o: XioObject): void {
    const stamp = (o.aspects[this.ctx.slot] ??= new Stamp()) as Stamp;
    stamp.us = this.ctx.loop.nowUs;
    stamp.len = o.len;
    if (!this.isMeasuring) this.measure();
    if (o.op === OP_READ) this.noteRead(o);
    else if (o.op === OP_WRITE) this.noteWrite(o);
    o.push(this);
    this.next.io(o);
  }

  override complete(o: XioObject): void {
    if (o.op < OP_COUNT) this.count(o);
    o.done(o.err);
  }

  private count(o: XioObject): void {
    const stamp = o.aspects[this.ctx.slot] as Stamp;
    this.counts[o.op]!.n++;
    if (this.hasHistograms) this.latencies[o.op]!.add(this.ctx.loop.nowUs - stamp.us);
    if (o.err < 0) this.errors.n++;
    else if (o.op === OP_READ) this.bytesRead.n += o.len;
    else if (o.op === OP_WRITE) this.bytesWritten.n += o.len;
    if (this.heat !== null && (o.op === OP_READ || o.op === OP_WRITE || o.op === OP_ZERO || o.op === OP_TRIM)) {
      this.heat.add(o, stamp.len);
    }
  }

  private noteRead(o: XioObject): void {
    if (this.hasHistograms) this.sizes[0]!.add(o.len);
    const stream = streamOf(this.readEnds, o);
    if (stream >= 0) this.sequentialReads.n++;
    this.readEnds[stream >= 0 ? stream : this.readAt++ % MAX_TRACKED_STREAMS] = o.pos + o.len;
  }

  private noteWrite(o: XioObject): void {
    if (this.hasHistograms) this.sizes[1]!.add(o.len);
    const stream = streamOf(this.writeEnds, o);
    if (stream >= 0) this.sequentialWrites.n++;
    this.writeEnds[stream >= 0 ? stream : this.writeAt++ % MAX_TRACKED_STREAMS] = o.pos + o.len;
  }

  /** Starts one interval; while nothing flows, no timer runs. */
  private measure(): void {
    const intervalMs = this.ctx.params.interval as number;
    if (intervalMs === 0) return;
    this.isMeasuring = true;
    this.sinceUs = this.ctx.loop.nowUs;
    this.before[0] = this.counts[OP_READ]!.n;
    this.before[1] = this.counts[OP_WRITE]!.n;
    this.before[2] = this.bytesRead.n;
    this.before[3] = this.bytesWritten.n;
    this.clock.after(intervalMs, this, publishRates);
  }

  /** The end of an interval. The last one of a burst publishes zeroes, so that old rates do not stand for ever. */
  publishRates(): void {
    this.isMeasuring = false;
    const { ctx, before } = this;
    const perSecond = 1e6 / (ctx.loop.nowUs - this.sinceUs);
    const reads = this.counts[OP_READ]!.n - before[0]!;
    const writes = this.counts[OP_WRITE]!.n - before[1]!;
    ctx.publish('read_iops', Math.round(reads * perSecond));
    ctx.publish('write_iops', Math.round(writes * perSecond));
    ctx.publish('read_bytes_per_s', Math.round((this.bytesRead.n - before[2]!) * perSecond));
    ctx.publish('write_bytes_per_s', Math.round((this.bytesWritten.n - before[3]!) * perSecond));
    ctx.publish('read_sequential_percent', percent(this.sequentialReads.n, this.counts[OP_READ]!.n));
    ctx.publish('write_sequential_percent', percent(this.sequentialWrites.n, this.counts[OP_WRITE]!.n));
    if (this.heat !== null) ctx.publish('hottest_byte', this.heat.hottestByte());
    if (reads + writes > 0 || this.inflight > 0) this.measure();
  }
}

function publishRates(stats: StatsBrick): void {
  stats.publishRates();
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((100 * part) / whole);
}

/** The stream that this request continues, -1 = none. */
function streamOf(ends: Float64Array, o: XioObject): number {
  for (let i = 0; i < ends.length; i++) if (ends[i] === o.pos) return i;
  return -1;
}
