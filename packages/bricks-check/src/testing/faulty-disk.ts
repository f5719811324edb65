import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  CAP_TRIM,
  CAP_WRITE,
  EIO,
  ENODEV,
  F_FUA,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  SUPPORT_NATIVE,
  createRandom,
  type SeededRandom,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';

/** Ways of a disk to be wrong. Every one of them answers "all is well". */
export type DiskFault =
  | 'none'
  /** A write is acknowledged and forgotten. */
  | 'lost-write'
  /** A read returns what was there before the last write of its first sector. */
  | 'stale-read'
  /** A write lands one sector further on. */
  | 'misplaced-write'
  /** A read comes from one sector further on. */
  | 'misplaced-read'
  /** Only the first half of a sector is written. */
  | 'torn-sector'
  /** Two reads get each other's data. */
  | 'swapped-reads'
  /** A read is answered without filling the memory. */
  | 'unfilled-read'
  /** One bit of a read is wrong. */
  | 'bit-flip'
  /** The tail of a write of several sectors is dropped. */
  | 'short-write'
  /** The next reads return the sector before and after the last write in turn. */
  | 'flapping'
  /** FLUSH is answered, but nothing is made durable. */
  | 'lying-flush'
  /** FUA is ignored. */
  | 'lying-fua';

const SECTOR = 512;

/**
 * A disk for tests with a volatile cache, answers that overtake each other, and one chosen fault. Correct with fault `none`:
 * each sector of a write takes effect at a random moment between `io` and answer, and so does each sector of a read.
 */
@Brick({
  type: 'faulty-disk',
  ops: ['read', 'write', 'flush', 'trim', 'zero'],
  params: {
    properties: {
      size: { unit: 'bytes', default: '64K' },
      align: { unit: 'bytes', default: 512 },
      fault: { type: 'string', default: 'none' },
      /** Chance of the fault, per request that it can hit. */
      chance: { type: 'number', default: 0.05 },
      seed: { type: 'integer', default: 1 },
      delay: { unit: 'ms', default: '1ms' },
      /** Chance of an honest EIO; a write that fails has reached a random part of its sectors. */
      errors: { type: 'number', default: 0 },
      /** Requests after which the power is cut, over and over; 0 = never. */
      cutEvery: { type: 'integer', default: 0 },
    },
  },
})
export class FaultyDisk extends BrickBase {
  /** What reads see, and what a power cut leaves. */
  store = new Uint8Array(0);
  durable = new Uint8Array(0);
  /** How often the fault was committed. */
  committed = 0;
  cuts = 0;
  private before = new Uint8Array(0);
  private random: SeededRandom = createRandom(1);
  private untilCut = 0;
  private isDown = false;
  private kept: XioObject | null = null;

  protected override attached(): void {
    const { params } = this.ctx;
    this.store = new Uint8Array(params.size as number);
    this.durable = new Uint8Array(this.store.length);
    this.before = new Uint8Array(this.store.length);
    this.random = createRandom(params.seed as number);
    this.untilCut = params.cutEvery as number;
  }

  info(into: XioInfo): number {
    into.size = this.store.length;
    into.align = this.ctx.params.align as number;
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_TRIM;
    into.fua = into.zero = SUPPORT_NATIVE;
    return 0;
  }

  io(o: XioObject): void {
    if (this.untilCut > 0 && --this.untilCut === 0) this.cut();
    const delayMs = this.random.float() * (this.ctx.params.delay as number);
    this.ctx.loop.after(delayMs / 2, o, this.perform);
  }

  /** Loses a random part of what is not durable, and is down for a while. */
  private cut(): void {
    this.cuts++;
    this.isDown = true;
    for (let at = 0; at < this.store.length; at += SECTOR) {
      const hasSurvived = this.random.float() < 0.3;
      if (!hasSurvived) this.store.set(this.durable.subarray(at, at + SECTOR), at);
    }
    this.durable.set(this.store);
    this.ctx.loop.after(50, undefined, () => {
      this.isDown = false;
      this.untilCut = this.ctx.params.cutEvery as number;
    });
  }

