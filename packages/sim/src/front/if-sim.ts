import {
  Brick,
  BrickBase,
  CLOCK,
  ErrorCode,
  F_FUA,
  MarsError,
  OP_FLUSH,
  OP_READ,
  OP_WRITE,
  SUPPORT_NONE,
  createRandom,
  errnoName,
  inject,
  invariant,
  type Clock,
  type InjectionToken,
  type SeededRandom,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { SURVEY_BYTES } from '../limits.js';
import type { DeviceMemory, FlushMemory, ReadMemory, WriteMemory } from './device-memory.js';
import { SECTOR_BYTES, readStamp, stampSector } from './sector-stamp.js';

/** The memory of the client; the scenario registers it in the container of each life. */
export const DEVICE_MEMORY: InjectionToken<DeviceMemory> = Symbol('sim/DeviceMemory');

/** What this request was, for the judge. */
class Issued {
  write: WriteMemory | null = null;
  read: ReadMemory | null = null;
  flush: FlushMemory | null = null;
  isSurvey = false;
}

type Phase = 'survey' | 'run' | 'ending' | 'finished';

/** How long it waits for free requests, ms. */
const RETRY_MS = 0.05;

/**
 * The client of a device: overlapping writes, reads at any time, flushes and FUA, as wild as the parameters say. What was
 * answered is remembered in a {@link DeviceMemory} outside of the host; after a crash it reads everything back first and
 * compares. A wrong sector ends the run.
 *
 * Facts: `phase`, `finished`.
 */
@Brick({
  type: 'if-sim',
  about: 'Client of a device in a simulation; remembers what was answered.',
  inputs: { next: { about: 'the device', perm: ['read', 'write'], share: [] } },
  params: {
    properties: {
      depth: { type: 'integer', default: 8, minimum: 1, about: 'requests under way' },
      count: { type: 'integer', default: 0, minimum: 0, about: 'requests until it finishes; 0 = no end' },
      span: { unit: 'bytes', default: 0, about: 'bytes that are touched; 0 = all. A small span means many overlaps' },
      longest: { unit: 'bytes', default: '16K', about: 'longest request' },
      write: { unit: 'percent', default: 50, about: 'share of writes' },
      flush: { unit: 'percent', default: 5, about: 'share of flushes; the rest are reads' },
      fua: { unit: 'percent', default: 10, about: 'share of the writes that must be durable when answered' },
      prefix: {
        type: 'boolean',
        default: false,
        about: 'after a crash, demand a prefix of the writes (a device with a log)',
      },
      errors: { type: 'boolean', default: false, about: 'errors from below are no failure' },
      seed: { type: 'integer', default: 1, about: 'of the workload' },
    },
  },
})
export class IfSimBrick extends BrickBase {
  private next!: XioInput;
  private random!: SeededRandom;
  private phase: Phase = 'run';
  private words!: Uint32Array;
  private underWay = 0;
  private issued = 0;
  private surveyed = 0;
  private isIssuing = false;
  private isRetrying = false;

  constructor(
    @inject(CLOCK) private readonly clock: Clock,
    @inject(DEVICE_MEMORY) private readonly memory: DeviceMemory,
  ) {
    super();
  }

  protected override attached(): void {
    this.next = this.input('next');
    this.random = createRandom(this.ctx.params.seed as number);
    this.words = new Uint32Array(this.ctx.mem.memory);
  }

  protected override start(): void {
    const { size, align } = this.next.cached;
    invariant(size >= this.memory.sizeBytes, 'if-sim: the device is smaller than its client remembers');
    invariant(align <= SECTOR_BYTES, 'if-sim works in sectors');
    this.isIssuing = true;
    this.surveyed = 0;
    this.enter(this.memory.needsSurvey ? 'survey' : 'run');
    this.plug();
  }

  protected override draining(): void {
    this.isIssuing = false;
  }

  override endBatch(): void {
    this.pump();
  }

  complete(o: XioObject): void {
    const issued = o.aspects[this.ctx.slot] as Issued;
    this.underWay--;
    if (o.err < 0) this.failed(o, issued);
    else this.succeeded(o, issued);
    if (issued.read !== null) this.memory.endRead(issued.read);
    this.ctx.pool.free(o);
    this.plug();
  }

  private pump(): void {
    const { depth } = this.ctx.params as { depth: number };
    while (this.isIssuing && this.underWay < depth && this.issueNext()) this.underWay++;
    if (this.underWay === 0 && this.isIssuing) this.phaseEnded();
  }

  /** @returns false when there is nothing to issue in this phase, or no request to be had */
  private issueNext(): boolean {
    if (this.phase === 'survey') return this.surveyed < this.memory.sizeBytes && this.issueSurvey();
    if (this.phase !== 'run') return false;
    const { count } = this.ctx.params as { count: number };
    if (count > 0 && this.issued >= count) {
      this.enter('ending');
      return false;
    }
    return this.issueAnything();
  }

  private issueSurvey(): boolean {
    const len = Math.min(SURVEY_BYTES, this.memory.sizeBytes - this.surveyed);
    const o = this.take(len);
    if (o === null) return false;
    const issued = this.aspect(o);
    issued.isSurvey = true;
    this.send(o, OP_READ, 0, this.surveyed, len);
    this.surveyed += len;
    return true;
  }

  private issueAnything(): boolean {
    const { random, memory } = this;
    const { write, flush, fua, span, longest } = this.ctx.params as Record<
      'write' | 'flush' | 'fua' | 'span' | 'longest',
      number
    >;
    const share = random.float() * 100;
    const op = share < write ? OP_WRITE : share < write + flush ? OP_FLUSH : OP_READ;
    const sectors = Math.floor((span || memory.sizeBytes) / SECTOR_BYTES);
    const count = 1 + random.int(Math.min(sectors, Math.floor(longest / SECTOR_BYTES)));
    const pos = random.int(sectors - count + 1) * SECTOR_BYTES;
    const isFua = random.float() * 100 < fua && this.next.cached.fua !== SUPPORT_NONE;
    const len = op === OP_FLUSH ? 0 : count * SECTOR_BYTES;
    const o = this.take(len);
    if (o === null) return false;
    this.issued++;
    const issued = this.aspect(o);
    if (op === OP_FLUSH) issued.flush = memory.issueFlush();
    else if (op === OP_READ) issued.read = memory.issueRead();
    else {
      issued.write = memory.issueWrite(pos, len);
      this.stamp(o, pos, count, issued.write.id);
    }
    this.send(o, op, op === OP_WRITE && isFua ? F_FUA : 0, op === OP_FLUSH ? 0 : pos, len);
    return true;
  }

  private send(o: XioObject, op: number, flags: number, pos: number, len: number): void {
    o.op = op;
    o.flags = flags;
    o.pos = pos;
    o.len = len;
    o.push(this);
    this.next.io(o);
  }

  private succeeded(o: XioObject, issued: Issued): void {
    const { memory } = this;
    if (issued.write !== null) memory.answerWrite(issued.write, (o.flags & F_FUA) !== 0);
    else if (issued.flush !== null) memory.answerFlush(issued.flush);
    else this.judge(o, issued);
  }

  private failed(o: XioObject, issued: Issued): void {
    if (issued.write !== null) this.memory.failWrite(issued.write);
    if (this.ctx.params.errors === true && !issued.isSurvey) return;
    const text = `request at ${o.pos} failed with ${errnoName(o.err)}`;
    this.wrong(new MarsError(ErrorCode.VERIFY_FAILED, text, { hint: 'No error was expected here.' }));
  }

  private judge(o: XioObject, issued: Issued): void {
    const first = o.pos / SECTOR_BYTES;
    try {
      for (let i = 0; i < o.len / SECTOR_BYTES; i++) {
        const id = readStamp(this.words, (o.buf + i * SECTOR_BYTES) / 4, first + i);
        if (issued.isSurvey) this.memory.survey(first + i, id);
        else this.memory.judge(issued.read!, first + i, id);
      }
    } catch (error) {
      this.wrong(error);
    }
  }

  /** A wrong answer is no fault of this brick: it ends the run, and does not merely switch the brick off. */
  private wrong(error: unknown): void {
    this.isIssuing = false;
    this.ctx.publish('failed', true);
    this.memory.onWrong(error);
  }

  private phaseEnded(): void {
    if (this.phase === 'survey' && this.surveyed >= this.memory.sizeBytes) {
      this.surveyDone();
    } else if (this.phase === 'ending') this.enter('finished');
  }

  private surveyDone(): void {
    try {
      this.memory.surveyDone({ prefix: this.ctx.params.prefix as boolean });
    } catch (error) {
      return this.wrong(error);
    }
    this.enter('run');
    this.plug();
  }

  private enter(phase: Phase): void {
    this.phase = phase;
    this.ctx.publish('phase', phase);
    this.ctx.publish('finished', phase === 'finished');
  }

  private take(len: number): XioObject | null {
    const o = this.ctx.pool.take(this, len);
    if (o === null && this.underWay === 0 && !this.isRetrying) {
      this.isRetrying = true;
      this.clock.after(RETRY_MS, this, (self) => {
        self.isRetrying = false;
        self.plug();
      });
    }
    return o;
  }

  private aspect(o: XioObject): Issued {
    const issued = (o.aspects[this.ctx.slot] ??= new Issued()) as Issued;
    issued.write = issued.read = issued.flush = null;
    issued.isSurvey = false;
    return issued;
  }

  private stamp(o: XioObject, pos: number, count: number, id: number): void {
    const first = pos / SECTOR_BYTES;
    for (let i = 0; i < count; i++) stampSector(this.words, (o.buf + i * SECTOR_BYTES) / 4, id, first + i);
  }
}
