import {
  ErrorCode,
  MarsError,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  errnoByName,
  parseUnit,
  type ParamsSchema,
} from '@mars/brick-core';
import { MAX_LOAD_DEPTH } from '../limits.js';

export const loadParams: ParamsSchema = {
  properties: {
    depth: { type: 'integer', default: 16, minimum: 1, maximum: MAX_LOAD_DEPTH, about: 'requests under way at a time' },
    mix: {
      type: 'string',
      default: '70r/30w',
      about: 'shares of reads, writes, flushes, trims and zeroes: "70r/28w/2f"',
    },
    sizes: { default: [4096], about: 'lengths: a list of sizes, or sizes with weights like { 4K: 70, 64K: 30 }' },
    start: { unit: 'bytes', default: 0, about: 'first byte that is touched' },
    span: { unit: 'bytes', default: 0, about: 'bytes that are touched from start on; 0 = up to the end' },
    align: { unit: 'bytes', default: 0, about: 'positions are multiples of this; 0 = the smallest of sizes' },
    access: { type: 'string', enum: ['random', 'sequential'], default: 'random', about: 'order of the positions' },
    overlap: {
      type: 'boolean',
      default: true,
      about: 'may requests that touch the same sectors be under way together',
    },
    rate: { type: 'number', default: 0, minimum: 0, about: 'requests per second; 0 = as fast as possible' },
    count: { type: 'integer', default: 0, minimum: 0, about: 'requests until it finishes; 0 = no end' },
    duration: { unit: 'ms', default: 0, about: 'time until it finishes; 0 = no end' },
    fua: { unit: 'percent', default: 0, about: 'share of the writes, trims and zeroes that are durable when answered' },
    verify: { type: 'boolean', default: false, about: 'fill and check the contents of every sector' },
    readback: { type: 'boolean', default: true, about: 'with verify: at the end, read everything that was written' },
    seed: { type: 'integer', default: 1, about: 'same seed, same sequence of requests' },
    expect: {
      type: 'array',
      items: { type: 'string', format: 'errno' },
      default: [],
      about: 'errors from below that are no failure',
    },
    onFailure: { type: 'string', enum: ['stop', 'continue'], default: 'stop', about: 'what a failure does to the run' },
    afterCut: {
      type: 'string',
      enum: ['fail', 'durable'],
      default: 'fail',
      about: 'durable: after a power cut below, check that everything flushed is there, and go on',
    },
    cutErrors: {
      type: 'array',
      items: { type: 'string', format: 'errno' },
      default: ['ESHUTDOWN', 'ENODEV'],
      about: 'errors that mean a power cut below',
    },
    cutRetry: { unit: 'ms', default: '100ms', about: 'pause before the next attempt after a power cut' },
  },
};

/** One choice among several, with its weight. */
export interface Weighted {
  readonly value: number;
  readonly weight: number;
}

const OP_LETTERS: Readonly<Record<string, number>> = { r: OP_READ, w: OP_WRITE, f: OP_FLUSH, t: OP_TRIM, z: OP_ZERO };

/**
 * `"70r/28w/2f"`: weights of operations; they need not add up to 100.
 * @throws MarsError BAD_PARAMETER
 */
export function parseMix(mix: string): Weighted[] {
  const shares = mix.split('/').map((part) => {
    const match = /^(\d+(?:\.\d+)?)([rwftz])$/.exec(part.trim());
    if (match === null)
      throw badParameter('mix', `"${part}" is no share`, 'Write shares like "70r/28w/2f"; letters: r w f t z.');
    return { value: OP_LETTERS[match[2]!]!, weight: Number(match[1]) };
  });
  if (shares.every(({ weight }) => weight === 0))
    throw badParameter('mix', 'every share is 0', 'Give one of them a weight.');
  return shares;
}

/**
 * `[512, '4K']` or `{ '4K': 70, '64K': 30 }`: request lengths in bytes.
 * @throws MarsError BAD_PARAMETER
 */
export function parseSizes(sizes: unknown, maxBytes: number): Weighted[] {
  const hint = 'Write a list of sizes like [512, 4K], or sizes with weights like { 4K: 70, 64K: 30 }.';
  const pairs: [unknown, unknown][] = Array.isArray(sizes)
    ? sizes.map((size): [unknown, unknown] => [size, 1])
    : typeof sizes === 'object' && sizes !== null
      ? Object.entries(sizes)
      : [[sizes, 1]];
  if (pairs.length === 0) throw badParameter('sizes', 'it is empty', hint);
  return pairs.map(([size, weight]) => {
    const value = parseUnit(size, 'bytes');
    if (value === undefined || value < 1 || typeof weight !== 'number' || !(weight > 0)) {
      throw badParameter('sizes', `${JSON.stringify(size)} with weight ${JSON.stringify(weight)} is no size`, hint);
    }
    if (value > maxBytes)
      throw badParameter('sizes', `${value} bytes are too long`, `One request has at most ${maxBytes} bytes.`);
    return { value, weight };
  });
}

/** A table with a 1 for each of these errno names, indexed by the positive number. */
export function errnoTable(names: readonly string[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const name of names) table[errnoByName(name)!] = 1;
  return table;
}

export function badParameter(name: string, what: string, hint: string): MarsError {
  return new MarsError(ErrorCode.BAD_PARAMETER, `load: parameter "${name}": ${what}`, { hint });
}
