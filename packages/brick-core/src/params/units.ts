/**
 * Sizes and durations as people write them: `64M`, `20ms`. K M G T are powers of 1024.
 * Source: decided.md, *Stacks*.
 */
export type Unit = 'ms' | 'bytes' | 'bytes/s' | 'percent';

const BYTES: Readonly<Record<string, number>> = { '': 1, B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const MILLISECONDS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** How a value of that unit is written, for error texts. */
export const UNIT_HELP: Readonly<Record<Unit, string>> = {
  ms: 'a duration like 250us, 20ms, 5s, 2m or 1h',
  bytes: 'a size like 4096, 64K, 16M or 2G',
  'bytes/s': 'a rate like 64K or 200M (bytes per second)',
  percent: 'a share like 20%',
};

/**
 * The plain number behind a value with a unit: milliseconds, bytes, bytes per second, or percent points.
 * @returns `undefined` when it cannot be read as that unit
 */
export function parseUnit(value: unknown, unit: Unit): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && (unit !== 'ms' || value === 0) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*(us|ms|[smhd]|[BKMGT]|[KMGT]iB|%|)$/.exec(value.trim());
  if (match === null) return undefined;
  const amount = Number(match[1]);
  const suffix = match[2]!.replace('iB', '');
  if (unit === 'percent') return suffix === '%' || suffix === '' ? amount : undefined;
  if (unit === 'ms')
    return suffix === '' && amount !== 0 ? undefined : scale(amount, MILLISECONDS[suffix === '' ? 'ms' : suffix]);
  const bytes = scale(amount, BYTES[suffix]);
  return bytes === undefined ? undefined : Math.round(bytes);
}

/** Shortest way to write a number of that unit: 67108864 → `64M`, 1500 → `1.5s`. Exact: reading it back gives the same. */
export function formatUnit(value: number, unit: Unit): string {
  if (unit === 'percent') return `${value}%`;
  if (unit === 'ms') return formatWith(value, MILLISECONDS, 'ms');
  return formatWith(value, BYTES, '');
}

function scale(amount: number, factor: number | undefined): number | undefined {
  return factor === undefined ? undefined : amount * factor;
}

function formatWith(value: number, units: Readonly<Record<string, number>>, zero: string): string {
  if (value === 0) return `0${zero}`;
  const best = Object.entries(units)
    .filter(([suffix, factor]) => suffix !== 'B' && Number.isInteger((value / factor) * 10))
    .at(-1);
  return best === undefined ? String(value) + zero : `${value / best[1]}${best[0]}`;
}
