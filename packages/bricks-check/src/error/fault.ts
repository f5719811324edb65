import {
  EIO,
  ErrorCode,
  MarsError,
  errnoByName,
  parseUnit,
  type Counter,
  type ParamSchema,
  type XioObject,
} from '@mars/brick-core';
import type { Chance } from './chance.js';

/** What a stack file says about one operation. */
export interface FaultParams {
  rate: number;
  errno: string;
  after: number;
  count: number;
  range?: string;
  applied: boolean;
}

const SIZE = '\\d+(\\.\\d+)?[KMGT]?';

export function faultSchema(ops: string): ParamSchema {
  return {
    type: 'object',
    default: {},
    about: `errors of ${ops}`,
    properties: {
      rate: { type: 'number', minimum: 0, maximum: 1, default: 0, about: 'share of the requests that fail' },
      errno: { type: 'string', format: 'errno', default: 'EIO', about: 'the error that they fail with' },
      after: { type: 'integer', minimum: 0, default: 0, about: 'that many requests pass first' },
      count: { type: 'integer', minimum: 0, default: 0, about: 'that many errors at most; 0 = no end' },
      range: {
        type: 'string',
        pattern: `^${SIZE}-(${SIZE})?$`,
        about: 'only requests that touch these bytes, like "1M-2M" or "1M-"',
      },
      applied: { type: 'boolean', default: false, about: 'the request is carried out, only its answer is an error' },
    },
  };
}

/** Decides which requests of one operation fail. */
export class Fault {
  /** Carry the request out, and answer an error nevertheless. */
  applied = false;
  /** The negative errno. */
  err = -EIO;
  private after = 0;
  private count = 0;
  // Positions: doubles for good (bricks.md 5.3 rule 8).
  private fromBytes = 0.5;
  private toBytes = 0.5;
  private seen = 0;
  private struck = 0;

  constructor(
    private readonly chance: Chance,
    private readonly injected: Counter,
  ) {}

  /**
   * New parameters; `after` and `count` count anew.
   * @throws MarsError BAD_PARAMETER when the range is empty
   */
  configure(params: FaultParams): void {
    [this.fromBytes, this.toBytes] = rangeOf(params.range);
    this.chance.rate = params.rate;
    this.after = params.after;
    this.count = params.count;
    this.applied = params.applied;
    this.err = -errnoByName(params.errno)!;
    this.seen = this.struck = 0;
  }

  /** Does this request fail? */
  strikes(o: XioObject): boolean {
    if (!this.touches(o)) return false;
    if (++this.seen <= this.after || (this.count > 0 && this.struck >= this.count)) return false;
    if (!this.chance.happens()) return false;
    this.struck++;
    this.injected.n++;
    return true;
  }

  /** A FLUSH has no range, so no range lets it out. */
  private touches(o: XioObject): boolean {
    return o.len === 0 || (o.pos < this.toBytes && o.pos + o.len > this.fromBytes);
  }
}

/** First byte and the byte behind the last one; everything when nothing is said. */
function rangeOf(range: string | undefined): [number, number] {
  if (range === undefined) return [0, Infinity];
  const [from, to] = range.split('-');
  const fromBytes = parseUnit(from, 'bytes')!;
  const toBytes = to === '' ? Infinity : parseUnit(to, 'bytes')!;
  if (fromBytes >= toBytes) {
    throw new MarsError(ErrorCode.BAD_PARAMETER, `range "${range}" is empty`, {
      hint: 'Write first byte, hyphen, first byte behind it: "1M-2M", or "1M-" for everything from there on.',
    });
  }
  return [fromBytes, toBytes];
}
