import { F_FUA, OP_FLUSH, OP_READ, type SeededRandom } from '@mars/brick-core';
import type { Weighted } from './load-params.js';

/** Piece of a large span that is touched as a whole, bytes; no request is longer. */
export const WINDOW_BYTES = 2 ** 20;

/** What weights and shares are scaled to. */
const WHOLE = 2 ** 30;

export interface WorkloadOptions {
  ops: readonly Weighted[];
  sizes: readonly Weighted[];
  startBytes: number;
  spanBytes: number;
  alignBytes: number;
  isSequential: boolean;
  /** 0 … 1 */
  fuaShare: number;
  /** Touch only that many windows, spread evenly over the span; 0 = all of it. */
  windows: number;
}

/**
 * The endless sequence of requests: depends on the seed and the options, on nothing else; in particular not on when or how
 * earlier requests were answered.
 *
 * A span that is too large to be remembered is thinned out: windows of 1 MiB, evenly spread from its start to its end.
 */
export class Workload {
  op = OP_READ;
  flags = 0;
  pos = 0.5;
  len = 0;
  private readonly ops: Int32Array;
  private readonly sizes: Int32Array;
  private readonly fuaShare: number;
  /** Bytes that are touched, without the gaps between windows. */
  private readonly denseBytes: number;
  private readonly spanWindows: number;
  private cursor = 0.5;

  constructor(
    private readonly options: WorkloadOptions,
    private readonly random: SeededRandom,
  ) {
    this.ops = cumulate(options.ops);
    this.sizes = cumulate(options.sizes);
    this.fuaShare = Math.round(options.fuaShare * WHOLE);
    this.spanWindows = Math.floor(options.spanBytes / WINDOW_BYTES);
    this.denseBytes = options.windows > 0 ? options.windows * WINDOW_BYTES : options.spanBytes;
    this.pos = this.cursor = 0;
  }

  /** Fills `op`, `flags`, `pos` and `len` with the next request. */
  draw(): void {
    const { options, random } = this;
    this.op = options.ops[pick(this.ops, random)]!.value;
    this.len = options.sizes[pick(this.sizes, random)]!.value;
    if (options.isSequential) this.step();
    else this.jump();
    const isFua = this.fuaShare > 0 && random.int(WHOLE) < this.fuaShare;
    this.flags = isFua && this.op !== OP_READ && this.op !== OP_FLUSH ? F_FUA : 0;
    if (this.op === OP_FLUSH) this.pos = this.len = 0;
  }

  private jump(): void {
    const { startBytes, alignBytes, spanBytes, windows } = this.options;
    const roomBytes = windows > 0 ? WINDOW_BYTES : spanBytes;
    const units = Math.floor((roomBytes - this.len) / alignBytes) + 1;
    this.pos = startBytes + this.uniform(units) * alignBytes;
    if (windows > 0) this.pos += this.windowStart(this.uniform(windows));
  }

  /** Sequential: from where the last one ended, over and over again. A flush does not move. */
  private step(): void {
    if (this.op === OP_FLUSH) return;
    const { startBytes, alignBytes, windows } = this.options;
    const inWindow = this.cursor % WINDOW_BYTES;
    if (windows > 0 && inWindow + this.len > WINDOW_BYTES) this.cursor += WINDOW_BYTES - inWindow;
    if (this.cursor + this.len > this.denseBytes) this.cursor = 0;
    const at = this.cursor;
    this.cursor += Math.ceil(this.len / alignBytes) * alignBytes;
    if (windows === 0) this.pos = startBytes + at;
    else this.pos = startBytes + this.windowStart(Math.floor(at / WINDOW_BYTES)) + (at % WINDOW_BYTES);
  }

  private windowStart(nr: number): number {
    return Math.floor((nr * this.spanWindows) / this.options.windows) * WINDOW_BYTES;
  }

  /** Uniform integer below `below`, which may be larger than the 2^32 that one draw can tell apart. */
  private uniform(below: number): number {
    if (below <= 2 ** 32) return this.random.int(below);
    return Math.floor(((this.random.int(2 ** 21) * 2 ** 32 + this.random.int(2 ** 32)) / 2 ** 53) * below);
  }
}

// Small integers, not shares from 0 to 1: a double that a function returns may be boxed (bricks.md 5.3 rule 8).
function cumulate(choices: readonly Weighted[]): Int32Array {
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  return Int32Array.from(choices, ({ weight }) => Math.round(((sum += weight) / total) * WHOLE));
}

function pick(cumulated: Int32Array, random: SeededRandom): number {
  const last = cumulated.length - 1;
  if (last === 0) return 0;
  const at = random.int(WHOLE);
  let i = 0;
  while (i < last && cumulated[i]! <= at) i++;
  return i;
}
