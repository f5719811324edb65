import { invariant } from '../invariant.js';
import { MAX_STACK_DEPTH } from '../limits.js';

/** Somebody who wants to see the completion of an object. */
export interface Completer {
  /** Objects that were passed down with this completer and have not been handed on, or freed, since. Zero means: quiet. */
  readonly inflight: number;
  /** Ends in `o.done(err)`, in another `io` of the same object, or keeps the object for later; the one who took it frees it. */
  complete(o: XioObject): void;
}

/**
 * One step of the way back, prepared by a wire for each of its completers. Only the core knows these: they are what the
 * completion stack holds, so that the hot path sees one hidden class there, however many brick classes there are
 * (measured: 2x at 9 filters of 9 classes, against a stack of the bricks themselves).
 */
export interface ReturnStep {
  inflight: number;
  readonly completer: Completer | null;
  /** The wire that this step leads back through. */
  readonly wire: object | null;
  complete(o: XioObject): void;
}

/** Where an object goes back to when its last reference goes. */
export interface Recycler {
  recycle(o: XioObject): void;
  /** Releases a block that was lent to an object. */
  releaseBlock(block: number): void;
}

/** In the pool; nobody may touch it. */
export const FREE = 0;
/** With whoever took it, or on its way up: the one who holds it may change it, pass it down or hand it on. */
export const HELD = 1;
/** On its way down, or at a provider: only the provider may answer it. */
export const DOWN = 2;
/** Answered; waits in the finish ring of the loop. */
export const FINISHED = 3;
/** Stands in the queue of a gated wire; nobody may answer it. */
export const WAITING = 4;

/**
 * One in-flight I/O: pooled, one hidden class, never created outside its pool. "Request" in prose.
 *
 * ```
 *   load: push(load), io ──> wire ──> filter: push(filter), io ──> wire ──> ram: loop.finish(o, 0)
 *   stack:                  [load]                                [load, filter]         │
 *   load.complete: pool.free  <── done() <── filter.complete <── deliver <───────────────┘
 * ```
 * The stack is fixed once `io` is called, so re-wiring never disturbs a completion: it goes back exactly the way it
 * came, through bricks that may be unwired meanwhile.
 *
 * Source: decided.md, *The request contract*; bricks.md 1.4, 1.5, 5.2.
 */
export class XioObject {
  /** One of `OP_*`. */
  op = 0;
  /** `F_*` bits. */
  flags = 0;
  /** `PRIO_*`. */
  prio = 0;
  // 0.5 makes V8 choose the double representation for good: a position above 2^31 never boxes (bricks.md 5.3 rule 8).
  /** First byte on the provider, bytes. */
  pos = 0.5;
  /** Bytes wanted; after a READ that met the end of a growing file, bytes served. */
  len = 0;
  /** Arena offset of the payload, bytes; -1 when the object carries none. */
  buf = -1;
  /** 0 or a negative errno, valid at completion. */
  err = 0;
  /** The payload stays valid while > 0, even after the consumer freed the object; see {@link retain}. */
  refs = 0;
  /** Loop microseconds after which a brick that can give up safely answers ETIME; 0 = never. */
  deadlineUs = 0.5;
  /** Free link for the private queue of whoever holds the object now; `null` when in no queue. */
  link: XioObject | null = null;
  /** Digest of the data, filled by providers on request (`F_NODATA`, `CAP_CSUM_*`), 32 bytes. */
  readonly csum = new Uint8Array(32);
  /** Private state of bricks, index = brick slot. Created once per object and brick, then re-used (bricks.md 5.3 rule 9). */
  readonly aspects: unknown[] = [];

  /** Where it is: `FREE`, `HELD`, `DOWN`, `FINISHED` or `WAITING`. Kept by pool, wires and loop; bricks only read it. */
  state = FREE;
  /** Payload block that belongs to this object, -1 = none; `buf` may point elsewhere for a while. Kept by the pool. */
  block = -1;
  /** How often this object was taken. Two equal numbers mean the same request. */
  generation = 0;
  private pushed: Completer | null = null;
  private sp = 0;
  private readonly stack: ReturnStep[];
  // Filled by index and never shortened: popping a small array would give its memory back and allocate it again.
  private readonly lenders: XioObject[] = [];
  private lenderCount = 0;
  private readonly lentBlocks: number[] = [];
  private lentCount = 0;

  constructor(
    /** Index in the pool, and completion tag. */
    readonly slot: number,
    private readonly home: Recycler,
  ) {
    this.stack = new Array<ReturnStep>(MAX_STACK_DEPTH).fill(NOWHERE);
    this.pos = 0;
    this.deadlineUs = 0;
  }

  /** On the way down, before `next.io(o)`: `c.complete(o)` is called when the answer comes back. */
  push(c: Completer): void {
    invariant(this.pushed === null, 'push() twice without passing the request on');
    this.pushed = c;
  }

