import type { XioInput } from '../brick/contract.js';
import { Brick } from '../brick/meta.js';
import { EOPNOTSUPP } from '../errno.js';
import { ErrorCode, MarsError } from '../errors.js';
import { invariant, verify } from '../invariant.js';
import { ZERO_BLOCK_BYTES } from '../limits.js';
import { CAP_FAST_ZERO, CAP_TRIM, CAP_WRITE, SUPPORT_EMULATED, SUPPORT_NONE, type XioInfo } from '../request/info.js';
import { F_FAST, F_FUA, F_MAY_TRIM, OP_FLUSH, OP_TRIM, OP_WRITE, OP_ZERO } from '../request/ops.js';
import type { ObjectOwner } from '../request/pool.js';
import type { XioObject } from '../request/xio-object.js';
import { PiecewiseBrick, cutBytes, type Cut } from './pieces.js';

/**
 * Offers ZERO on a provider that has none, by writing zeroes from one block that all its requests share.
 *
 * `F_FAST` is answered EOPNOTSUPP, because writing is what its sender wanted to avoid. `F_MAY_TRIM` is only a permission,
 * and a trimmed range may read as anything, so TRIM is used only in mode `trim`: there the one who writes the stack file
 * vouches that trimmed ranges of this provider read as zeroes. FUA: as in `split`.
 *
 * Where the provider has ZERO, requests pass as they are. Inserted by negotiation where a port needs ZERO and the provider
 * has none. Source: bricks.md 5.7, 6.
 */
@Brick({
  type: 'zero',
  about: 'Adaptor: offers ZERO by writing zeroes where the provider cannot do it.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: {
    properties: {
      mode: {
        type: 'string',
        enum: ['emulate', 'trim', 'none'],
        default: 'emulate',
        about:
          'emulate: write zeroes. trim: use TRIM where the request allows it; only for providers whose trimmed ranges ' +
          'read as zeroes. none: ZERO is not offered.',
      },
    },
  },
})
export class ZeroBrick extends PiecewiseBrick {
  private step = 4096;
  private hasZeroBelow = false;
  private hasTrimBelow = false;
  /** Holds the block of zeroes; an object of its own, so that whoever retains a piece below keeps the block too. */
  private zeroes: XioObject | null = null;
  private zeroBytes = 0;
  private isTrim = false;
  // Not charged to the brick: it holds the block all the time, and would never be quiet.
  private readonly blockOwner: ObjectOwner = { objects: 0 };

  protected override attached(): void {
    super.attached();
    this.isTrim = this.ctx.params.mode === 'trim';
  }

  protected override start(): void {
    this.takeZeroes(Math.max(4096, this.next.cached.align));
    this.inputChanged(this.next);
  }

  protected override stop(): void {
    this.ctx.pool.free(this.zeroes!);
    this.zeroes = null;
  }

  protected override inputChanged(input: XioInput): void {
    const { maxLen, align, zero, caps } = input.cached;
    this.hasZeroBelow = zero !== SUPPORT_NONE;
    this.hasTrimBelow = (caps & CAP_TRIM) !== 0;
    this.step = cutBytes(Math.min(this.zeroBytes, maxLen), align);
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    if (err < 0) return err;
    if (this.ctx.params.mode === 'none') {
      into.zero = SUPPORT_NONE;
      into.caps &= ~CAP_FAST_ZERO;
    } else if (into.zero === SUPPORT_NONE && into.caps & CAP_WRITE) into.zero = SUPPORT_EMULATED;
    return err;
  }

  override io(o: XioObject): void {
    if (o.op === OP_FLUSH) this.next.io(o);
    else if (o.op !== OP_ZERO || this.hasZeroBelow) this.pass(o);
    else if (this.mayTrim(o)) this.cut(o, o.len);
    else if (o.flags & F_FAST) this.ctx.loop.finish(o, -EOPNOTSUPP);
    else this.cut(o, this.step);
  }

  protected override shape(piece: XioObject, cut: Cut): void {
    piece.op = this.isTrim && this.hasTrimBelow && cut.flags & F_MAY_TRIM ? OP_TRIM : OP_WRITE;
    piece.flags = cut.flags & F_FUA;
    piece.buf = this.zeroes!.buf;
  }

  protected override lean(child: XioObject): void {
    child.leanOn(this.zeroes!);
  }

  protected override landed(o: XioObject): void {
    if (o.refs > 0) o.leanOn(this.zeroes!);
    verify(this.checkZeroes);
  }

  private mayTrim(o: XioObject): boolean {
    return this.isTrim && this.hasTrimBelow && (o.flags & F_MAY_TRIM) !== 0;
  }

  private takeZeroes(leastBytes: number): void {
    for (let bytes = ZERO_BLOCK_BYTES; bytes >= leastBytes && this.zeroes === null; bytes /= 2) {
      this.zeroes = this.ctx.pool.take(this.blockOwner, bytes);
      this.zeroBytes = bytes;
    }
    if (this.zeroes !== null) return this.ctx.mem.fill(this.zeroes.buf, this.zeroBytes, 0);
    throw new MarsError(ErrorCode.LIMIT_REACHED, `no memory for a block of ${leastBytes} zeroes`, {
      hint: 'Give the data path more memory, or wait until other requests are done.',
      details: { limit: 'arena or pool' },
    });
  }

  private readonly checkZeroes = (): void => {
    if (this.zeroes === null) return;
    invariant(this.ctx.mem.isZero(this.zeroes.buf, this.zeroBytes), 'a brick below wrote into the payload of a write');
  };
}
