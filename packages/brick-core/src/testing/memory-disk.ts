import { Brick } from '../brick/meta.js';
import { BrickBase } from '../brick/brick-base.js';
import { EIO } from '../errno.js';
import { createRandom, type SeededRandom } from '../machine/random.js';
import {
  CAP_EXTENTS,
  CAP_FAST_ZERO,
  CAP_FLUSH,
  CAP_ORDERED,
  CAP_TRIM,
  CAP_WHOLE,
  CAP_WRITE,
  SUPPORT_NATIVE,
  type Support,
  type XioInfo,
} from '../request/info.js';
import {
  EXTENT_BYTES,
  F_FUA,
  OP_EXTENTS,
  OP_FLUSH,
  OP_NAMES,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  type OpName,
} from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';

/** One request as the disk saw it. */
export interface SeenRequest {
  op: (typeof OP_NAMES)[number];
  posBytes: number;
  lenBytes: number;
  isFua: boolean;
}

/**
 * The provider under a brick that is tested: a byte array that can be told to fail, to hold back and to shuffle.
 * It keeps two images: `store` is what reads see, `durable` is what a power cut would leave.
 */
@Brick({
  type: 'test-disk',
  about: 'Memory disk of the test kit.',
  ops: 'all',
  params: {
    properties: {
      size: { unit: 'bytes', default: '1M' },
      align: { unit: 'bytes', default: 1 },
      maxLen: { unit: 'bytes', default: '1M' },
      fua: { type: 'integer', default: SUPPORT_NATIVE },
      zero: { type: 'integer', default: SUPPORT_NATIVE },
    },
  },
})
export class MemoryDisk extends BrickBase {
  store = new Uint8Array(0);
  durable = new Uint8Array(0);
  /** Every request, in order of arrival. */
  readonly seen: SeenRequest[] = [];
  /** Fails the Nth request from now (1 = the next one); 0 = none. */
  failAt = 0;
  /** Fails every request of this kind; null = none. */
  failOp: OpName | null = null;
  failWith = -EIO;
  /** Requests that were made to fail. */
  failed = 0;
  /** Keep requests until {@link letGo}. */
  hold = false;
  /** Capability bits that this disk does not offer. */
  hideCaps = 0;
  private readonly kept: XioObject[] = [];
  private shuffle: SeededRandom | null = null;
  private shuffleMsMax = 0;
  private readonly answerLater = (o: XioObject): void => this.answer(o);

  protected override attached(): void {
    this.store = new Uint8Array(this.ctx.params.size as number);
    this.durable = new Uint8Array(this.store.length);
  }

  info(into: XioInfo): number {
    into.size = this.store.length;
    into.align = this.ctx.params.align as number;
    into.maxLen = this.ctx.params.maxLen as number;
    into.caps =
      (CAP_WRITE | CAP_FLUSH | CAP_TRIM | CAP_FAST_ZERO | CAP_EXTENTS | CAP_WHOLE | CAP_ORDERED) & ~this.hideCaps;
    into.fua = this.ctx.params.fua as Support;
    into.zero = this.ctx.params.zero as Support;
    into.cache = SUPPORT_NATIVE;
    return 0;
  }

  io(o: XioObject): void {
    this.seen.push({ op: OP_NAMES[o.op]!, posBytes: o.pos, lenBytes: o.len, isFua: (o.flags & F_FUA) !== 0 });
    if (this.hold) this.kept.push(o);
    else if (this.shuffle !== null) this.ctx.loop.after(this.shuffle.float() * this.shuffleMsMax, o, this.answerLater);
    else this.answer(o);
  }

  /** From now on every answer takes a random time up to `msMax`, so answers overtake each other. 0 = at once again. */
  shuffleAnswers(seed: number, msMax: number): void {
    this.shuffle = msMax > 0 ? createRandom(seed) : null;
    this.shuffleMsMax = msMax;
  }

  /** Requests that are held back now. */
  get heldBack(): number {
    return this.kept.length;
  }

  /** Answers what was held back, in the order of arrival or backwards. */
  letGo(order: 'forward' | 'backward' = 'forward'): void {
    this.hold = false;
    const objects = this.kept.splice(0);
    for (const o of order === 'forward' ? objects : objects.reverse()) this.answer(o);
  }

  /** Answers only those that were held back and are meant; the others, and who comes now, are kept as before. */
  letGoWhere(isMeant: (o: XioObject) => boolean): void {
    for (const o of this.kept.splice(0)) {
      if (isMeant(o)) this.answer(o);
      else this.kept.push(o);
    }
  }

  private answer(o: XioObject): void {
    this.ctx.loop.finish(o, this.isDoomed(o) ? this.failWith : this.perform(o));
  }

  private isDoomed(o: XioObject): boolean {
    if (OP_NAMES[o.op] === this.failOp) return true;
    if (this.failAt === 0 || --this.failAt > 0) return false;
    this.failed++;
    return true;
  }

  private perform(o: XioObject): number {
    const end = o.pos + o.len;
    const { u8, view } = this.ctx.mem;
    if (o.op === OP_READ) u8.set(this.store.subarray(o.pos, end), o.buf);
    else if (o.op === OP_WRITE) this.store.set(u8.subarray(o.buf, o.buf + o.len), o.pos);
    else if (o.op === OP_TRIM || o.op === OP_ZERO) this.store.fill(0, o.pos, end);
    else if (o.op === OP_FLUSH) this.durable.set(this.store);
    else if (o.op === OP_EXTENTS && o.len > 0) {
      view.setFloat64(o.buf, o.pos, true);
      view.setFloat64(o.buf + 8, o.len, true);
      view.setFloat64(o.buf + 16, 0, true);
      o.len = EXTENT_BYTES;
    }
    if (o.flags & F_FUA) this.durable.set(this.store.subarray(o.pos, end), o.pos);
    return 0;
  }
}
