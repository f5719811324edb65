import {
  Brick,
  BrickBase,
  CLOCK,
  MAX_REQUEST_BYTES,
  OP_COUNT,
  OP_FLUSH,
  OP_NAMES,
  OP_READ,
  OP_WRITE,
  RANDOM,
  errnoName,
  inject,
  type Clock,
  type Counter,
  type Histogram,
  type Random,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { MAX_REPORTS } from '../limits.js';
import { InFlight } from '../verify/in-flight.js';
import { errnoTable, loadParams, parseMix, parseSizes } from './load-params.js';
import { planWorkload, type LoadParams } from './load-plan.js';
import { ResultHash } from './result-hash.js';
import { Verifier } from './verifier.js';
import type { Workload } from './workload.js';

/**
 * What the load is doing. `ending` and `cut` issue nothing and wait for what is under way; `readback` reads everything that
 * was written and goes on to `finished`, or, after a power cut, back to `run`.
 */
export type LoadPhase = 'run' | 'ending' | 'cut' | 'pause' | 'readback' | 'finished';

/** Without progress of its own to wait for (no memory, no free object) it looks again after this time, milliseconds. */
const RETRY_MS = 1;
/** A late load catches up at most that much, microseconds; a long stall must not end in a burst. */
const MAX_CATCH_UP_US = 100_000;

/**
 * Generates a seeded workload and, with `verify`, judges every sector that it reads: the top of test stacks, and the
 * benchmark tool. Starts when it is switched on; facts `finished`, `failed` and `hash` tell how it went.
 *
 * `hash` covers request number, operation, flags, position, length, error and (with `verify`) the contents of every request;
 * not time, and not the order of the answers.
 */
@Brick({
  type: 'load',
  about: 'Workload generator that verifies; also the benchmark tool.',
  inputs: { next: { about: 'what is loaded', perm: ['read', 'write'], share: ['read'] } },
  params: loadParams,
  live: ['rate'],
})
export class LoadBrick extends BrickBase {
  private next!: XioInput;
  private phase: LoadPhase = 'run';
  /** Where a readback leads. */
  private afterReadback: 'run' | 'finished' = 'finished';
  private isIssuing = false;
  private isRetryPending = false;
  private hasDrawn = false;
  private hasRun = false;
  /** A failure has ended the run. */
  private isAborted = false;
  /** The time of this round is over. */
  private isTimeUp = false;

  private issuedInRound = 0;
  private dueUs = 0.5;
  private gapUs = 0.5;
  private roundNr = 0;

  private work!: Workload;
  private verifier: Verifier | null = null;
  private flying!: InFlight;
  /** First byte, byte behind the last, and "not a read", of what is under way; by object slot. */
  private starts!: Float64Array;
  private ends!: Float64Array;
  private isWriting!: Uint8Array;
  private seq = 0.5;
  private readonly hash = new ResultHash();
  private expected!: Uint8Array;
  private cutErrors!: Uint8Array;
  private isCutWatched = false;

  private readonly ops: Counter[] = [];
  private readonly latencies: Histogram[] = [];
  private readonly errors: (Counter | undefined)[] = [];
  private bytesRead!: Counter;
  private bytesWritten!: Counter;
  private errorCount!: Counter;
  private failures!: Counter;
  private cuts!: Counter;
  private verified!: Counter;
  private forgotten!: Counter;

  constructor(
    @inject(CLOCK) private readonly clock: Clock,
    @inject(RANDOM) private readonly random: Random,
  ) {
    super();
  }

  protected override attached(): void {
    const { params, pool, mem } = this.ctx;
    this.next = this.input('next');
    this.flying = new InFlight(pool.size);
    this.seq = this.dueUs = this.gapUs = 0;
    // Now, not at the first start: a stack that is only checked must name the mistake too.
    parseSizes(params.sizes, MAX_REQUEST_BYTES);
    parseMix(params.mix as string);
    this.expected = errnoTable(params.expect as string[]);
    this.cutErrors = errnoTable(params.cutErrors as string[]);
    this.isCutWatched = params.afterCut === 'durable';
    // Two runs of the same seed on one disk must not mistake each other's contents for their own.
    const tag = Math.imul((params.seed as number) | 0, 0x9e3779b1) ^ this.random.int(2 ** 32);
    if (params.verify) this.verifier = new Verifier(mem, this.flying, pool.size, tag, this.isCutWatched);
    this.allocate();
    this.setRate(params.rate as number);
  }

  protected override start(): void {
    if (!this.hasRun) this.work = planWorkload(this.ctx.params as unknown as LoadParams, this.next.cached);
    else this.resume();
    this.hasRun = true;
    this.isIssuing = true;
    this.isAborted = this.isTimeUp = false;
    this.ctx.publish('finished', false);
    this.ctx.publish('phase', this.phase);
    this.ctx.publish('failed', this.failures.n > 0);
    this.dueUs = this.ctx.loop.nowUs;
    const round = ++this.roundNr;
    const durationMs = this.ctx.params.duration as number;
    if (durationMs > 0) this.clock.after(durationMs, round, this.timeIsUp);
    this.plug();
  }

  /** Switched on again: goes on where it was; after its end it begins another round. */
  private resume(): void {
    if (this.isCutWatched && this.verifier !== null) this.phase = 'cut';
    else if (this.phase === 'finished' || this.isAborted) {
      this.phase = 'run';
      this.issuedInRound = 0;
    }
  }

  protected override draining(): void {
    this.isIssuing = false;
  }

  protected override stop(): void {
    this.publishResult();
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name === 'rate') this.setRate(value as number);
    this.plug();
  }

  override endBatch(): void {
    this.pump();
  }

  complete(o: XioObject): void {
    this.flying.leave(o.slot);
    this.count(o);
    const isRight = this.verifier === null || this.verifier.completed(o);
    this.hash.seq = this.flying.seq[o.slot]!;
    this.hash.add(o, this.verifier === null ? 0 : this.verifier.digest);
    if (!isRight) this.reportFault();
    if (o.err < 0) this.failed(o);
    this.ctx.pool.free(o);
    this.pump();
  }

  /** Issues as much as may be under way now. */
  private pump(): void {
    if (!this.isIssuing) return;
    const depth = this.ctx.params.depth as number;
    while (this.flying.count < depth) {
      if (!this.hasDrawn && !this.draw()) break;
      if (this.mustWait() || !this.issue()) break;
    }
    if (this.flying.count === 0 && !this.hasDrawn) this.nextPhase();
  }

  /** Prepares the next request. @returns false when the phase has none (any more) */
  private draw(): boolean {
    if (this.phase === 'run') {
      if (this.isEndReached()) this.phase = 'ending';
      else {
        this.work.draw();
        this.hasDrawn = true;
      }
    } else if (this.phase === 'readback') {
      const { verifier, work } = this;
      const { align, maxLen } = this.next.cached;
      if (verifier!.nextReadback(align, maxLen)) {
        work.op = OP_READ;
        work.flags = 0;
        work.pos = verifier!.readbackPos;
        work.len = verifier!.readbackLen;
        this.hasDrawn = true;
      }
    }
    return this.hasDrawn;
  }

  private mustWait(): boolean {
    const { work, verifier } = this;
    if (this.gapUs > 0 && this.phase === 'run' && this.isTooEarly()) return true;
    if (!this.ctx.params.overlap && this.isBlocked()) return true;
    if (verifier === null || work.op === OP_READ || verifier.hasRoomFor(work.len)) return false;
    if (this.flying.count > 0) return true;
    verifier.forgetDoubtful();
    return false;
  }

  private isTooEarly(): boolean {
    const now = this.ctx.loop.nowUs;
    if (this.dueUs < now - MAX_CATCH_UP_US) this.dueUs = now - MAX_CATCH_UP_US;
    if (this.dueUs <= now) return false;
    this.retryIn((this.dueUs - now) / 1000);
    return true;
  }

  /** Does something under way touch the same bytes, so that the order would matter? */
  private isBlocked(): boolean {
    const { flying, work } = this;
    if (work.op === OP_FLUSH) return false;
    for (let slot = flying.head; slot >= 0; slot = flying.next[slot]!) {
      const isApart = this.ends[slot]! <= work.pos || work.pos + work.len <= this.starts[slot]!;
      if (!isApart && (work.op !== OP_READ || this.isWriting[slot] === 1)) return true;
    }
    return false;
  }

  /** @returns false when there is no object or no memory now */
  private issue(): boolean {
    const { work, flying, verifier } = this;
    const hasPayload = work.op === OP_READ || work.op === OP_WRITE;
    const o = this.ctx.pool.take(this, hasPayload ? work.len : 0);
    if (o === null) {
      if (flying.count === 0) this.retryIn(RETRY_MS);
      return false;
    }
    o.op = work.op;
    o.flags = work.flags;
    o.pos = work.pos;
    o.len = work.len;
    this.enter(o);
    if (verifier !== null) {
      verifier.last = this.seq;
      verifier.issued(o);
    }
    this.hasDrawn = false;
    if (this.phase === 'run') {
      this.dueUs += this.gapUs;
      this.issuedInRound++;
    }
    o.push(this);
    this.next.io(o);
    return true;
  }

  private enter(o: XioObject): void {
    const { flying } = this;
    const { slot } = o;
    this.seq++;
    flying.seq[slot] = this.seq;
    flying.sinceUs[slot] = this.ctx.loop.nowUs;
    flying.enter(slot);
    this.starts[slot] = o.pos;
    this.ends[slot] = o.pos + o.len;
    this.isWriting[slot] = o.op === OP_READ ? 0 : 1;
  }

  /** Nothing is under way and nothing is left to issue in this phase. */
  private nextPhase(): void {
    if (this.phase === 'cut') this.survey();
    else if (this.phase === 'readback') this.readbackDone();
    else if (this.phase === 'ending') this.end();
  }

  private end(): void {
    const wantsReadback = this.verifier !== null && (this.ctx.params.readback as boolean) && !this.isAborted;
    if (wantsReadback) this.readback('finished');
    else this.finish();
  }

  private readback(then: 'run' | 'finished'): void {
    this.enterPhase('readback');
    this.afterReadback = then;
    this.verifier!.beginReadback();
    this.plug();
  }

  private readbackDone(): void {
    if (this.afterReadback === 'finished' || this.isAborted) return this.finish();
    this.enterPhase('run');
    this.plug();
  }

  private finish(): void {
    this.enterPhase('finished');
    this.publishResult();
    this.ctx.publish('finished', true);
  }

  /** The power was cut and everything has come back: look again after a pause whether there is power. */
  private survey(): void {
    this.verifier!.cut();
    this.enterPhase('pause');
    this.clock.after(this.ctx.params.cutRetry as number, this.roundNr, this.powerMayBeBack);
  }

  private readonly powerMayBeBack = (round: number): void => {
    if (round !== this.roundNr || this.phase !== 'pause') return;
    this.readback(this.isEndReached() ? 'finished' : 'run');
  };

  private isEndReached(): boolean {
    const count = this.ctx.params.count as number;
    return this.isTimeUp || (count > 0 && this.issuedInRound >= count);
  }

  private readonly timeIsUp = (round: number): void => {
    if (round !== this.roundNr) return;
    this.isTimeUp = true;
    if (this.phase === 'run') this.hasDrawn = false;
    this.plug();
  };

  private enterPhase(phase: LoadPhase): void {
    this.phase = phase;
    this.ctx.publish('phase', phase);
  }

  private retryIn(ms: number): void {
    if (this.isRetryPending) return;
    this.isRetryPending = true;
    this.clock.after(ms, this, retry);
  }

  /** The one timer of {@link retryIn} has come. */
  retryNow(): void {
    this.isRetryPending = false;
    this.pump();
  }

  private count(o: XioObject): void {
    this.ops[o.op]!.n++;
    this.latencies[o.op]!.add(this.ctx.loop.nowUs - this.flying.sinceUs[o.slot]!);
    if (o.err < 0) return;
    if (o.op === OP_READ) this.bytesRead.n += o.len;
    else if (o.op === OP_WRITE) this.bytesWritten.n += o.len;
    if (this.verifier !== null) this.verified.n = this.verifier.judged;
  }

  private failed(o: XioObject): void {
    const errno = -o.err;
    this.errorCount.n++;
    (this.errors[errno] ??= this.ctx.counter(`errors_${errnoName(errno)}`)).n++;
    if (this.isCutWatched && this.verifier !== null && this.cutErrors[errno] === 1) return this.noteCut();
    if (this.expected[errno] === 1) return;
    this.fail(
      'error',
      `${OP_NAMES[o.op]} of ${o.len} bytes at ${o.pos} failed with ${errnoName(errno)}`,
      this.flying.seq[o.slot]!,
    );
  }

  private noteCut(): void {
    if (this.phase === 'cut' || this.isAborted) return;
    this.cuts.n++;
    this.hasDrawn = false;
    this.phase = 'cut';
    this.ctx.log.info({ cuts: this.cuts.n }, 'power cut below; what was flushed will be checked');
  }

  private reportFault(): void {
    const { kind, text, request } = this.verifier!.fault!;
    this.forgotten.n = this.verifier!.forgotten;
    this.fail(kind, text, request);
  }

  private fail(kind: string, text: string, request: number): void {
    if (this.failures.n++ < MAX_REPORTS) this.ctx.log.error({ kind, request, detail: text }, 'load found a failure');
    if (this.failures.n === 1) this.ctx.publish('failure', `${kind}: request ${request}: ${text}`);
    this.ctx.publish('failed', true);
    if (this.ctx.params.onFailure !== 'stop') return;
    this.isAborted = true;
    this.hasDrawn = false;
    this.phase = 'ending';
  }

  private publishResult(): void {
    if (this.verifier !== null) this.forgotten.n = this.verifier.forgotten;
    this.ctx.publish('failed', this.failures.n > 0);
    this.ctx.publish('hash', this.hash.toString());
  }

  private setRate(perSecond: number): void {
    this.gapUs = perSecond > 0 ? 1e6 / perSecond : 0;
  }

  private allocate(): void {
    const { ctx } = this;
    const plural = ['reads', 'writes', 'flushes', 'trims', 'zeroes'];
    for (let op = 0; op < OP_COUNT && op < plural.length; op++) {
      this.ops.push(ctx.counter(plural[op]!));
      this.latencies.push(ctx.histogram(`${OP_NAMES[op]}_us`));
    }
    this.bytesRead = ctx.counter('bytes_read');
    this.bytesWritten = ctx.counter('bytes_written');
    this.errorCount = ctx.counter('errors');
    this.failures = ctx.counter('failures');
    this.cuts = ctx.counter('cuts');
    this.verified = ctx.counter('sectors_verified');
    this.forgotten = ctx.counter('sectors_forgotten');
    this.starts = new Float64Array(ctx.pool.size);
    this.ends = new Float64Array(ctx.pool.size);
    this.isWriting = new Uint8Array(ctx.pool.size);
  }
}

function retry(load: LoadBrick): void {
  load.retryNow();
}
