import { EINVAL, ENOSPC, ENOTCONN, ENOTRECOVERABLE, EOPNOTSUPP, ESHUTDOWN } from '../errno.js';
import { InvariantError, invariant } from '../invariant.js';
import type { Loop } from '../loop/loop.js';
import { CAP_GROW, SUPPORT_NONE, XioInfo, advertisedOps, maskOps } from '../request/info.js';
import { F_FUA, OP_FLUSH, OP_READ, OP_TRIM, OP_WRITE, OP_ZERO } from '../request/ops.js';
import { DOWN, HELD, WAITING, type Completer, type ReturnStep, type XioObject } from '../request/xio-object.js';
import type { BrickBase } from './brick-base.js';
import type { XioInput, XioOutput } from './contract.js';
import type { FaultSink } from './fault.js';

/** FUA means something for these; on a read it is noise, as in the NBD protocol. */
const CHANGING_OPS = (1 << OP_WRITE) | (1 << OP_TRIM) | (1 << OP_ZERO);

/** The way back through one wire to one completer of its consumer (or past the consumer, when it did not push itself). */
class WireStep implements ReturnStep {
  inflight = 0;

  constructor(
    readonly wire: Wire,
    readonly completer: Completer | null,
  ) {}

  complete(o: XioObject): void {
    if (this.completer === null) return o.done(o.err);
    try {
      this.completer.complete(o);
    } catch (error) {
      this.wire.completeThrew(o, error);
    }
  }
}

/**
 * An input of a brick: one wire to at most one provider, and the checked seam between two bricks.
 *
 * Every request of every brick passes here, so the contract is enforced once and bricks stay clean (models.md 4.6):
 * the operation is advertised, range and alignment are right, the provider is on, nobody answers twice. A request that
 * breaks a rule is answered with an errno and never reaches the provider; a *brick* that breaks one (double answer)
 * fails an invariant.
 *
 * The way back leads through the wire too, so `held` counts the requests between `io` and completion through it. `gate`, wait for `held === 0`, `connect`, `ungate` is how a wire changes under load: requests meanwhile wait in order.
 */
export class Wire implements XioInput {
  /** What the provider said last; a consumer may read it at any time without asking again. */
  readonly cached = new XioInfo();
  private target: XioOutput | null = null;
  private provider_: BrickBase | null = null;
  private providerPort_ = '';
  private gated = false;
  private ops = 0;
  private alignMask = 0;
  private sizeBytes = 0;
  /** The way back for the consumer itself, past it, and to its side completers. */
  private readonly self: Completer;
  private readonly own: WireStep;
  private readonly past: WireStep;
  private readonly side: WireStep[] = [];
  private queueHead: XioObject | null = null;
  private queueTail: XioObject | null = null;
  /** Requests answered with an error by the seam itself. */
  rejected = 0;

  constructor(
    readonly consumer: BrickBase,
    readonly name: string,
    readonly nr: number,
    private readonly loop: Loop,
    private readonly faults: FaultSink,
  ) {
    // A consumer that never pushes itself need not be a completer; then this step is never used.
    this.self = consumer as unknown as Completer;
    this.own = new WireStep(this, this.self);
    this.past = new WireStep(this, null);
  }

  get held(): number {
    return this.own.inflight + this.past.inflight + this.side.reduce((sum, step) => sum + step.inflight, 0);
  }

  /** Requests through this wire that go back to this completer. */
  heldFor(c: Completer): number {
    return (c === this.self ? this.own : this.side.find((step) => step.completer === c))?.inflight ?? 0;
  }

  get connected(): boolean {
    return this.target !== null;
  }

  get provider(): BrickBase | null {
    return this.provider_;
  }

  get providerPort(): string {
    return this.providerPort_;
  }

  /** Requests that wait behind the gate. */
  get waiting(): number {
    let n = 0;
    for (let o = this.queueHead; o !== null; o = o.link) n++;
    return n;
  }

  info(into: XioInfo): number {
    if (this.target === null) return -ENOTCONN;
    return this.target.info(into.clear());
  }

  io(o: XioObject): void {
    invariant(o.state === HELD || o.state === DOWN, 'io() with a request that is free or already answered');
    const top = o.topStep;
    if (top !== null && top.wire === this) o.reissue();
    o.state = DOWN;
    if (this.gated) return this.enqueue(o);
    const err = this.verdict(o);
    if (err !== 0) return this.reject(o, err);
    o.addStep(this.stepFor(o.takePushed()));
    try {
      this.target!.io(o);
    } catch (error) {
      this.ioThrew(o, error);
    }
  }

