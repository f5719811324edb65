import { CAP_FLUSH, OP_FLUSH, crashPoint, invariant } from '@mars/brick-core';
import type { Batcher, Completer, XioObject } from '@mars/brick-core';
import { RecordDecoder, type DecodedRecord, type UnverifiedPolicy } from '../../log-format/decode.js';
import { REPLAY_CODE } from '../../log-format/details.js';
import { portableDigestEngine } from '../../log-format/digests.js';
import { CODE_NEW_DATA } from '../../log-format/layout.js';
import { Applier } from './applier.js';
import {
  CAUGHT_UP_REPORT_MS,
  PARALLEL_WRITES,
  POLL_MS_MAX,
  POLL_MS_MIN,
  REPORT_MS,
  RETRY_MS,
  WARNINGS_MAX,
} from './limits.js';
import { LogSource } from './log-source.js';
import { ReplayCounts, type ReplayEnd, type ReplayHost, type ReplayPlan } from './types.js';

/**
 * idle: no run. running: reads, decodes, applies. waiting: at the end of a log that may grow. ending: a code is certain;
 * what was applied is drained, flushed and published first.
 */
export type ReplayState = 'idle' | 'running' | 'waiting' | 'ending';

interface Verdict {
  code: number;
  detail: number;
  byteCode: number;
}

/**
 * Applies the records of one logfile to the data device: recovery of a primary and the daily work of a secondary.
 *
 * ```text
 *  log ──read──> LogSource ──decode──> Applier ──write──> data
 *                                         │ drained at P
 *                                         └──flush──> publish P            every few seconds, and at the end
 * ```
 * - In log order wherever records overlap; otherwise up to `parallel` writes at once (INV-8).
 * - Stops in front of the first record that is not good; what stands behind it is never looked at (INV-13).
 * - P is published only when every record in front of it was written and a flush that began after that has ended (INV-4,
 *   INV-5), so a run may be stopped, killed and repeated anywhere (INV-3).
 * - Nothing is applied that a power cut could take from the log again (INV-7).
 *
 * Built once per brick, in `attached()`; one run at a time. Source: transaction-log.md 3.1, 3.5.
 */
export class Replayer implements Batcher {
  plugged = false;
  readonly counts = new ReplayCounts();
  private state_: ReplayState = 'idle';
  private plan: ReplayPlan | null = null;
  private readonly source: LogSource;
  private readonly applier: Applier;
  private readonly flushStep: Completer;
  private decoder!: RecordDecoder;
  private policy: UnverifiedPolicy = 'accept';
  /** A decoded record that was not placed yet. */
  private held: DecodedRecord | null = null;
  private prevSeq = 0;
  /** End of the last record that was placed or skipped; the next one starts here. */
  private at = 0.5;
  private endPos = 0.5;
  private publishedPos = 0.5;
  private flushingPos = 0.5;
  private isFlushing = false;
  private isReportDue = false;
  private reportedUs = 0.5;
  private verdict: Verdict | null = null;
  private pollMs = POLL_MS_MIN;
  /** Timers of earlier pauses and runs find another number here, and do nothing. */
  private pollNr = 0;
  private run = 0;
  /** The position at which the log had ended when it was looked at last. */
  private caughtUpAt = 0.5;
  private warnings = 0;
  private isRetryArmed = false;
  private whenEnded: (() => void)[] = [];

  constructor(private readonly host: ReplayHost) {
    const wake = (): void => this.wake();
    this.source = new LogSource(host, wake);
    this.applier = new Applier(host, this.counts, wake);
    this.flushStep = host.completer((o) => this.flushed(o));
  }

  get rank(): number {
    return this.host.brick.rank;
  }

  get state(): ReplayState {
    return this.state_;
  }

  /** End of the last record that was applied or is being applied. Ahead of what is published while the run goes on. */
  get current(): number {
    return this.at;
  }

  /** The last published position. */
  get minPos(): number {
    return this.publishedPos;
  }

  /** @returns false when there is no memory now; nothing was started then */
  start(plan: ReplayPlan): boolean {
    invariant(this.state_ === 'idle', 'a replay was started while one is running');
    if (!this.open(plan)) return false;
    this.plan = plan;
    this.at = this.publishedPos = plan.startPos;
    this.endPos = plan.endPos === 0 ? Infinity : plan.endPos;
    this.decoder = new RecordDecoder(plan.engine ?? portableDigestEngine);
    this.policy = plan.unverified === 'never' ? 'refuse' : 'accept';
    this.prevSeq = 0;
    this.verdict = this.held = null;
    this.isReportDue = false;
    this.pollMs = POLL_MS_MIN;
    this.warnings = 0;
    this.counts.clear();
    this.caughtUpAt = -1;
    this.reportedUs = this.host.ctx.loop.nowUs;
    this.state_ = 'running';
    this.run++;
    this.armReport();
    this.wake();
    return true;
  }

