import type { XioInput } from '../brick/contract.js';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick } from '../brick/meta.js';
import { Saved } from '../brick/transform-brick.js';
import { ErrorCode, MarsError } from '../errors.js';
import { CAP_FLUSH, CAP_WRITE, SUPPORT_EMULATED, SUPPORT_NONE, type XioInfo } from '../request/info.js';
import { F_FUA, OP_FLUSH, OP_TRIM, OP_WRITE, OP_ZERO } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';

const CHANGING_OPS = (1 << OP_WRITE) | (1 << OP_TRIM) | (1 << OP_ZERO);

class Durable extends Saved {
  /** The request went down without FUA and waits for a flush when it comes back. */
  needsFlush = false;
  /** The request itself is under way as the flush. */
  isFlush = false;
}

/**
 * Makes single writes durable. Where the provider has FUA, the flag goes down; where it has none, the write goes down
 * plain and a flush follows it before the consumer hears of it. Writes that come back in the same tick, or while a flush is
 * under way, share the next flush: each is covered, because a flush covers everything that completed before it was issued.
 *
 * Inserted by negotiation where a port needs FUA and the provider has FLUSH only. Source: bricks.md 5.7, 6.
 */
@Brick({
  type: 'fua',
  about: 'Adaptor: makes single writes durable by a flush behind them where the provider has no FUA.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: {
    properties: {
      mode: {
        type: 'string',
        enum: ['none', 'emulate', 'force'],
        default: 'emulate',
        about:
          'none: FUA is not offered. emulate: FUA is offered; by the provider if it can, else by write and flush. ' +
          'force: every write, zero and trim is durable when it is answered, asked for or not.',
      },
    },
  },
})
export class FuaBrick extends FilterBrick {
  private isForced = false;
  private hasFuaBelow = false;
  private waitHead: XioObject | null = null;
  private waitTail: XioObject | null = null;
  private isFlushing = false;
  /** Requests that the flush under way covers, besides the one that carries it. */
  private covered: XioObject | null = null;

  protected override attached(): void {
    this.isForced = this.ctx.params.mode === 'force';
  }

  protected override start(): void {
    this.inputChanged(this.next);
    const { caps, fua } = this.next.cached;
    if (!this.isForced || !(caps & CAP_WRITE) || fua !== SUPPORT_NONE || caps & CAP_FLUSH) return;
    throw new MarsError(
      ErrorCode.CAPABILITY_GAP,
      'the provider has neither FUA nor FLUSH, so no write can be made durable',
      {
        hint: 'Use another provider, or mode "none".',
      },
    );
  }

  protected override inputChanged(input: XioInput): void {
    this.hasFuaBelow = input.cached.fua !== SUPPORT_NONE;
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    if (err < 0) return err;
    if (this.ctx.params.mode === 'none') into.fua = SUPPORT_NONE;
    else if (into.fua === SUPPORT_NONE && into.caps & CAP_WRITE && into.caps & CAP_FLUSH) into.fua = SUPPORT_EMULATED;
    return err;
  }

  override io(o: XioObject): void {
    const isChange = (CHANGING_OPS & (1 << o.op)) !== 0;
    const mustBeDurable = isChange && (this.isForced || (o.flags & F_FUA) !== 0);
    if (!mustBeDurable || (this.hasFuaBelow && o.flags & F_FUA)) return this.next.io(o);
    const mine = (o.aspects[this.ctx.slot] ??= new Durable()) as Durable;
    mine.save(o);
    mine.isFlush = false;
    mine.needsFlush = !this.hasFuaBelow;
    if (this.hasFuaBelow) o.flags |= F_FUA;
    else o.flags &= ~F_FUA;
    o.push(this);
    this.next.io(o);
  }

  override complete(o: XioObject): void {
    const mine = o.aspects[this.ctx.slot] as Durable;
    mine.restore(o);
    if (mine.isFlush) return this.flushed(o);
    if (!mine.needsFlush || o.err < 0) return o.done(o.err);
    o.takeBack();
    this.wait(o);
  }

  override endBatch(_events: number): void {
    const o = this.waitHead;
    if (this.isFlushing || o === null) return;
    this.isFlushing = true;
    this.covered = o.link;
    o.link = null;
    this.waitHead = this.waitTail = null;
    (o.aspects[this.ctx.slot] as Durable).isFlush = true;
    o.op = OP_FLUSH;
    o.flags = 0;
    o.pos = 0;
    o.len = 0;
    o.push(this);
    this.next.io(o);
  }

  /** Everything that this flush covers has its fate: durable, or the error of the flush. */
  private flushed(carrier: XioObject): void {
    const { err } = carrier;
    let o = this.covered;
    this.covered = null;
    this.isFlushing = false;
    if (this.waitHead !== null) this.plug();
    carrier.done(err);
    while (o !== null) {
      const { link } = o;
      o.link = null;
      this.ctx.loop.finish(o, err);
      o = link;
    }
  }

  private wait(o: XioObject): void {
    if (this.waitTail === null) this.waitHead = o;
    else this.waitTail.link = o;
    this.waitTail = o;
    if (!this.isFlushing) this.plug();
  }
}
