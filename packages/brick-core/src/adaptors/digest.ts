import { FilterBrick } from '../brick/filter-brick.js';
import { Brick } from '../brick/meta.js';
import { inject } from '../di.js';
import { EINVAL } from '../errno.js';
import { DIGEST_PIECE_BYTES, MAX_DIGEST_JOBS } from '../limits.js';
import { DIGESTS, type Digests } from '../machine/digests.js';
import { CAP_DIGESTS, type XioInfo } from '../request/info.js';
import {
  DIGESTS_PAYLOAD_BYTES,
  DIGEST_BYTES,
  DIGEST_FLAGS,
  MAX_SPAN_LOG2,
  MIN_SPAN_LOG2,
  OP_DIGESTS,
  OP_READ,
  spanLog2,
} from '../request/ops.js';
import type { Completer, XioObject } from '../request/xio-object.js';

/** Without a free object or memory it looks again after this time, milliseconds. */
const RETRY_MS = 1;

/** What is known about a DIGESTS request, and, in the aspect of a child, whom it reads for. */
class Job {
  /** The request that this object reads for; null = not a child. */
  parent: XioObject | null = null;
  child: XioObject | null = null;
  /** Bytes of the range that were digested, and of the answer that were written. */
  doneBytes = 0;
  answerBytes = 0;
  wantedBytes = 0;
  /** Length of the piece that is being read. */
  askedBytes = 0;
}

/**
 * Offers DIGESTS on a provider that has none: reads the range and computes the digests here, next to the data, so that only they have to
 * travel. The data is read in pieces, each digested while it is still in the cache of the processor.
 *
 * Where the provider has DIGESTS, requests pass as they are. Inserted by negotiation where a port needs DIGESTS and the provider has none.
 * Source: transaction-log.md 4.4 [OURS]; decided.md, *Sync*
 */
@Brick({
  type: 'digest',
  about: 'Adaptor: computes digests of ranges where the provider cannot do it.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache', 'digests'],
})
export class DigestBrick extends FilterBrick {
  private hasDigestsBelow = false;
  private pieceBytes = DIGEST_PIECE_BYTES;
  private jobs = 0;
  private waitHead: XioObject | null = null;
  private waitTail: XioObject | null = null;
  private isRetryPending = false;
  private child!: Completer;

  constructor(@inject(DIGESTS) private readonly digests: Digests) {
    super();
  }

  protected override attached(): void {
    this.child = this.completer((o) => this.pieceRead(o));
  }

  protected override start(): void {
    this.inputChanged();
  }

  protected override inputChanged(): void {
    const { caps, maxLen } = this.next.cached;
    this.hasDigestsBelow = (caps & CAP_DIGESTS) !== 0;
    this.pieceBytes = Math.min(DIGEST_PIECE_BYTES, maxLen);
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    if (err >= 0 && !(into.caps & CAP_DIGESTS)) into.caps |= this.digests.caps;
    return err;
  }

  override io(o: XioObject): void {
    if (o.op !== OP_DIGESTS || this.hasDigestsBelow) return this.next.io(o);
    if (!this.isPossible(o)) return this.ctx.loop.finish(o, -EINVAL);
    if (this.waitHead !== null || !this.begin(o)) this.wait(o);
  }

  private isPossible(o: XioObject): boolean {
    const log2 = spanLog2(o.flags);
    const algorithm = o.flags & DIGEST_FLAGS;
    const isOne = algorithm !== 0 && (algorithm & (algorithm - 1)) === 0 && (algorithm & this.digests.caps) !== 0;
    const isSpan = log2 >= MIN_SPAN_LOG2 && log2 <= MAX_SPAN_LOG2 && 2 ** log2 <= this.next.cached.maxLen;
    return isOne && isSpan && Math.ceil(o.len / 2 ** log2) * DIGEST_BYTES <= DIGESTS_PAYLOAD_BYTES;
  }

  /** @returns false when there is no object or memory for it now */
  private begin(o: XioObject): boolean {
    if (this.jobs >= MAX_DIGEST_JOBS) return false;
    const spanBytes = 2 ** spanLog2(o.flags);
    const child = this.ctx.pool.take(this, Math.min(o.len, Math.max(spanBytes, this.pieceBytes)));
    if (child === null) return false;
    this.jobs++;
    const job = this.jobOf(o);
    job.child = child;
    job.doneBytes = job.answerBytes = 0;
    job.wantedBytes = o.len;
    this.jobOf(child).parent = o;
    child.op = OP_READ;
    child.prio = o.prio;
    child.push(this.child);
    this.readPiece(o, job, child);
    return true;
  }

  private readPiece(o: XioObject, job: Job, child: XioObject): void {
    const spanBytes = 2 ** spanLog2(o.flags);
    const wholeSpans = Math.floor(this.pieceBytes / spanBytes) * spanBytes;
    job.askedBytes = Math.min(job.wantedBytes - job.doneBytes, Math.max(wholeSpans, spanBytes));
    child.pos = o.pos + job.doneBytes;
    child.len = job.askedBytes;
    this.next.io(child);
  }

  private pieceRead(child: XioObject): void {
    const o = (child.aspects[this.ctx.slot] as Job).parent!;
    const job = o.aspects[this.ctx.slot] as Job;
    if (child.err < 0) return this.end(o, job, child.err);
    this.digestPiece(o, job, child);
    // A short read has met the end of a growing file: there is no more.
    if (child.len < job.askedBytes || job.doneBytes >= job.wantedBytes) return this.end(o, job, 0);
    this.readPiece(o, job, child);
  }

  private digestPiece(o: XioObject, job: Job, child: XioObject): void {
    const spanBytes = 2 ** spanLog2(o.flags);
    const algorithm = o.flags & DIGEST_FLAGS;
    const { u8 } = this.ctx.mem;
    for (let at = 0; at < child.len; at += spanBytes) {
      this.digests.compute(algorithm, u8, child.buf + at, Math.min(spanBytes, child.len - at), o.buf + job.answerBytes);
      job.answerBytes += DIGEST_BYTES;
    }
    job.doneBytes += child.len;
  }

  private end(o: XioObject, job: Job, err: number): void {
    const { child } = job;
    job.child = null;
    this.jobs--;
    (child!.aspects[this.ctx.slot] as Job).parent = null;
    this.ctx.pool.free(child!);
    if (err === 0) o.len = job.answerBytes;
    this.ctx.loop.finish(o, err);
    this.pump();
  }

  private wait(o: XioObject): void {
    if (this.waitTail === null) this.waitHead = o;
    else this.waitTail.link = o;
    this.waitTail = o;
    this.retryWhenIdle();
  }

  private pump(): void {
    while (this.waitHead !== null) {
      const o: XioObject = this.waitHead;
      const rest: XioObject | null = o.link;
      o.link = null;
      if (!this.begin(o)) {
        o.link = rest;
        return this.retryWhenIdle();
      }
      this.waitHead = rest;
      if (rest === null) this.waitTail = null;
    }
  }

  /** Whoever comes back pumps; with nothing under way only a timer can. */
  private retryWhenIdle(): void {
    if (this.jobs > 0 || this.isRetryPending) return;
    this.isRetryPending = true;
    this.ctx.loop.after(RETRY_MS, this, retry);
  }

  /** The one timer of {@link retryWhenIdle} has come. */
  retryNow(): void {
    this.isRetryPending = false;
    this.pump();
  }

  private jobOf(o: XioObject): Job {
    return (o.aspects[this.ctx.slot] ??= new Job()) as Job;
  }
}

function retry(brick: DigestBrick): void {
  brick.retryNow();
}