  /** Raises (or lowers) the end of the range; 0 = the end of the log. What was applied stays applied. */
  setEnd(endPos: number): void {
    this.endPos = endPos === 0 ? Infinity : endPos;
    this.lookAgain();
  }

  /** The log may have grown: look at once, without waiting for the next poll. */
  lookAgain(): void {
    if (this.state_ !== 'running' && this.state_ !== 'waiting') return;
    this.pollMs = POLL_MS_MIN;
    this.state_ = 'running';
    this.source.lookAgain();
    this.wake();
  }

  /** Drains, flushes, publishes and ends with code 2; resolves when nothing is under way any more. */
  stop(): Promise<void> {
    if (this.state_ === 'idle') return Promise.resolve();
    if (this.verdict === null) this.conclude(REPLAY_CODE.stoppedEarly);
    return new Promise((resolve) => this.whenEnded.push(resolve));
  }

  endBatch(_events: number): void {
    if (this.state_ === 'idle') return;
    if (this.verdict === null && this.applier.err !== 0) this.conclude(this.applier.err);
    if (this.verdict === null && !this.isReportDue) this.apply();
    this.applier.issue();
    if (this.verdict === null) this.source.pump(this.at, this.endPos, this.held === null);
    this.settle();
    if (this.isStarved) this.armRetry();
  }

  onFault(error: unknown, work: unknown): void {
    this.host.brick.onFault(error, work);
  }

  private open(plan: ReplayPlan): boolean {
    if (!this.source.open(plan.log, plan.startPos)) return false;
    if (this.applier.open(plan.data, plan.parallel ?? PARALLEL_WRITES)) return true;
    this.source.close();
    return false;
  }

  // ------------------------------------------------------------------------------------------------- decode and apply

  private apply(): void {
    while (this.held !== null || this.decode()) {
      if (!this.take(this.held!)) return;
      this.held = null;
    }
  }

  /** @returns true when the next record is held */
  private decode(): boolean {
    const { source } = this;
    const end = Math.min(source.usableEnd, this.endPos);
    if (end <= this.at && end < this.endPos && !source.isFileEnd && source.err === 0) return false;
    const from = source.addressOf(this.at);
    const bytes = Math.max(0, end - this.at);
    const r = this.decoder.decode(source.area, from, from + bytes, this.prevSeq, this.policy);
    if (r.kind === 'record') {
      this.held = r;
      return true;
    }
    if (r.kind === 'defect') this.conclude(r.status, r.detail, r.byteCode);
    else this.atEnd(end);
    return false;
  }

  /** No whole record stands in front of `end`: more bytes may be on their way, or this is the end. */
  private atEnd(end: number): void {
    const { source } = this;
    if (end < this.endPos && source.err !== 0) return this.conclude(source.err);
    if (end < this.endPos && !source.isFileEnd) return;
    if (this.plan!.continuous) return this.await();
    const isComplete = this.at === end && (this.endPos === Infinity || end === this.endPos);
    this.conclude(isComplete ? REPLAY_CODE.finished : REPLAY_CODE.stoppedEarly);
  }

  /** @returns false when the record has to wait */
  private take(r: DecodedRecord): boolean {
    if (r.code === CODE_NEW_DATA) {
      const err = this.applier.verdict(r);
      if (err !== 0) return this.refuse(r, err);
      if (!Applier.isWhole(r)) this.warn(r, 'a record is no multiple of 512 bytes; it is applied as it stands');
      if (!this.applier.place(r)) return false;
    } else this.counts.skipped++;
    this.accept(r);
    return true;
  }

  private accept(r: DecodedRecord): void {
    this.prevSeq = r.seq;
    this.at += r.totalLen;
    this.counts.records++;
    this.counts.logBytes += r.totalLen;
    this.pollMs = POLL_MS_MIN;
    if (!r.verified) this.counts.unverified++;
    // From the first checksum on, a record without one is no leftover of 2016 (transaction-log.md 1.4 [OURS]).
    else if (this.plan!.unverified !== 'always') this.policy = 'refuse';
    if (r.warning !== 0) this.warn(r, 'a sequence number does not grow; the record is applied');
  }

  /** A target that lies outside of the device cannot be what was written. Source: transaction-log.md 7.2 [OURS] */
  private refuse(r: DecodedRecord, err: number): false {
    const { pos, payloadLen } = r;
    this.host.ctx.log.error(
      {
        offset: this.at,
        posBytes: pos,
        lenBytes: payloadLen,
        deviceBytes: this.plan!.data.cached.size,
        hint: 'Compare this log with the copy of another member, and the size of the disk with that of the resource.',
      },
      'a record names a place outside of the device: replay stops in front of it',
    );
    this.held = null;
    this.conclude(err);
    return false;
  }

  private warn(r: DecodedRecord, message: string): void {
    if (this.warnings++ >= WARNINGS_MAX) return;
    this.host.ctx.log.warn({ offset: this.at, posBytes: r.pos, lenBytes: r.payloadLen, seq: r.seq }, message);
  }

