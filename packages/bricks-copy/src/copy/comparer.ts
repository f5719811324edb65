import {
  CAP_DIGEST_SHA256,
  CAP_DIGEST_XXH3,
  DIGESTS_PAYLOAD_BYTES,
  DIGEST_BYTES,
  F_DIGEST_SHA256,
  F_DIGEST_XXH3,
  OP_DIGESTS,
  spanFlags,
  type BrickContext,
  type Completer,
  type Digests,
  type ObjectOwner,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { BLOCK_BYTES, type Chunk } from './chunk.js';
import { COARSE_LOG2, FINE_LOG2 } from '../limits.js';

/** One comparison under way: the same range of both sides. */
export class Pair {
  chunk: Chunk | null = null;
  source: XioObject | null = null;
  target: XioObject | null = null;
  pos = 0.5;
  len = 0;
  log2 = 0;
  /** Answers that are missing. */
  waiting = 0;
  /** First error of both. */
  err = 0;
  /** An answer was shorter than asked for. */
  isShort = false;
}

const COARSE_BYTES = 2 ** COARSE_LOG2;

/** Which algorithm both sides have; 0 = none. */
export function chooseDigest(wanted: 'auto' | 'xxh3' | 'sha256', sourceCaps: number, targetCaps: number): number {
  const both = sourceCaps & targetCaps;
  if (wanted !== 'sha256' && both & CAP_DIGEST_XXH3) return F_DIGEST_XXH3;
  if (wanted !== 'xxh3' && both & CAP_DIGEST_SHA256) return F_DIGEST_SHA256;
  return 0;
}

/**
 * Compares ranges of source and target by digests that are computed where the data is. A side that is known to be zero is not asked.
 * Source: transaction-log.md 4.4 [OURS]
 */
export class Comparer {
  private readonly free: Pair[] = [];
  private algorithm = 0;
  /** Digests of zeroes: of one coarse span, and of one fine one. */
  private readonly zeroCoarse = new Uint8Array(DIGEST_BYTES);
  private readonly zeroFine = new Uint8Array(DIGEST_BYTES);
  private canSkipZeroes = false;

  constructor(
    private readonly source: XioInput,
    private readonly target: XioInput,
    private readonly owner: ObjectOwner,
    private readonly ctx: BrickContext,
    private readonly completer: Completer,
    private readonly digests: Digests,
    private readonly prio: number,
  ) {}

  use(algorithm: number): void {
    this.algorithm = algorithm;
    this.canSkipZeroes = (this.digests.caps & algorithm) !== 0;
    if (!this.canSkipZeroes) return;
    const zeroes = new Uint8Array(COARSE_BYTES + DIGEST_BYTES);
    this.digests.compute(algorithm, zeroes, 0, COARSE_BYTES, COARSE_BYTES);
    this.zeroCoarse.set(zeroes.subarray(COARSE_BYTES));
    this.digests.compute(algorithm, zeroes, 0, BLOCK_BYTES, COARSE_BYTES);
    this.zeroFine.set(zeroes.subarray(COARSE_BYTES));
  }

  /** @returns false when there is no object for it now */
  compare(chunk: Chunk, pos: number, len: number, log2: number): boolean {
    // The digest of zeroes is known for whole spans only.
    const isWhole = this.canSkipZeroes && len % 2 ** log2 === 0;
    const source = chunk.isSourceZero && isWhole ? null : this.ctx.pool.take(this.owner, DIGESTS_PAYLOAD_BYTES);
    const target = chunk.isTargetZero && isWhole ? null : this.ctx.pool.take(this.owner, DIGESTS_PAYLOAD_BYTES);
    const lacksSource = source === null && !(chunk.isSourceZero && isWhole);
    const lacksTarget = target === null && !(chunk.isTargetZero && isWhole);
    if (lacksSource || lacksTarget) {
      if (source !== null) this.ctx.pool.free(source);
      if (target !== null) this.ctx.pool.free(target);
      return false;
    }
    const pair = this.free.pop() ?? new Pair();
    pair.chunk = chunk;
    pair.source = source;
    pair.target = target;
    pair.pos = pos;
    pair.len = len;
    pair.log2 = log2;
    pair.err = 0;
    pair.isShort = false;
    pair.waiting = (source === null ? 0 : 1) + (target === null ? 0 : 1);
    chunk.flying += pair.waiting;
    if (source !== null) this.send(pair, source, this.source);
    if (target !== null) this.send(pair, target, this.target);
    return true;
  }

  private send(pair: Pair, o: XioObject, input: XioInput): void {
    o.op = OP_DIGESTS;
    o.flags = this.algorithm | spanFlags(pair.log2);
    o.prio = this.prio;
    o.pos = pair.pos;
    o.len = pair.len;
    o.aspects[this.ctx.slot] = pair;
    o.push(this.completer);
    input.io(o);
  }

  /** In the completer. @returns the pair when both answers are there, for {@link evaluate} or {@link discard} */
  answered(o: XioObject): Pair | null {
    const pair = o.aspects[this.ctx.slot] as Pair;
    pair.chunk!.flying--;
    if (o.err < 0) pair.err ||= o.err;
    else if (o.len < Math.ceil(pair.len / 2 ** pair.log2) * DIGEST_BYTES) pair.isShort = true;
    return --pair.waiting === 0 ? pair : null;
  }

  /** Marks what differs: blocks after a fine comparison, all blocks of a span after a coarse one. Frees the pair. */
  evaluate(pair: Pair, differs: (chunk: Chunk, pos: number, len: number, isFine: boolean) => void): void {
    const { chunk, source, target, pos, len, log2 } = pair;
    const span = 2 ** log2;
    const { u8 } = this.ctx.mem;
    const zero = log2 === FINE_LOG2 ? this.zeroFine : this.zeroCoarse;
    for (let at = 0, i = 0; at < len; at += span, i += DIGEST_BYTES) {
      const isEqual = sameDigest(
        source === null ? zero : u8,
        source === null ? 0 : source.buf + i,
        target === null ? zero : u8,
        target === null ? 0 : target.buf + i,
      );
      if (!isEqual) differs(chunk!, pos + at, Math.min(span, len - at), log2 === FINE_LOG2);
    }
    this.discard(pair);
  }

  discard(pair: Pair): void {
    const { pool } = this.ctx;
    for (const o of [pair.source, pair.target]) {
      if (o === null) continue;
      o.aspects[this.ctx.slot] = undefined;
      pool.free(o);
    }
    pair.chunk = pair.source = pair.target = null;
    this.free.push(pair);
  }
}

function sameDigest(one: Uint8Array, oneAt: number, other: Uint8Array, otherAt: number): boolean {
  for (let i = 0; i < DIGEST_BYTES; i++) if (one[oneAt + i] !== other[otherAt + i]) return false;
  return true;
}
