import {
  AGAIN,
  Brick,
  CAP_GROW,
  EIO,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  PASS,
  Saved,
  TransformBrick,
  createRandom,
  errnoByName,
  type Counter,
  type ParamSchema,
  type XioObject,
} from '@mars/brick-core';
import { Chance } from './chance.js';
import { Fault, faultSchema, type FaultParams } from './fault.js';

const FAULTS = { read: OP_READ, write: OP_WRITE, flush: OP_FLUSH, trim: OP_TRIM, zero: OP_ZERO } as const;

const NOT_SENT = -1;

/** What was decided about one request, on its way down, once. */
class Fate extends Saved {
  /** Answer this instead of success; 0 = no error injected. */
  err = 0;
  /** Bytes that are carried out, normally all; NOT_SENT: the request does not reach the provider. */
  sentBytes = 0;
  flips = false;
  isShort = false;
}

const share = (about: string): ParamSchema => ({ type: 'number', minimum: 0, maximum: 1, default: 0, about });

/**
 * Injects what goes wrong with disks: errors before or after the effect, torn writes, short reads, silent corruption. Same seed,
 * same faults. What the consumer sent is never changed: a corrupted write is a corrupted copy.
 */
@Brick({
  type: 'error',
  about: 'Injects errors, torn writes, short reads and silent corruption.',
  inputs: { next: {} },
  ops: [OP_READ, OP_WRITE, OP_FLUSH, OP_TRIM, OP_ZERO, OP_EXTENTS, OP_CACHE],
  params: {
    properties: {
      read: faultSchema('reads'),
      write: faultSchema('writes'),
      flush: faultSchema('flushes'),
      trim: faultSchema('trims'),
      zero: faultSchema('zeroes'),
      nth: { type: 'integer', minimum: 0, default: 0, about: 'fail the Nth request from now, of any kind; 0 = none' },
      torn: share('share of the writes of which only the first sectors are written, then an error'),
      sector: { unit: 'bytes', enum: [512, 4096], default: 512, about: 'what a torn write does not tear' },
      errno: { type: 'string', format: 'errno', default: 'EIO', about: 'the error of nth and torn' },
      short: share('share of the reads that serve less than asked'),
      shortOn: { enum: ['growing', 'any'], default: 'growing', about: 'any: also where the contract forbids it' },
      flip: share('share of the requests with data in which one bit is flipped silently'),
      flipOn: { enum: ['read', 'write', 'both'], default: 'both', about: 'where bits are flipped' },
      armed: { type: 'boolean', default: true, about: 'false: let everything pass' },
      seed: { type: 'integer', default: 1, about: 'of all that is random here' },
    },
  },
  live: ['read', 'write', 'flush', 'trim', 'zero', 'nth', 'torn', 'short', 'flip', 'armed'],
})
export class ErrorBrick extends TransformBrick {
  private readonly faults: (Fault | undefined)[] = [];
  private armed = true;
  private untilNth = 0;
  private nthErr = -EIO;
  private sectorBytes = 512;
  private flipsReads = true;
  private flipsWrites = true;
  private tearing!: Chance;
  private shortening!: Chance;
  private flipping!: Chance;
  private nths!: Counter;
  private torn!: Counter;
  private shorts!: Counter;
  private flipped!: Counter;