  /** Wires the provider; the caller has made sure that nothing is under way. Only the graph calls this. */
  connect(provider: BrickBase, port: string, target: XioOutput): void {
    invariant(this.target === null || this.held === 0, 'a wire was changed while requests pass through it');
    this.provider_ = provider;
    this.providerPort_ = port;
    this.target = target;
    this.refresh();
  }

  disconnect(): void {
    invariant(this.held === 0, 'a wire was cut while requests pass through it');
    this.provider_ = null;
    this.providerPort_ = '';
    this.target = null;
    this.cached.clear();
    this.ops = 0;
  }

  /** From now on requests wait here, in order. */
  gate(): void {
    this.gated = true;
  }

  /** Lets the waiting requests go on, oldest first. */
  ungate(): void {
    this.gated = false;
    let o = this.queueHead;
    this.queueHead = this.queueTail = null;
    while (o !== null) {
      const next: XioObject | null = o.link;
      o.link = null;
      o.state = DOWN;
      this.io(o);
      o = next;
    }
  }

  /** Asks the provider again and remembers the answer. @returns 0 or a negative errno */
  refresh(): number {
    const err = this.info(this.cached);
    // What a type does not list under `ops` never reaches it, whatever its `info` says (bricks.md 5.7).
    if (this.provider_ !== null) maskOps(this.cached, this.provider_.meta.ops);
    this.ops = err < 0 ? 0 : advertisedOps(this.cached);
    this.alignMask = this.cached.align - 1;
    this.sizeBytes = this.cached.size;
    return err;
  }

  private verdict(o: XioObject): number {
    if (this.provider_ === null) return -ENOTCONN;
    if (!this.provider_.power.ledOn) return -ESHUTDOWN;
    if ((this.ops & (1 << o.op)) === 0) return -EOPNOTSUPP;
    if (o.op === OP_FLUSH) return 0;
    if (o.flags & F_FUA && this.cached.fua === SUPPORT_NONE && CHANGING_OPS & (1 << o.op)) return -EOPNOTSUPP;
    return this.rangeVerdict(o);
  }

  private rangeVerdict(o: XioObject): number {
    // `|` keeps the low 32 bits of a position exactly (bricks.md 5.3 rule 8: no modulo of doubles here).
    if (((o.pos | o.len) & this.alignMask) !== 0) return -EINVAL;
    if (o.len < 0 || !(o.pos >= 0)) return -EINVAL;
    if (o.len > this.cached.maxLen && o.op <= OP_WRITE) return -EINVAL;
    if (o.pos + o.len <= this.sizeBytes) return 0;
    if (this.cached.caps & CAP_GROW && o.op <= OP_WRITE) return 0;
    return o.op === OP_READ ? -EINVAL : -ENOSPC;
  }

  private enqueue(o: XioObject): void {
    invariant(o.link === null, 'a request stands in two queues');
    if (this.queueTail === null) this.queueHead = o;
    else this.queueTail.link = o;
    this.queueTail = o;
    o.state = WAITING;
    // It may have come from outside a tick, and be the last one that a drain waits for.
    this.loop.kick();
  }

  private stepFor(c: Completer | null): WireStep {
    if (c === this.self) return this.own;
    if (c === null) return this.past;
    for (const step of this.side) if (step.completer === c) return step;
    const step = new WireStep(this, c);
    this.side.push(step);
    return step;
  }

  /** The answer goes the usual way, so that the consumer sees it in `complete` whether or not anything lies below. */
  private reject(o: XioObject, err: number): void {
    this.rejected++;
    o.addStep(this.stepFor(o.takePushed()));
    this.loop.finish(o, err);
  }

  private ioThrew(o: XioObject, error: unknown): void {
    const brick = this.provider_;
    if (error instanceof InvariantError || brick === null) throw error;
    this.faults.brickThrew(brick, error);
    // Answer only what the brick still holds: it has not passed the request on if this wire's own step is on top.
    if (o.state !== DOWN || !this.isOnTop(o)) return;
    o.takePushed();
    this.loop.finish(o, -ENOTRECOVERABLE);
  }

  /** Called by the steps of this wire only. */
  completeThrew(o: XioObject, error: unknown): void {
    if (error instanceof InvariantError) throw error;
    this.faults.brickThrew(this.consumer, error);
    if (o.state !== HELD || !this.isOnTop(o)) return;
    o.takePushed();
    // The one who took the request is the one who threw: nobody is left to answer to, so its request ends here.
    if (o.depth > 1) o.done(-ENOTRECOVERABLE);
    else if (o.link === null) this.loop.pool.free(o);
  }

  private isOnTop(o: XioObject): boolean {
    const step = o.topStep;
    return step === this.own || step === this.past || this.side.some((mine) => mine === step);
  }
}
