import { OP_FLUSH, RequestQueue, crashPoint, errnoName, type Completer, type XioObject } from '@mars/brick-core';
import type { Appender } from './append.js';
import type { LoggerFaults } from './faults.js';
import type { Gate } from './gate.js';
import type { LoggerHouse } from './house.js';
import { RESUME_MS } from './limits.js';
import type { LogInput } from './log-input.js';
import type { MemoryBuffer } from './memory-buffer.js';
import type { OnLogError } from './params.js';
import type { Progress } from './progress.js';
import type { Rotation } from './rotate.js';
import type { Writeback } from './writeback.js';

/**
 * none: the log works. held: it failed, and everybody waits. failing: it failed, and so do writes. draining: logging shall end;
 * what is durable goes to the device first. bypass-waiting: that is done, and the hole in the serials is missing. bringing-over:
 * what could not be logged goes to the device. bypass: the device is served without a log.
 */
export type EmergencyState = 'none' | 'held' | 'failing' | 'draining' | 'bypass-waiting' | 'bringing-over' | 'bypass';

interface EmergencyParams {
  'on-log-error': OnLogError;
  'bypass-allowed': boolean;
  'cease-logging': boolean;
  resume: boolean;
}

/**
 * What happens when the log cannot be written, or shall not be (INV-18): nothing that is not logged is acknowledged, nothing
 * that is not durable in the log goes to the device, except in bypass, and then the serials have a hole.
 *
 * ```
 *   none ── log fails ─> held ── works again, or a fresh log is wired ──────────────────> none
 *                        failing ── a fresh log is wired ───────────────────────────────> none
 *                        draining ─> bypass-waiting ─ bypass-allowed ─> bringing-over ─> bypass ── fresh log ─> none
 * ```
 * Which of the three is the parameter `on-log-error`; `cease-logging` leads to the third without a failure.
 * Source: transaction-log.md 2.8; bricks.md 4.8
 */
export class Emergency {
  state: EmergencyState = 'none';
  /** Why; 0 when nothing failed. */
  err = 0;
  private isRetryDue = false;
  private isTimerArmed = false;
  /** Requests that pass to the device without a log. */
  private passing = 0;
  private isLeaving = false;
  private flusher: XioObject | null = null;
  private flushState: 'needed' | 'under way' | 'done' | 'failed' = 'needed';
  private readonly passStep: Completer;
  private readonly flushStep: Completer;
  private readonly queue = new RequestQueue();

  constructor(
    private readonly house: LoggerHouse,
    private readonly log: Appender,
    private readonly memory: MemoryBuffer,
    private readonly gate: Gate,
    private readonly writeback: Writeback,
    private readonly progress: Progress,
    private readonly rotation: Rotation,
    private readonly stateChanged: () => void,
    private readonly faults: LoggerFaults,
  ) {
    this.passStep = house.completer((o) => this.passed(o));
    this.flushStep = house.completer((o) => this.flushed(o));
  }

  /** @returns false when the pool has no object to spare */
  start(): boolean {
    this.state = 'none';
    this.err = this.passing = 0;
    this.isRetryDue = this.isLeaving = false;
    this.flusher ??= this.house.ctx.pool.take(this.house.brick, 0);
    return this.flusher !== null;
  }

  close(): void {
    if (this.flusher !== null) this.house.ctx.pool.free(this.flusher);
    this.flusher = null;
  }

  get isQuiet(): boolean {
    return this.passing === 0 && this.flushState !== 'under way' && this.queue.length === 0;
  }

  /** Everything that can be done without the log is done; only somebody from outside can help. */
  get isStuck(): boolean {
    return this.state !== 'none' && this.state !== 'bypass' && this.isQuiet;
  }

  /** Requests do not go through the log. */
  get isBypassing(): boolean {
    return this.state === 'bypass';
  }

  /** A write, zero or flush while {@link isBypassing}. */
  pass(o: XioObject): void {
    if (this.isLeaving) return this.queue.push(o);
    this.passing++;
    o.push(this.passStep);
    this.house.data.io(o);
  }

  logFailed(slot: LogInput, err: number, wasSync: boolean): void {
    if (this.state === 'none') {
      const hint = wasSync
        ? 'What was written since the last sync may be lost in this file: wire an empty log with the next serial.'
        : 'Make space, or repair the volume of the logs; or wire an empty log with the next serial.';
      const { log } = this.house.ctx;
      log.error({ serial: slot.serial, err: errnoName(err), wasSync, hint }, 'the log cannot be written');
    }
    this.err = err;
    this.enter(this.state === 'draining' ? 'draining' : 'held');
    if (this.faults.answerFailedWrites) this.gate.failAll(0);
    this.armRetry();
    this.house.plug();
  }

  /** Somebody wants the log to be tried again now. */
  tryNow(): void {
    this.isRetryDue = true;
    this.pump();
  }

  /** Once per tick with something to do: goes one step further if it can. */
  pump(): void {
    const params = this.house.ctx.params as unknown as EmergencyParams;
    if (this.state === 'none') {
      if (params['cease-logging']) this.cease();
    } else if (this.state === 'held') this.pumpHeld(params);
    else if (this.state === 'failing') this.relogIfFresh(params);
    else if (this.state === 'draining' || this.state === 'bypass-waiting') this.pumpDraining(params);
    else if (this.state === 'bringing-over') this.pumpBringingOver();
    else this.pumpBypass(params);
  }

