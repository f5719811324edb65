import {
  Brick,
  BrickBase,
  CAP_ORDERED,
  CAP_WHOLE,
  F_NODATA,
  F_UPTODATE,
  OP_READ,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { PositionPattern } from '../store/position-pattern.js';

/** The position is given to the pattern in two parts, see there; any power of two will do. */
const UNIT = 65_536;

/**
 * Read-only; the eight bytes at position `p` (a multiple of 8) hold `p XOR seed`, little endian. Use it to find data that
 * was delivered from, or copied to, the wrong place.
 */
@Brick({
  type: 'pattern',
  about: 'Read-only; every 8 bytes contain their own position.',
  ops: [OP_READ],
  caps: ['WHOLE', 'ORDERED'],
  params: {
    properties: {
      size: { unit: 'bytes', default: '1G', minimum: 0, about: 'size' },
      seed: {
        type: 'integer',
        default: 0,
        minimum: 0,
        about: 'is XORed to every position; tells several patterns apart',
      },
    },
  },
})
export class PatternBrick extends BrickBase {
  private pattern!: PositionPattern;

  protected override attached(): void {
    this.pattern = new PositionPattern(this.ctx.mem, this.ctx.params.seed as number);
  }

  info(into: XioInfo): number {
    into.size = this.ctx.params.size as number;
    into.caps = CAP_WHOLE | CAP_ORDERED;
    return 0;
  }

  io(o: XioObject): void {
    const base = Math.floor(o.pos / UNIT);
    if (!(o.flags & F_NODATA)) this.pattern.fill(o.buf, o.len, base, UNIT, o.pos - base * UNIT);
    o.flags |= F_UPTODATE;
    this.ctx.loop.finish(o, 0);
  }
}
