import {
  Brick,
  CAP_GROW,
  EINVAL,
  EXTENT_BYTES,
  ErrorCode,
  MarsError,
  OP_EXTENTS,
  OP_FLUSH,
  PASS,
  TransformBrick,
  type ParamsSchema,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';

const offsetParams: ParamsSchema = {
  properties: {
    offset: { unit: 'bytes', default: 0, about: 'first byte of the window' },
    size: { unit: 'bytes', default: 0, about: 'bytes of the window; 0 = the rest' },
  },
};

/**
 * A window on a larger provider: byte 0 here is byte `offset` there. The smallest useful `TransformBrick`.
 */
@Brick({
  type: 'offset',
  about: 'A window on a larger provider.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: offsetParams,
  live: ['size'],
})
export class OffsetBrick extends TransformBrick {
  private offsetBytes = 0.5;
  /** 0 = up to the end of the provider. */
  private sizeBytes = 0.5;

  protected override attached(): void {
    this.offsetBytes = this.ctx.params.offset as number;
    this.sizeBytes = this.ctx.params.size as number;
  }

  /** A smaller window is for requests to come; those under way are done. */
  protected override liveParam(name: string, value: unknown): void {
    if (name !== 'size') return;
    this.sizeBytes = value as number;
    this.ctx.infoChanged();
  }

  /** @throws MarsError BAD_PARAMETER, SIZE_MISMATCH */
  protected override start(): void {
    const { align, size, caps } = this.next.cached;
    if (this.offsetBytes % align !== 0) {
      throw new MarsError(
        ErrorCode.BAD_PARAMETER,
        `offset ${this.offsetBytes} is no multiple of ${align}, the alignment of the brick below`,
        {
          hint: `Use a multiple of ${align}, or put an "align" brick below this one.`,
        },
      );
    }
    if (this.offsetBytes + this.sizeBytes <= size || caps & CAP_GROW) return;
    throw new MarsError(
      ErrorCode.SIZE_MISMATCH,
      `the window of ${this.sizeBytes} bytes from ${this.offsetBytes} on does not fit: the brick below has ${size} bytes`,
      { hint: 'Choose a smaller "offset" or "size"; "size: 0" takes the rest.' },
    );
  }

  override info(into: XioInfo): number {
    const err = super.info(into);
    if (err < 0) return err;
    // No position of ours would be an aligned one below; saying anything else would only move the error.
    if (this.offsetBytes % into.align !== 0) return -EINVAL;
    const restBytes = Math.max(0, into.size - this.offsetBytes);
    if (this.sizeBytes > 0) into.caps &= ~CAP_GROW;
    const windowBytes = this.sizeBytes > 0 ? Math.min(this.sizeBytes, restBytes) : restBytes;
    into.size = windowBytes - (windowBytes % into.align);
    while (this.offsetBytes % into.preferred !== 0) into.preferred /= 2;
    return err;
  }

  protected override down(o: XioObject): number {
    if (o.op !== OP_FLUSH) o.pos += this.offsetBytes;
    return PASS;
  }

  protected override up(o: XioObject): void {
    if (o.op === OP_EXTENTS) this.translateExtents(o);
  }

  /** Records come back with positions of the provider, and the last one may reach beyond the window. */
  private translateExtents(o: XioObject): void {
    const { view } = this.ctx.mem;
    for (let at = o.buf; at + EXTENT_BYTES <= o.buf + o.len; at += EXTENT_BYTES) {
      const pos = view.getFloat64(at, true) - this.offsetBytes;
      const len = view.getFloat64(at + 8, true);
      view.setFloat64(at, pos, true);
      if (this.sizeBytes > 0 && pos + len > this.sizeBytes) view.setFloat64(at + 8, this.sizeBytes - pos, true);
    }
  }
}