  protected override attached(): void {
    const { ctx } = this;
    const random = createRandom(ctx.params.seed as number);
    this.tearing = new Chance(random.fork());
    this.shortening = new Chance(random.fork());
    this.flipping = new Chance(random.fork());
    for (const [name, op] of Object.entries(FAULTS)) {
      this.faults[op] = new Fault(new Chance(random.fork()), ctx.counter(`${name}Errors`));
      this.faults[op].configure(ctx.params[name] as FaultParams);
    }
    this.nths = ctx.counter('nthErrors');
    this.torn = ctx.counter('torn');
    this.shorts = ctx.counter('short');
    this.flipped = ctx.counter('flipped');
    this.nthErr = -errnoByName(ctx.params.errno as string)!;
    this.sectorBytes = ctx.params.sector as number;
    this.flipsReads = ctx.params.flipOn !== 'write';
    this.flipsWrites = ctx.params.flipOn !== 'read';
    this.untilNth = ctx.params.nth as number;
    this.takeRates();
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name in FAULTS) this.faults[FAULTS[name as keyof typeof FAULTS]]!.configure(value as FaultParams);
    else if (name === 'nth') this.untilNth = value as number;
    else this.takeRates();
  }

  override io(o: XioObject): void {
    const fate = (o.aspects[this.ctx.slot] ??= new Fate()) as Fate;
    fate.err = 0;
    fate.sentBytes = o.len;
    fate.flips = fate.isShort = false;
    if (this.armed) this.decide(o, fate);
    super.io(o);
  }

  protected override down(o: XioObject, saved: Saved): number {
    const fate = saved as Fate;
    if (fate.sentBytes === NOT_SENT) return fate.err;
    if (o.op === OP_WRITE && fate.flips && !this.corruptCopy(o, fate)) return AGAIN;
    o.len = fate.sentBytes;
    return PASS;
  }

  protected override up(o: XioObject, saved: Saved): void {
    const fate = saved as Fate;
    if (fate.err < 0) o.err = fate.err;
    else if (o.op === OP_READ && o.len > 0) {
      if (fate.flips) this.flipOneBit(o);
      if (fate.isShort) this.shorten(o);
    }
  }

  private decide(o: XioObject, fate: Fate): void {
    const fault = this.faults[o.op];
    if (this.untilNth > 0 && --this.untilNth === 0) {
      this.nths.n++;
      fate.err = this.nthErr;
      fate.sentBytes = NOT_SENT;
    } else if (fault?.strikes(o)) {
      fate.err = fault.err;
      fate.sentBytes = fault.applied ? o.len : NOT_SENT;
    } else if (o.op === OP_WRITE) this.decideWrite(o, fate);
    else if (o.op === OP_READ) this.decideRead(fate);
  }

  private decideWrite(o: XioObject, fate: Fate): void {
    if (this.tearing.happens()) this.tear(o, fate);
    if (this.flipsWrites) fate.flips = this.flipping.happens();
  }

  private decideRead(fate: Fate): void {
    if (this.flipsReads) fate.flips = this.flipping.happens();
    if (this.mayShorten()) fate.isShort = this.shortening.happens();
  }

  private mayShorten(): boolean {
    return this.ctx.params.shortOn === 'any' || (this.next.cached.caps & CAP_GROW) !== 0;
  }

  /** Ends the write at a sector boundary inside it, or before its first byte. A write within one sector stays whole. */
  private tear(o: XioObject, fate: Fate): void {
    const sector = Math.max(this.sectorBytes, this.next.cached.align);
    const lead = o.pos % sector;
    const boundaries = Math.ceil((lead + o.len) / sector) - 1;
    if (boundaries < 1) return;
    const at = this.tearing.pick(boundaries + 1);
    this.torn.n++;
    fate.err = this.nthErr;
    fate.sentBytes = at === 0 ? NOT_SENT : at * sector - lead;
  }

  /** Below goes a copy with one bit flipped, so that the consumer's payload stays as it is. False = no memory now. */
  private corruptCopy(o: XioObject, fate: Fate): boolean {
    const original = o.buf;
    if (!this.borrow(o, fate, o.len)) return false;
    this.ctx.mem.copy(o.buf, original, o.len);
    this.flipOneBit(o);
    return true;
  }

  private flipOneBit(o: XioObject): void {
    const bit = this.flipping.pick(o.len * 8);
    this.ctx.mem.u8[o.buf + (bit >>> 3)]! ^= 1 << (bit & 7);
    this.flipped.n++;
  }

  private shorten(o: XioObject): void {
    const unit = this.next.cached.align;
    const units = Math.floor(o.len / unit);
    if (units < 2) return;
    o.len = unit * (1 + this.shortening.pick(units - 1));
    this.shorts.n++;
  }

  private takeRates(): void {
    const { params } = this.ctx;
    this.armed = params.armed as boolean;
    this.tearing.rate = params.torn as number;
    this.shortening.rate = params.short as number;
    this.flipping.rate = params.flip as number;
  }
}
