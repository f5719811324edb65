import { invariant } from '../invariant.js';
import { MAX_STATS_PER_BRICK } from '../limits.js';

/** A number that a brick counts up on the hot path. */
export class Counter {
  n = 0;
}

/** Buckets of a histogram: powers of two from 1 µs upward (bricks.md 1.10). */
export const HISTOGRAM_BUCKETS = 24;

/** Latency distribution in powers of two, microseconds. `add` allocates nothing. */
export class Histogram {
  readonly buckets = new Float64Array(HISTOGRAM_BUCKETS);
  count = 0;
  sumUs = 0.5;
  maxUs = 0.5;

  constructor() {
    this.reset();
  }

  add(us: number): void {
    const bucket = us < 1 ? 0 : 31 - Math.clz32(us);
    this.buckets[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1]!++;
    this.count++;
    this.sumUs += us;
    if (us > this.maxUs) this.maxUs = us;
  }

  /** Upper bound of the bucket in which the given share (0 … 1) of all values is reached, µs; 0 when empty. */
  quantileUs(share: number): number {
    if (this.count === 0) return 0;
    let seen = 0;
    for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
      seen += this.buckets[i]!;
      if (seen >= share * this.count) return Math.min(2 ** (i + 1), this.maxUs);
    }
    return this.maxUs;
  }

  reset(): void {
    this.buckets.fill(0);
    this.count = 0;
    this.sumUs = 0;
    this.maxUs = 0;
  }
}

/** A histogram as plain data. */
export interface HistogramSummary {
  count: number;
  meanUs: number;
  p50Us: number;
  p99Us: number;
  maxUs: number;
  /** Count per power of two, trailing zeroes cut off. */
  buckets: number[];
}

/** Everything that a brick counts and publishes, as plain data. */
export interface BrickStats {
  counters: Record<string, number>;
  histograms: Record<string, HistogramSummary>;
  facts: Record<string, string | number | boolean>;
}

/** The named counters, histograms and facts of one brick. */
export class StatsRegistry {
  private readonly counters = new Map<string, Counter>();
  private readonly histograms = new Map<string, Histogram>();
  private readonly facts = new Map<string, string | number | boolean>();

  counter(name: string): Counter {
    return this.named(this.counters, name, () => new Counter());
  }

  histogram(name: string): Histogram {
    return this.named(this.histograms, name, () => new Histogram());
  }

  /** @returns true when the value is new */
  publish(name: string, value: string | number | boolean): boolean {
    if (this.facts.get(name) === value) return false;
    this.facts.set(name, value);
    return true;
  }

  fact(name: string): string | number | boolean | undefined {
    return this.facts.get(name) ?? this.counters.get(name)?.n;
  }

  reset(): void {
    for (const counter of this.counters.values()) counter.n = 0;
    for (const histogram of this.histograms.values()) histogram.reset();
  }

  snapshot(): BrickStats {
    return {
      counters: Object.fromEntries([...this.counters].map(([name, counter]) => [name, counter.n])),
      histograms: Object.fromEntries([...this.histograms].map(([name, histogram]) => [name, summarize(histogram)])),
      facts: Object.fromEntries(this.facts),
    };
  }

  private named<T>(map: Map<string, T>, name: string, make: () => T): T {
    let found = map.get(name);
    if (found === undefined) {
      invariant(map.size < MAX_STATS_PER_BRICK, 'a brick names more statistics than MAX_STATS_PER_BRICK');
      map.set(name, (found = make()));
    }
    return found;
  }
}

function summarize(histogram: Histogram): HistogramSummary {
  const last = histogram.buckets.findLastIndex((n) => n > 0);
  return {
    count: histogram.count,
    meanUs: histogram.count === 0 ? 0 : histogram.sumUs / histogram.count,
    p50Us: histogram.quantileUs(0.5),
    p99Us: histogram.quantileUs(0.99),
    maxUs: histogram.maxUs,
    buckets: [...histogram.buckets.slice(0, last + 1)],
  };
}
