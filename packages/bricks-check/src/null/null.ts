import {
  Brick,
  BrickBase,
  CAP_EXTENTS,
  CAP_FAST_ZERO,
  CAP_FLUSH,
  CAP_ORDERED,
  CAP_TRIM,
  CAP_WHOLE,
  CAP_WRITE,
  CLOCK,
  EXTENT_BYTES,
  EXTENT_HOLE,
  EXTENT_ZERO,
  F_NODATA,
  F_UPTODATE,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  SUPPORT_NATIVE,
  inject,
  type Clock,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';

/** Swallows what is written and reads as zeroes; the end of a benchmark that wants to measure everything but the store. */
@Brick({
  type: 'null',
  about: 'Swallows writes, reads zeroes.',
  ops: [OP_READ, OP_WRITE, OP_FLUSH, OP_TRIM, OP_ZERO, OP_EXTENTS, OP_CACHE],
  caps: ['WRITE', 'FLUSH', 'TRIM', 'FAST_ZERO', 'EXTENTS', 'WHOLE', 'ORDERED'],
  params: {
    properties: {
      size: { unit: 'bytes', default: '1T', minimum: 0, about: 'size that it pretends to have' },
      latency: { unit: 'ms', default: 0, minimum: 0, about: 'time until a request is answered' },
    },
  },
  live: ['latency'],
})
export class NullBrick extends BrickBase {
  private latencyMs = 0;
  private readonly answer = (o: XioObject): void => this.ctx.loop.finish(o, 0);

  constructor(@inject(CLOCK) private readonly clock: Clock) {
    super();
  }

  protected override attached(): void {
    this.latencyMs = this.ctx.params.latency as number;
  }

  protected override liveParam(): void {
    this.latencyMs = this.ctx.params.latency as number;
  }

  info(into: XioInfo): number {
    into.size = this.ctx.params.size as number;
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_TRIM | CAP_FAST_ZERO | CAP_EXTENTS | CAP_WHOLE | CAP_ORDERED;
    into.fua = into.zero = into.cache = SUPPORT_NATIVE;
    return 0;
  }

  io(o: XioObject): void {
    if (o.op === OP_READ) this.readZeroes(o);
    else if (o.op === OP_EXTENTS) this.oneHole(o);
    if (this.latencyMs > 0) this.clock.after(this.latencyMs, o, this.answer);
    else this.answer(o);
  }

  private readZeroes(o: XioObject): void {
    if (!(o.flags & F_NODATA)) this.ctx.mem.fill(o.buf, o.len, 0);
    o.flags |= F_UPTODATE;
  }

  private oneHole(o: XioObject): void {
    const { view } = this.ctx.mem;
    if (o.len === 0) return;
    view.setFloat64(o.buf, o.pos, true);
    view.setFloat64(o.buf + 8, o.len, true);
    view.setUint32(o.buf + 16, EXTENT_HOLE | EXTENT_ZERO, true);
    view.setUint32(o.buf + 20, 0, true);
    o.len = EXTENT_BYTES;
  }
}
