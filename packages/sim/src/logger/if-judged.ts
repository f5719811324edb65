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
  OP_ZERO,
  SUPPORT_NONE,
  createRandom,
  errnoName,
  inject,
  type Clock,
  type InjectionToken,
  type SeededRandom,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { SECTOR_BYTES, readStamp, stampSector } from '../front/sector-stamp.js';
import { SURVEY_BYTES } from '../limits.js';
import type { ClientFlush, ClientRead, ClientWrite } from './history.js';
import type { LoggerJudge } from './judge.js';

/** The judge and the way to end the run; the scenario registers it in the container of each life. */
export interface JudgedClient {
  readonly judge: LoggerJudge;
  readonly onWrong: (error: unknown) => void;
  /** The device must be read back before anything else: it is the first start, or there was a crash. */
  needsSurvey: boolean;
}

export const JUDGED_CLIENT: InjectionToken<JudgedClient> = Symbol('sim/JudgedClient');

class Issued {
  write: ClientWrite | null = null;
  read: ClientRead | null = null;
  flush: ClientFlush | null = null;
  isSurvey = false;
}

type Phase = 'survey' | 'run' | 'ending' | 'finished';

/** How long it waits for free requests, ms. */
const RETRY_MS = 0.05;

/**
 * The client of a logged device: as wild as the parameters say, and everything that it issues, is answered or reads goes to a
 * {@link LoggerJudge}. It reads the whole device first, and the judge compares that with the logs.
 *
 * Facts: `phase`, `finished`, `failures`.
 */
@Brick({
  type: 'if-judged',
  about: 'Client of a logged device in a simulation; a judge hears everything.',
  inputs: { next: { about: 'the device', perm: ['read', 'write'], share: [] } },
  params: {
    properties: {
      depth: { type: 'integer', default: 8, minimum: 1, about: 'requests under way' },
      count: { type: 'integer', default: 0, minimum: 0, about: 'requests until it finishes; 0 = no end' },
      span: { unit: 'bytes', default: 0, about: 'bytes that are touched most of the time; 0 = all' },
      longest: { unit: 'bytes', default: '16K', about: 'longest request' },
      write: { unit: 'percent', default: 55, about: 'share of writes' },
      zero: { unit: 'percent', default: 3, about: 'share of write-zeroes' },
      flush: { unit: 'percent', default: 5, about: 'share of flushes; the rest are reads' },
      fua: { unit: 'percent', default: 10, about: 'share of the writes that must be durable when answered' },
      pause: { unit: 'percent', default: 2, about: 'share of the requests behind which it rests for a while' },
      rest: { unit: 'ms', default: '20ms', about: 'longest rest' },
      errors: { type: 'boolean', default: false, about: 'errors from below are no failure' },
      seed: { type: 'integer', default: 1, about: 'of the workload' },
    },
  },
})
export class IfJudgedBrick extends BrickBase {
  private next!: XioInput;
  private random!: SeededRandom;
  private phase: Phase = 'survey';
  private words!: Uint32Array;
  private found!: Int32Array;
  private underWay = 0;
  private issued = 0;
  private surveyed = 0;
  private failures = 0;
  private isIssuing = false;
  private isResting = false;

  constructor(
    @inject(CLOCK) private readonly clock: Clock,
    @inject(JUDGED_CLIENT) private readonly client: JudgedClient,
  ) {
    super();
  }

  protected override attached(): void {
    this.next = this.input('next');
    this.random = createRandom(this.ctx.params.seed as number);
    this.words = new Uint32Array(this.ctx.mem.memory);
  }

  protected override start(): void {
    const { judge } = this.client;
    this.found = new Int32Array(judge.history.sectorCount);
    this.surveyed = 0;
    this.isIssuing = true;
    judge.deviceUp();
    this.enter(this.client.needsSurvey ? 'survey' : 'run');
    this.plug();
  }

  protected override draining(): void {
    this.isIssuing = false;
  }

  override endBatch(): void {
    const { depth } = this.ctx.params as { depth: number };
    while (this.isIssuing && !this.isResting && this.underWay < depth && this.issueNext()) this.underWay++;
    if (this.underWay === 0 && this.isIssuing) this.phaseEnded();
  }

  complete(o: XioObject): void {
    const issued = o.aspects[this.ctx.slot] as Issued;
    this.underWay--;
    try {
      if (o.err < 0) this.failed(o, issued);
      else this.succeeded(o, issued);
    } catch (error) {
      this.wrong(error);
    }
    this.ctx.pool.free(o);
    this.plug();
  }

  /** @returns false when there is nothing to issue in this phase, or no request to be had */
  private issueNext(): boolean {
    if (this.phase === 'survey') return this.surveyed < this.deviceBytes && this.issueSurvey();
    if (this.phase !== 'run') return false;
    const { count, pause } = this.ctx.params as { count: number; pause: number };
    if (count > 0 && this.issued >= count) {
      this.enter('ending');
      return false;
    }
    if (this.random.float() * 100 < pause) this.rest();
    return this.issueAnything();
  }