  private readonly perform = (o: XioObject): void => {
    if (this.isDown) return this.ctx.loop.finish(o, -ENODEV);
    const isFailing = this.random.float() < (this.ctx.params.errors as number);
    if (o.op === OP_READ) this.readSectors(o);
    else if (o.op === OP_FLUSH) this.flush(isFailing);
    else this.writeSectors(o, isFailing);
    if (this.kept === o) return;
    this.ctx.loop.after(
      (this.random.float() * (this.ctx.params.delay as number)) / 2,
      o,
      isFailing ? this.fail : this.answer,
    );
  };

  private readonly answer = (o: XioObject): void => this.ctx.loop.finish(o, this.isDown ? -ENODEV : 0);
  private readonly fail = (o: XioObject): void => this.ctx.loop.finish(o, -EIO);

  private strikes(fault: DiskFault): boolean {
    if (this.ctx.params.fault !== fault || this.random.float() >= (this.ctx.params.chance as number)) return false;
    this.committed++;
    return true;
  }

  private readSectors(o: XioObject): void {
    const { u8 } = this.ctx.mem;
    if (this.strikes('unfilled-read')) return;
    const shift = o.pos + o.len + SECTOR <= this.store.length && this.strikes('misplaced-read') ? SECTOR : 0;
    const isStale = this.strikes('stale-read') || this.strikes('flapping');
    const from = isStale ? this.before : this.store;
    u8.set(from.subarray(o.pos + shift, o.pos + shift + o.len), o.buf);
    if (this.strikes('bit-flip')) u8[o.buf + this.random.int(o.len)]! ^= 1 << this.random.int(8);
    this.swap(o);
  }

  /** Keeps one read until the next of the same length comes, and exchanges their data. */
  private swap(o: XioObject): void {
    const { u8 } = this.ctx.mem;
    const other = this.kept;
    if (other !== null && other.len === o.len && other.pos !== o.pos) {
      const mine = u8.slice(o.buf, o.buf + o.len);
      u8.copyWithin(o.buf, other.buf, other.buf + o.len);
      u8.set(mine, other.buf);
      this.kept = null;
      this.answer(other);
    } else if (other === null && this.strikes('swapped-reads')) {
      this.kept = o;
      this.ctx.loop.after(20, o, this.letGo);
    }
  }

  private readonly letGo = (o: XioObject): void => {
    if (this.kept !== o) return;
    this.kept = null;
    this.committed--;
    this.answer(o);
  };

  private writeSectors(o: XioObject, isFailing: boolean): void {
    if (this.strikes('lost-write')) return;
    const isDurable = (o.flags & F_FUA) !== 0 && !isFailing && !this.strikes('lying-fua');
    const shift = o.pos + o.len + SECTOR <= this.store.length && this.strikes('misplaced-write') ? SECTOR : 0;
    const isShort = o.len > SECTOR && this.strikes('short-write');
    const end = isShort ? o.len - SECTOR : o.len;
    for (let at = 0; at < end; at += SECTOR) {
      if (isFailing && this.random.float() < 0.5) continue;
      this.writeSector(o, at, o.pos + at + shift);
      if (isDurable) this.durable.set(this.store.subarray(o.pos + at, o.pos + at + SECTOR), o.pos + at);
    }
  }

  private writeSector(o: XioObject, at: number, pos: number): void {
    const { u8 } = this.ctx.mem;
    const len = o.op === OP_WRITE && this.strikes('torn-sector') ? SECTOR / 2 : SECTOR;
    this.before.set(this.store.subarray(pos, pos + SECTOR), pos);
    if (o.op === OP_WRITE) this.store.set(u8.subarray(o.buf + at, o.buf + at + len), pos);
    else if (o.op === OP_ZERO) this.store.fill(0, pos, pos + SECTOR);
    else if (o.op === OP_TRIM) for (let i = 0; i < SECTOR; i++) this.store[pos + i] = this.random.int(256);
  }

  private flush(isFailing: boolean): void {
    if (!isFailing && !this.strikes('lying-flush')) this.durable.set(this.store);
  }
}
