import {
  Brick,
  CLOCK,
  EIO,
  ENOTRECOVERABLE,
  EOPNOTSUPP,
  FilterBrick,
  F_NODATA,
  OP_FLUSH,
  OP_NAMES,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  advertisedOps,
  inject,
  RequestQueue,
  type Clock,
  type Counter,
  type ParamsSchema,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { MAX_REPORTS } from '../limits.js';
import { InFlight } from '../verify/in-flight.js';
import { SectorDigest } from '../verify/sector-digest.js';
import { ReadVerifier } from './read-verifier.js';

const checkParams: ParamsSchema = {
  properties: {
    verifyReads: { type: 'boolean', default: false, about: 'check reads against what was written through this brick' },
    payload: { type: 'boolean', default: true, about: 'check that nobody changes the data of a write under way' },
    lost: { unit: 'ms', default: '30s', about: 'report requests that are not answered for so long; 0 = never' },
    flushOrder: {
      type: 'string',
      enum: ['free', 'strict'],
      default: 'free',
      about: 'strict: it is a fault if a flush is answered before writes that were sent before it',
    },
    onError: {
      type: 'string',
      enum: ['report', 'fail', 'stop'],
      default: 'report',
      about: 'fail: answer the faulty request with EIO; stop: refuse everything from then on, too',
    },
  },
};

/** What can be found, and the counters of it. */
const FAULTS = ['stale', 'mismatch', 'modified', 'lost', 'doubled', 'unadvertised', 'flush_order'] as const;
type FaultKind = (typeof FAULTS)[number];

/**
 * Verifies that what lies below (and above) behaves: contents of reads, lost and doubled answers, operations that nobody
 * offered, payload that is changed under way, writes that a flush overtakes. Changes nothing; may be put on any wire.
 *
 * With `verifyReads` it must see every write: nobody else may write below it while it is on.
 */
@Brick({
  type: 'check',
  about: 'Verifies that the bricks around it keep the contract, and that reads return what was written.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: checkParams,
  live: ['lost', 'onError', 'flushOrder'],
})
export class CheckBrick extends FilterBrick {
  private flying!: InFlight;
  private verifier: ReadVerifier | null = null;
  private digest: SectorDigest | null = null;
  /** Digest of the payload of a write under way, by slot. */
  private digestA!: Int32Array;
  private digestB!: Int32Array;
  private generations!: Float64Array;
  /** What is under way, by slot. */
  private requestAt: (XioObject | null)[] = [];
  private isReported!: Uint8Array;
  private readonly waiting = new RequestQueue();
  private seq = 0.5;
  private offered = 0;
  private isStopped = false;
  private isWatching = false;
  private lostUs = 0;
  private isFlushStrict = false;
  private onError = 'report';

  private readonly counters = {} as Record<FaultKind, Counter>;
  private faults!: Counter;
  private requests!: Counter;
  private late!: Counter;
  private overtaken!: Counter;
  private verified!: Counter;
  private unwatched!: Counter;

  constructor(@inject(CLOCK) private readonly clock: Clock) {
    super();
    this.seq = 0;
  }

  protected override attached(): void {
    const { ctx } = this;
    const slots = ctx.pool.size;
    this.flying = new InFlight(slots);
    this.digestA = new Int32Array(slots);
    this.digestB = new Int32Array(slots);
    this.generations = new Float64Array(slots);
    this.isReported = new Uint8Array(slots);
    this.requestAt = new Array<XioObject | null>(slots).fill(null);
    if (ctx.params.verifyReads) this.verifier = new ReadVerifier(ctx.mem, this.flying, slots);
    if (ctx.params.payload) this.digest = new SectorDigest(ctx.mem.view);
    for (const kind of FAULTS) this.counters[kind] = ctx.counter(kind);
    this.faults = ctx.counter('faults');
    this.requests = ctx.counter('requests');
    this.late = ctx.counter('late');
    this.overtaken = ctx.counter('writes_overtaken_by_flush');
    this.verified = ctx.counter('sectors_verified');
    this.unwatched = ctx.counter('sectors_not_watched');
    for (const name of ['lost', 'onError', 'flushOrder']) this.liveParam(name, ctx.params[name]);
    ctx.publish('failed', false);
  }

  protected override start(): void {
    // Whoever wrote below while this brick was off, it did not see it.
    this.verifier?.clear();
    this.isStopped = false;
    this.offered = advertisedOps(this.next.cached);
  }

  protected override inputChanged(input: XioInput): void {
    this.offered = advertisedOps(input.cached);
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name === 'lost') this.lostUs = (value as number) * 1000;
    else if (name === 'onError') this.onError = value as string;
    else this.isFlushStrict = value === 'strict';
    if (this.flying.count > 0) this.watch();
  }

  override get busy(): boolean {
    return super.busy || !this.waiting.isEmpty;
  }

  override io(o: XioObject): void {
    this.requests.n++;
    if (this.isStopped) return this.ctx.loop.finish(o, -ENOTRECOVERABLE);
    if ((this.offered & (1 << o.op)) === 0) {
      this.fault('unadvertised', o, 'is not offered by the brick below');
      if (this.onError !== 'report') return this.ctx.loop.finish(o, -EOPNOTSUPP);
    }
    if (this.waiting.isEmpty && this.hasRoom(o)) this.admit(o);
    else {
      this.waiting.push(o);
      this.plug();
    }
  }

  override complete(o: XioObject): void {
    const { slot } = o;
    if (!this.flying.has(slot) || this.generations[slot] !== o.generation) {
      this.fault('doubled', o, 'was answered although it was not under way');
      return o.done(o.err);
    }
    this.flying.leave(slot);
    this.requestAt[slot] = null;
    if (this.isReported[slot] === 1) this.noteLate(o);
    const faultsBefore = this.faults.n;
    const isModified = this.checkPayload(o);
    if (this.verifier !== null) this.verify(o, isModified);
    if (o.op === OP_FLUSH && o.err >= 0) this.checkFlush(o);
    if (!this.waiting.isEmpty) this.plug();
    o.done(this.faults.n === faultsBefore || this.onError === 'report' ? o.err : -EIO);
  }

  override endBatch(): void {
    for (let o = this.waiting.peek(); o !== null; o = this.waiting.peek()) {
      if (!this.hasRoom(o)) return;
      this.waiting.shift();
      this.admit(o);
    }
  }

  /** Is there memory to remember this write? If nothing is under way that could free some, sectors in doubt are forgotten. */
  private hasRoom(o: XioObject): boolean {
    const { verifier } = this;
    if (verifier === null || o.op === OP_READ || verifier.hasRoomFor(o.len)) return true;
    if (this.flying.count > 0) return false;
    this.unwatched.n += verifier.forgetDoubtful();
    return true;
  }

  private admit(o: XioObject): void {
    const { flying } = this;
    const { slot } = o;
    this.seq++;
    flying.seq[slot] = this.seq;
    flying.sinceUs[slot] = this.ctx.loop.nowUs;
    flying.enter(slot);
    this.generations[slot] = o.generation;
    this.isReported[slot] = 0;
    this.requestAt[slot] = o;
    if (this.lostUs > 0 && !this.isWatching) this.watch();
    if (this.digest !== null && o.op === OP_WRITE) this.remember(o);
    if (this.verifier !== null) {
      this.verifier.last = this.seq;
      this.verifier.issued(o);
    }
    o.push(this);
    this.next.io(o);
  }

  private remember(o: XioObject): void {
    const digest = this.digest!;
    digest.compute(o.buf, o.len);
    this.digestA[o.slot] = digest.a;
    this.digestB[o.slot] = digest.b;
  }

  /** @returns true when somebody has changed the payload of this write on its way */
  private checkPayload(o: XioObject): boolean {
    const { digest } = this;
    if (digest === null || o.op !== OP_WRITE) return false;
    digest.compute(o.buf, o.len);
    if (digest.a === this.digestA[o.slot] && digest.b === this.digestB[o.slot]) return false;
    this.fault('modified', o, 'has other data than when it was sent: somebody has changed its memory on the way');
    return true;
  }

  private verify(o: XioObject, isModified: boolean): void {
    const verifier = this.verifier!;
    verifier.completed(o, isModified);
    this.verified.n = verifier.judged;
    this.unwatched.n += verifier.takeUnwatched();
    if (verifier.faultKind !== null) this.fault(verifier.faultKind, o, verifier.faultText);
  }

  /** Writes that were sent before this flush and are still not answered: legal, but not what a barrier does. */
  private checkFlush(o: XioObject): void {
    const { flying } = this;
    const mine = flying.seq[o.slot]!;
    let overtaken = 0;
    for (let slot = flying.head; slot >= 0 && flying.seq[slot]! < mine; slot = flying.next[slot]!) {
      const { op } = this.requestAt[slot]!;
      if (op === OP_WRITE || op === OP_ZERO || op === OP_TRIM) overtaken++;
    }
    this.overtaken.n += overtaken;
    if (overtaken > 0 && this.isFlushStrict)
      this.fault('flush_order', o, `was answered before ${overtaken} older writes`);
  }

  /** Makes sure that somebody looks when the oldest request becomes too old. */
  private watch(): void {
    if (this.isWatching || this.lostUs === 0) return;
    const slot = this.oldestUnreported();
    if (slot < 0) return;
    this.isWatching = true;
    this.clock.after((this.flying.sinceUs[slot]! + this.lostUs - this.ctx.loop.nowUs) / 1000, this, lookForLost);
  }

  private oldestUnreported(): number {
    let slot = this.flying.head;
    while (slot >= 0 && this.isReported[slot] === 1) slot = this.flying.next[slot]!;
    return slot;
  }

  /** The timer of {@link watch} has come. */
  lookForLost(): void {
    this.isWatching = false;
    if (this.lostUs === 0) return;
    const { flying } = this;
    const limitUs = this.ctx.loop.nowUs - this.lostUs;
    for (let slot = flying.head; slot >= 0 && flying.sinceUs[slot]! <= limitUs; slot = flying.next[slot]!) {
      if (this.isReported[slot] === 1) continue;
      this.isReported[slot] = 1;
      const ageMs = Math.round((this.ctx.loop.nowUs - flying.sinceUs[slot]!) / 1000);
      this.fault('lost', this.requestAt[slot]!, `has not been answered for ${ageMs} ms`);
    }
    this.watch();
  }

  private noteLate(o: XioObject): void {
    this.late.n++;
    const ageMs = Math.round((this.ctx.loop.nowUs - this.flying.sinceUs[o.slot]!) / 1000);
    if (this.late.n <= MAX_REPORTS) this.ctx.log.warn({ ...dump(o), ageMs }, 'a request that seemed lost was answered');
  }

  private fault(kind: FaultKind, o: XioObject, text: string): void {
    this.counters[kind].n++;
    const whole = `${kind}: ${OP_NAMES[o.op] ?? o.op} of ${o.len} bytes at ${o.pos} ${text}`;
    if (this.faults.n++ < MAX_REPORTS) this.ctx.log.error({ kind, ...dump(o) }, whole);
    if (this.faults.n === 1) this.ctx.publish('failure', whole);
    this.ctx.publish('failed', true);
    if (this.onError === 'stop') this.isStopped = true;
  }
}

function lookForLost(check: CheckBrick): void {
  check.lookForLost();
}

/** A request as facts for the log. */
function dump(o: XioObject): object {
  return {
    op: OP_NAMES[o.op],
    posBytes: o.pos,
    lenBytes: o.len,
    flags: o.flags,
    err: o.err,
    slot: o.slot,
    generation: o.generation,
    isDigestOnly: (o.flags & F_NODATA) !== 0,
  };
}
