import type { XioInput } from '../brick/contract.js';
import { Brick } from '../brick/meta.js';
import { MAX_REQUEST_BYTES } from '../limits.js';
import { CAP_CSUM_CRC32C, CAP_CSUM_MD5, CAP_CSUM_SHA1, type XioInfo } from '../request/info.js';
import { OP_FLUSH, OP_WRITE } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { PiecewiseBrick, cutBytes, type Cut } from './pieces.js';

const CSUM_CAPS = CAP_CSUM_MD5 | CAP_CSUM_CRC32C | CAP_CSUM_SHA1;

/**
 * Cuts reads and writes that are longer than the provider takes, and joins the answers. The payload is not copied: every
 * piece points into the memory of the request. A write with FUA passes the flag to every piece where FUA is native below;
 * elsewhere one flush follows the last piece. A read that meets the end is short from the first byte that was not served.
 *
 * TRIM, ZERO, CACHE and EXTENTS have no longest length and pass as they are; all but FLUSH keep their turn.
 * Inserted by negotiation where a port sends more than the provider takes. Source: bricks.md 5.7, 6.
 */
@Brick({
  type: 'split',
  about: 'Adaptor: cuts requests that are longer than the provider takes, and joins the answers.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: {
    properties: {
      maxLen: {
        unit: 'bytes',
        default: 0,
        minimum: 0,
        about: 'Longest piece; 0 = what the provider takes. Rounded down to 4096 and to the alignment of the provider.',
      },
    },
  },
})
export class SplitBrick extends PiecewiseBrick {
  private step = 4096;

  protected override start(): void {
    this.inputChanged(this.next);
  }

  protected override inputChanged(input: XioInput): void {
    const { maxLen, align } = input.cached;
    this.step = cutBytes(Math.min((this.ctx.params.maxLen as number) || Infinity, maxLen), align);
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    if (err < 0) return err;
    into.maxLen = Math.max(into.maxLen, MAX_REQUEST_BYTES);
    // The digest of the whole is not the join of the digests of its parts.
    into.caps &= ~CSUM_CAPS;
    return err;
  }

  override io(o: XioObject): void {
    if (o.op <= OP_WRITE && o.len > this.step) this.cut(o, this.step);
    else if (o.op === OP_FLUSH) this.next.io(o);
    else this.pass(o);
  }

  protected override shape(piece: XioObject, cut: Cut, at: number): void {
    piece.op = cut.op;
    piece.flags = cut.flags;
    piece.buf = cut.buf + at;
  }

  protected override lean(child: XioObject, parent: XioObject): void {
    child.leanOn(parent);
  }
}
