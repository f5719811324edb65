import type { BrickStats, HistogramSummary } from '@mars/brick-core';

/** Requests and bytes that went through a stack, as its top bricks counted them; latencies in powers of two. */
export interface Traffic {
  requests: number;
  bytes: number;
  errors: number;
  /** Count per power of two, microseconds. */
  buckets: number[];
}

const REQUEST_COUNTERS: readonly string[] = ['reads', 'writes', 'flushes', 'trims', 'zeroes'];
const BYTE_COUNTERS: readonly string[] = ['bytes_read', 'bytes_written'];

/** Sums the counters of the given bricks; `null` when none of them counts requests. */
export function trafficOf(statistics: Readonly<Record<string, BrickStats>>, bricks: readonly string[]): Traffic | null {
  const counting = bricks
    .map((name) => statistics[name])
    .filter((stats) => stats !== undefined && 'reads' in stats.counters);
  if (counting.length === 0) return null;
  const sum = (names: readonly string[]): number =>
    counting.reduce((total, stats) => total + names.reduce((n, name) => n + (stats!.counters[name] ?? 0), 0), 0);
  const histograms = counting.flatMap((stats) =>
    Object.entries(stats!.histograms).flatMap(([name, h]) => (name.endsWith('_us') ? [h] : [])),
  );
  return {
    requests: sum(REQUEST_COUNTERS),
    bytes: sum(BYTE_COUNTERS),
    errors: sum(['errors']),
    buckets: addBuckets(histograms),
  };
}

/** What happened since `before`. */
export function since(now: Traffic, before: Traffic): Traffic {
  return {
    requests: now.requests - before.requests,
    bytes: now.bytes - before.bytes,
    errors: now.errors - before.errors,
    buckets: now.buckets.map((n, i) => n - (before.buckets[i] ?? 0)),
  };
}

/** Upper bound of the bucket in which this share (0 … 1) of all requests is reached, µs. */
export function quantileUs({ buckets }: Traffic, share: number): number {
  const total = buckets.reduce((sum, n) => sum + n, 0);
  let seen = 0;
  for (const [i, n] of buckets.entries()) {
    seen += n;
    if (total > 0 && seen >= share * total) return 2 ** (i + 1);
  }
  return 0;
}

function addBuckets(histograms: readonly HistogramSummary[]): number[] {
  const length = Math.max(0, ...histograms.map((h) => h.buckets.length));
  return Array.from({ length }, (_, i) => histograms.reduce((sum, h) => sum + (h.buckets[i] ?? 0), 0));
}