  // ---------------------------------------------------------------------------------------- waiting for a growing log

  private await(): void {
    if (this.state_ === 'waiting') return;
    this.state_ = 'waiting';
    this.caughtUpAt = this.at;
    this.host.ctx.loop.after(this.pollMs, ++this.pollNr, this.poll, this);
    this.pollMs = Math.min(this.pollMs * 2, POLL_MS_MAX);
  }

  private readonly poll = (nr: number): void => {
    if (nr !== this.pollNr || this.state_ !== 'waiting') return;
    this.state_ = 'running';
    this.source.lookAgain();
    this.wake();
  };

  // ----------------------------------------------------------------------------------------- positions, and how it ends

  private settle(): void {
    const { applier } = this;
    if (this.isFlushing) return;
    const isFailed = applier.err !== 0;
    if (this.verdict !== null && isFailed && applier.isQuiet && !this.source.isBusy) return this.finish();
    if (!applier.isDrained || isFailed) return;
    if (this.verdict === null && !this.isReportDue) return;
    if (this.at > this.publishedPos) return this.flush();
    this.reported();
    if (this.verdict !== null && !this.source.isBusy) this.finish();
  }

  /** Everything in front of `at` is written; when this flush ends, it is durable. Replay goes on meanwhile. */
  private flush(): void {
    const { data } = this.plan!;
    this.flushingPos = this.at;
    if (!(data.cached.caps & CAP_FLUSH)) return this.publish();
    const o = this.host.ctx.pool.take(this.host.brick, 0);
    if (o === null) return;
    o.op = OP_FLUSH;
    this.isFlushing = true;
    this.isReportDue = false;
    this.counts.flushes++;
    o.push(this.flushStep);
    data.io(o);
  }

  private flushed(o: XioObject): void {
    const { err } = o;
    this.isFlushing = false;
    this.host.ctx.pool.free(o);
    crashPoint('replay.after-flush');
    if (err === 0) this.publish();
    else {
      // Nobody knows what of it is durable: the position stays where it was.
      this.applier.err = err;
      if (this.verdict === null || this.verdict.code > 0) this.conclude(err);
    }
    this.wake();
  }

  private publish(): void {
    this.publishedPos = this.flushingPos;
    crashPoint('replay.before-publish');
    this.plan!.onProgress(this.publishedPos, this.logEnd());
    this.reported();
    this.wake();
  }

  private reported(): void {
    this.isReportDue = false;
    this.reportedUs = this.host.ctx.loop.nowUs;
  }

  private logEnd(): number {
    return Math.max(this.at, Math.min(this.endPos, this.source.knownEnd));
  }

  private conclude(code: number, detail = 0, byteCode = 0): void {
    this.verdict = { code, detail, byteCode };
    this.state_ = 'ending';
    this.wake();
  }

  private finish(): void {
    const { code, detail, byteCode } = this.verdict!;
    const plan = this.plan!;
    const end: ReplayEnd = { code, detail, byteCode, minPos: this.publishedPos, goodEnd: this.at };
    this.source.close();
    this.applier.close();
    this.plan = this.verdict = this.held = null;
    this.state_ = 'idle';
    this.run++;
    plan.onEnd(end);
    for (const resolve of this.whenEnded.splice(0)) resolve();
  }

  // -------------------------------------------------------------------------------------------------------------- turns

  private wake(): void {
    if (!this.plugged && this.state_ !== 'idle') this.host.ctx.loop.plug(this);
  }

  private armReport(): void {
    this.host.ctx.loop.after(CAUGHT_UP_REPORT_MS, this.run, this.mayReport, this);
  }

  /** One timer for the whole run: at work every `REPORT_MS`, and soon after the log was caught up with. */
  private readonly mayReport = (run: number): void => {
    if (run !== this.run) return;
    this.armReport();
    if (this.at === this.publishedPos || this.isFlushing || this.verdict !== null) return;
    const dueMs = this.caughtUpAt === this.at ? CAUGHT_UP_REPORT_MS : REPORT_MS;
    if (this.host.ctx.loop.nowUs - this.reportedUs < dueMs * 1000) return;
    this.isReportDue = true;
    this.wake();
  };

  /** Work is left, nothing is under way that could wake us: objects or memory have run out somewhere else. */
  private get isStarved(): boolean {
    return this.state_ !== 'waiting' && this.state_ !== 'idle' && this.isIdleOutside;
  }

  private get isIdleOutside(): boolean {
    return this.applier.isQuiet && !this.source.isBusy && !this.isFlushing && !this.plugged;
  }

  private armRetry(): void {
    if (this.isRetryArmed) return;
    this.isRetryArmed = true;
    this.host.ctx.loop.after(RETRY_MS, null, this.retry, this);
  }

  private readonly retry = (): void => {
    this.isRetryArmed = false;
    this.wake();
  };
}