  private enter(state: EmergencyState): void {
    if (this.state === state) return;
    this.state = state;
    // First the positions as they stand: whoever acts on the state cuts files where they say.
    this.progress.report();
    this.stateChanged();
  }

  // ------------------------------------------------------------------------------------------------------- hold, fail

  private pumpHeld(params: EmergencyParams): void {
    if (!this.log.isSettled || this.log.secure()) return;
    if (this.relogIfFresh(params)) return;
    if (params['on-log-error'] === 'fail') this.fail();
    else if (params['on-log-error'] === 'bypass') this.drain();
    else if (params.resume && this.isRetryDue && !this.log.hasLostBytes) this.resume();
  }

  /** The same bytes to the same place: when it works, nothing has happened. */
  private resume(): void {
    this.isRetryDue = false;
    this.err = 0;
    this.enter('none');
    this.log.retry();
  }

  /** Who waits is told; what was answered early stays in memory, for a fresh log. */
  private fail(): void {
    this.gate.refuse(this.err);
    this.log.discardUnanswered();
    this.enter('failing');
  }

  /** Everything that is not durable is logged again, into an empty file; the old one ends where it is durable. */
  private relogIfFresh({ resume }: EmergencyParams): boolean {
    if (!resume || !this.log.mayRelog) return false;
    const fresh = this.rotation.fresh(false);
    if (fresh === null) return false;
    crashPoint('logger.before-relog');
    this.log.relog(fresh.slot, fresh.serial);
    this.recovered();
    return true;
  }

  private recovered(): void {
    this.err = 0;
    this.isRetryDue = false;
    this.gate.accept();
    this.progress.force();
    this.enter('none');
    this.house.plug();
  }

  private armRetry(): void {
    if (this.isTimerArmed) return;
    this.isTimerArmed = true;
    this.house.clock.after(RESUME_MS, null, this.retryIsDue);
  }

  private readonly retryIsDue = (): void => {
    this.isTimerArmed = false;
    if (this.state !== 'held') return;
    this.tryNow();
    this.armRetry();
  };

  // ----------------------------------------------------------------------------------------------------------- bypass

  private cease(): void {
    this.house.ctx.log.warn({}, 'logging ceases: what is in memory is written back first');
    this.gate.shut();
    this.enter('draining');
  }

  private drain(): void {
    this.gate.shut();
    this.enter('draining');
  }

  /** All that is durable is on the device; the rest never became so. */
  private get isDrained(): boolean {
    return this.log.isSettled && (this.log.isStalled || this.log.isDurable) && this.writeback.isIdle;
  }

  private pumpDraining(params: EmergencyParams): void {
    if (!params['cease-logging'] && this.err === 0) return this.recovered();
    if (this.err !== 0 && this.relogIfFresh(params)) return;
    if (!this.isDrained) return;
    if (!params['bypass-allowed']) return this.enter('bypass-waiting');
    this.log.bringOver((v) => this.writeback.becameDurable(v));
    this.flushState = 'needed';
    this.enter('bringing-over');
    this.house.plug();
  }

  /** Unlogged data goes to the device and is flushed there before anybody hears of it. */
  private pumpBringingOver(): void {
    if (!this.memory.isEmpty || this.flushState === 'under way') return;
    if (this.flushState === 'needed') return this.flush();
    if (this.flushState === 'failed') return;
    this.enter('bypass');
    this.gate.handOver((o) => this.pass(o));
  }

  /** Back to the log: what passed meanwhile must be durable first, for a later flush looks at the log only (INV-1). */
  private pumpBypass({ resume, 'cease-logging': mustCease }: EmergencyParams): void {
    const fresh = resume && !mustCease ? this.rotation.fresh(true) : null;
    if (fresh === null && !this.isLeaving) return;
    if (!this.isLeaving) {
      this.isLeaving = true;
      this.flushState = 'needed';
    }
    if (this.passing > 0 || this.flushState === 'under way') return;
    if (this.flushState === 'needed') return this.flush();
    this.isLeaving = false;
    if (this.flushState === 'done' && fresh !== null) {
      this.log.startOver(fresh.slot, fresh.serial);
      this.progress.startOver();
      this.recovered();
    }
    for (let o = this.queue.shift(); o !== null; o = this.queue.shift()) this.again(o);
  }

  private again(o: XioObject): void {
    if (this.isBypassing) this.pass(o);
    else if (o.op === OP_FLUSH) this.gate.flush(o);
    else this.gate.enter(o);
  }

  private passed(o: XioObject): void {
    this.passing--;
    this.house.plug();
    o.done(o.err);
  }

  private flush(): void {
    const o = this.flusher!;
    o.op = OP_FLUSH;
    o.flags = o.len = 0;
    o.pos = 0;
    this.flushState = 'under way';
    o.push(this.flushStep);
    this.house.data.io(o);
  }

  private flushed(o: XioObject): void {
    o.unwind();
    this.flushState = o.err < 0 ? 'failed' : 'done';
    this.house.plug();
  }
}