  /**
   * Inside `complete()` only (or later, by the brick that kept the object there): hands on to the next completer.
   * @param err 0 or a negative errno; normally `o.err` unchanged
   */
  done(err: number): void {
    invariant(this.state === HELD, 'done() on a request that is not being completed (completed twice?)');
    invariant(this.sp > 1, 'done() by the one who took the request; it must free it instead');
    this.stack[--this.sp]!.inflight--;
    this.err = err;
    this.stack[this.sp - 1]!.complete(this);
  }

  /**
   * Inside `complete()` only, by a filter: the request is this brick's again, as if it had never been passed on. Change it,
   * `push` and `io` it once more, keep it, or answer it with `loop.finish`.
   *
   * A filter that keeps a completed request for longer, or needs several rounds below, MUST take it back: as long as the
   * step stays, the wire counts as busy, and a swap of that wire would wait for ever for a request that waits at its gate.
   */
  takeBack(): void {
    invariant(this.state === HELD, 'takeBack() on a request that is not being completed');
    invariant(this.sp > 1, 'takeBack() by the one who took the request');
    this.stack[--this.sp]!.inflight--;
    this.state = DOWN;
  }

  /** Issued again out of `complete()`: the old step goes, its completer counts as pushed anew. Called by wires only. */
  reissue(): void {
    invariant(this.state === HELD, 'io() of a request that this wire has passed down already');
    const step = this.stack[--this.sp]!;
    step.inflight--;
    this.pushed ??= step.completer;
    invariant(this.sp > 0 || this.refs === 0, 'a request was issued again although somebody still retains its payload');
  }

  /**
   * This request's payload lies in `other`'s memory, which therefore stays valid until this one is back in the pool, even
   * when somebody below retains it for longer.
   */
  leanOn(other: XioObject): void {
    for (let i = 0; i < this.lenderCount; i++) if (this.lenders[i] === other) return;
    other.retain();
    this.lenders[this.lenderCount++] = other;
  }

  /** An arena block of a filter that is still looked at below: released when the object goes back to the pool. */
  lend(block: number): void {
    invariant(this.refs > 0, 'lend() to a request that nobody retains');
    this.lentBlocks[this.lentCount++] = block;
  }

  /** Gives back what was lent. Called by the pool only. */
  repay(): void {
    while (this.lentCount > 0) this.home.releaseBlock(this.lentBlocks[--this.lentCount]!);
    while (this.lenderCount > 0) this.lenders[--this.lenderCount]!.unretain();
  }

  /**
   * Keeps the payload valid beyond completion (the logger, until written back). Undo with {@link unretain}.
   *
   * Remember `buf`, `pos` and `len` in a record of your own, not in the aspect: filters above restore theirs at completion,
   * and may send the same object down again (a flush behind a write, the next piece of a long one).
   */
  retain(): void {
    invariant(this.state !== FREE || this.refs > 0, 'retain() on a request that is in the pool');
    this.refs++;
  }

  /** Drops one reference; the object goes back to its pool when its consumer freed it and nobody else holds it. */
  unretain(): void {
    invariant(this.refs > 0, 'unretain() without retain()');
    if (--this.refs === 0 && this.state === FREE) this.home.recycle(this);
  }

  /** Completers that still wait; for leak reports and debugging. */
  get depth(): number {
    return this.sp;
  }

  /** The next step of the way back; `null` when nobody waits. */
  get topStep(): ReturnStep | null {
    return this.sp === 0 ? null : this.stack[this.sp - 1]!;
  }

  /** Who pushed itself and has not passed the request on yet. Called by wires only, which take it from here. */
  takePushed(): Completer | null {
    const c = this.pushed;
    this.pushed = null;
    return c;
  }

  /** One more step of the way back. Called by wires only. */
  addStep(step: ReturnStep): void {
    invariant(this.sp < MAX_STACK_DEPTH, 'completion stack overflow: the brick stack is deeper than MAX_STACK_DEPTH');
    this.stack[this.sp++] = step;
    step.inflight++;
  }

  /** A provider answered. Called by the loop only. */
  markFinished(err: number): void {
    invariant(this.state === DOWN, 'finish() of a request that no provider holds (answered twice?)');
    invariant(this.pushed === null, 'finish() after push(): a brick passes a request on or answers it, not both');
    this.state = FINISHED;
    this.err = err;
  }

  /** Delivers the answer to the innermost completer. Called by the loop only. */
  deliver(): void {
    invariant(this.state === FINISHED, 'a request was delivered that nobody finished');
    invariant(this.sp > 0, 'a request was answered that nobody waits for');
    this.state = HELD;
    this.stack[this.sp - 1]!.complete(this);
  }

  /**
   * Pops the base consumer: the request is over. Called by the pool when the consumer frees the object, and by a consumer that
   * keeps a completed one for its next request: until then it is not under way, and the wire that it came through may change.
   */
  unwind(): void {
    invariant(this.sp <= 1, 'a request was freed while completers still wait for it');
    this.pushed = null;
    if (this.sp === 0) return;
    this.sp = 0;
    this.stack[0]!.inflight--;
    this.stack[0] = NOWHERE;
  }
}

const NOWHERE: ReturnStep = {
  inflight: 0,
  completer: null,
  wire: null,
  complete: () => invariant(false, 'completion without a completer'),
};