  private issueSurvey(): boolean {
    const len = Math.min(SURVEY_BYTES, this.deviceBytes - this.surveyed);
    const o = this.take(len);
    if (o === null) return false;
    this.aspect(o).isSurvey = true;
    this.send(o, OP_READ, 0, this.surveyed, len);
    this.surveyed += len;
    return true;
  }

  private issueAnything(): boolean {
    const { random } = this;
    const { write, zero, flush, fua } = this.ctx.params as Record<'write' | 'zero' | 'flush' | 'fua', number>;
    const share = random.float() * 100;
    const { pos, len } = this.place();
    const mayZero = this.next.cached.zero !== SUPPORT_NONE;
    const flags = random.float() * 100 < fua && this.next.cached.fua !== SUPPORT_NONE ? F_FUA : 0;
    if (share < write) return this.issue(OP_WRITE, flags, pos, len);
    if (share < write + zero && mayZero) return this.issue(OP_ZERO, flags, pos, len);
    if (share < write + zero + flush) return this.issue(OP_FLUSH, 0, 0, 0);
    return this.issue(OP_READ, 0, pos, len);
  }

  /** Mostly within the span, so that there are overlaps; sometimes anywhere. */
  private place(): { pos: number; len: number } {
    const { random } = this;
    const { span, longest } = this.ctx.params as { span: number; longest: number };
    const bytes = span === 0 || random.int(8) === 0 ? this.deviceBytes : Math.min(span, this.deviceBytes);
    const sectors = bytes / SECTOR_BYTES;
    const most = Math.min(sectors, Math.max(1, Math.floor(longest / SECTOR_BYTES)));
    const count = 1 + random.int(random.int(3) === 0 ? most : Math.min(most, 8));
    return { pos: random.int(sectors - count + 1) * SECTOR_BYTES, len: count * SECTOR_BYTES };
  }

  private issue(op: number, flags: number, pos: number, len: number): boolean {
    const o = this.take(op === OP_ZERO ? 0 : len);
    if (o === null) return false;
    const { judge } = this.client;
    this.issued++;
    const issued = this.aspect(o);
    const isFua = (flags & F_FUA) !== 0;
    if (op === OP_FLUSH) issued.flush = judge.issueFlush();
    else if (op === OP_READ) issued.read = judge.issueRead();
    else issued.write = judge.issueWrite(pos, len, { isZero: op === OP_ZERO, isFua });
    if (op === OP_WRITE) this.stamp(o, pos, len / SECTOR_BYTES, issued.write!.nr);
    this.send(o, op, flags, pos, len);
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
    const { judge } = this.client;
    if (issued.write !== null) judge.answerWrite(issued.write);
    else if (issued.flush !== null) judge.answerFlush(issued.flush);
    else this.look(o, issued);
  }

  private failed(o: XioObject, issued: Issued): void {
    if (issued.write !== null) this.client.judge.failWrite(issued.write);
    this.ctx.publish('failures', ++this.failures);
    if (this.ctx.params.errors === true && !issued.isSurvey) return;
    throw new MarsError(ErrorCode.VERIFY_FAILED, `request at ${o.pos} failed with ${errnoName(o.err)}`, {
      hint: 'No error was expected here.',
    });
  }

  private look(o: XioObject, issued: Issued): void {
    const first = o.pos / SECTOR_BYTES;
    for (let i = 0; i < o.len / SECTOR_BYTES; i++) {
      const content = readStamp(this.words, (o.buf + i * SECTOR_BYTES) / 4, first + i);
      if (issued.isSurvey) this.found[first + i] = content;
      else this.client.judge.judgeRead(issued.read!, first + i, content);
    }
  }

  /** A wrong answer is no fault of this brick: it ends the run, and does not merely switch the brick off. */
  private wrong(error: unknown): void {
    this.isIssuing = false;
    this.client.onWrong(error);
  }

  private phaseEnded(): void {
    if (this.phase === 'survey' && this.surveyed >= this.deviceBytes) this.surveyDone();
    else if (this.phase === 'ending') this.enter('finished');
  }

  private surveyDone(): void {
    try {
      this.client.judge.surveyed(this.found);
    } catch (error) {
      return this.wrong(error);
    }
    this.client.needsSurvey = false;
    this.enter('run');
    this.plug();
  }

  private enter(phase: Phase): void {
    this.phase = phase;
    this.ctx.publish('phase', phase);
    this.ctx.publish('finished', phase === 'finished');
  }

  private rest(): void {
    this.isResting = true;
    this.clock.after(this.random.float() * (this.ctx.params.rest as number), this, (self) => {
      self.isResting = false;
      self.plug();
    });
  }

  private take(len: number): XioObject | null {
    const o = this.ctx.pool.take(this, len);
    if (o === null && this.underWay === 0 && !this.isResting) {
      this.isResting = true;
      this.clock.after(RETRY_MS, this, (self) => {
        self.isResting = false;
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

  private stamp(o: XioObject, pos: number, count: number, nr: number): void {
    const first = pos / SECTOR_BYTES;
    for (let i = 0; i < count; i++) stampSector(this.words, (o.buf + i * SECTOR_BYTES) / 4, nr, first + i);
  }

  private get deviceBytes(): number {
    return this.client.judge.history.deviceBytes;
  }
}
