import { EIO, ErrorCode, MarsError, type XioInput, type XioObject } from '@mars/brick-core';
import type { CompressionName } from '../log-format/compression.js';
import type { DigestEngine, DigestName } from '../log-format/digests.js';
import { Appender } from './append.js';
import { BlockStore } from './blocks.js';
import { Emergency } from './emergency.js';
import type { LoggerFaults } from './faults.js';
import { Gate } from './gate.js';
import type { LoggerHouse } from './house.js';
import { BLOCKS_MIN, IDLE_MS, MIN_BLOCK_BYTES, SECTOR_BYTES } from './limits.js';
import { LogInput } from './log-input.js';
import { MemoryBuffer, type Version } from './memory-buffer.js';
import { Progress } from './progress.js';
import { Reader } from './read.js';
import { Rotation } from './rotate.js';
import type { LogStamps } from './stamps.js';
import { Writeback } from './writeback.js';

/** The parameters as the brick gets them: milliseconds and bytes. */
interface LoggingParams {
  'completion-semantics': number;
  'memory-limit': number;
  'record-bytes': number;
  digest: DigestName;
  compression: CompressionName | 'none';
  'log-buffer': number;
  'unsynced-cap': number;
  'sync-after': number;
  'report-interval': number;
  'writeback-maxage': number;
  'writeback-parallel': number;
}

/**
 * closed: not our turn. open: serving. ending: the led fell, everything is brought home.
 */
type Phase = 'closed' | 'open' | 'ending';

/** Logging mode: the parts of the logger, put together; decides how hard each of them works. */
export class Logging {
  private phase: Phase = 'closed';
  private readonly blocks: BlockStore;
  private readonly memory: MemoryBuffer;
  private readonly log: Appender;
  private readonly gate: Gate;
  private readonly reader: Reader;
  private readonly writeback: Writeback;
  private readonly progress: Progress;
  private readonly rotation: Rotation;
  private readonly emergency: Emergency;
  private readonly slots: LogInput[];
  private lastWriteUs = 0.5;
  private isIdleTimerArmed = false;

  constructor(
    private readonly house: LoggerHouse,
    logs: readonly XioInput[],
    stamps: LogStamps,
    private readonly faults: LoggerFaults,
  ) {
    const { mem } = house.ctx;
    this.blocks = new BlockStore(mem, blockBytes(this.params));
    this.memory = new MemoryBuffer(mem, this.blocks);
    this.slots = logs.map((wire, nr) => new LogInput(nr, wire));
    this.writeback = new Writeback(house, this.memory, () => this.stateChanged(), faults);
    this.log = new Appender(
      house,
      this.blocks,
      this.memory,
      {
        advanced: () => this.gate.answer(),
        becameDurable: (v: Version) => this.writeback.becameDurable(v),
        logFailed: (slot, err, wasSync) => this.emergency.logFailed(slot, err, wasSync),
      },
      faults,
    );
    this.gate = new Gate(house, this.memory, this.log, stamps, faults);
    this.reader = new Reader(house, this.memory, faults);
    this.progress = new Progress(
      house,
      this.log,
      {
        logDone: (slot) => this.logDone(slot),
        reported: () => house.ctx.publish('memory', this.blocks.usedBytes),
        dataFlushFailed: (err) => this.dataFlushFailed(err),
      },
      faults,
    );
    this.rotation = new Rotation(house, this.slots, this.log, this.gate);
    this.emergency = new Emergency(
      house,
      this.log,
      this.memory,
      this.gate,
      this.writeback,
      this.progress,
      this.rotation,
      () => this.stateChanged(),
      faults,
    );
  }

  get isOpen(): boolean {
    return this.phase !== 'closed';
  }

  get memoryBytes(): number {
    return this.blocks.usedBytes;
  }

  private get params(): LoggingParams {
    return this.house.ctx.params as unknown as LoggingParams;
  }

  // ------------------------------------------------------------------------------------------------------------ power

  /** @throws MarsError START_FAILED, LIMIT_REACHED */
  open(engine: DigestEngine): void {
    const slot = this.rotation.first();
    const { digest, compression } = this.params;
    const hasMemory =
      this.blocks.open() &&
      this.log.start(slot, { digests: [digest], compression, engine }) &&
      this.writeback.start() &&
      this.progress.start() &&
      this.emergency.start();
    if (!hasMemory) {
      this.close();
      throw new MarsError(ErrorCode.LIMIT_REACHED, 'there is no memory for a logger', {
        hint: 'Give the loop a larger arena or more requests.',
      });
    }
    this.reader.deviceErr = 0;
    this.gate.start();
    this.applyParams();
    this.phase = 'open';
    this.progress.report();
    this.stateChanged();
  }

  applyParams(): void {
    const { params } = this;
    const align = Math.max(SECTOR_BYTES, this.house.data.cached.align);
    this.gate.semantics = params['completion-semantics'];
    this.gate.recordBytes = Math.max(align, params['record-bytes'] - (params['record-bytes'] % align));
    this.blocks.limitBytes = this.faults.noMemoryLimit ? Infinity : params['memory-limit'];
    this.log.limits.unsyncedCapBytes = params['unsynced-cap'];
    this.log.limits.syncAfterMs = params['sync-after'];
    this.progress.intervalMs = params['report-interval'];
    this.house.plug();
  }

  /** Brings everything home: answered, durable, written back, published. What the devices refuse stays in the log. */
  async end(): Promise<void> {
    if (this.phase === 'closed') return;
    await this.bringHome();
    this.gate.failAll(this.emergency.err === 0 ? -EIO : this.emergency.err);
    this.phase = 'closed';
    this.writeback.close();
    this.forgetAll();
    this.log.close();
    this.progress.close();
    this.emergency.close();
  }

  close(): void {
    this.phase = 'closed';
    this.log.close();
    this.writeback.close();
    this.progress.close();
    this.emergency.close();
    this.blocks.close();
    this.house.ctx.publish('state', 'off');
  }

  /** @returns false when a device refuses */
  async writeAllBack(): Promise<boolean> {
    if (this.phase !== 'open') return true;
    await this.bringHome();
    this.phase = 'open';
    return this.isHome;
  }

  private async bringHome(): Promise<void> {
    this.phase = 'ending';
    // Who failed before gets one more chance.
    this.emergency.tryNow();
    this.writeback.tryNow();
    this.house.plug();
    await this.house.ctx.loop.whenQuiet(() => this.isHome || this.hasGivenUp());
  }

  // --------------------------------------------------------------------------------------------------------- requests

  read(o: XioObject): void {
    this.reader.enter(o);
  }

  write(o: XioObject): void {
    if (this.emergency.isBypassing) return this.emergency.pass(o);
    this.lastWriteUs = this.house.clock.nowUs;
    this.gate.enter(o);
  }

  flush(o: XioObject): void {
    if (this.emergency.isBypassing) this.emergency.pass(o);
    else this.gate.flush(o);
  }

  /** Once per tick with something to do. The order is that of the ring: log writes before writebacks (data-path.md 6). */
  turn(): void {
    if (this.phase === 'closed') return;
    if (this.emergency.state === 'none' && this.rotation.look()) this.rotated();
    this.emergency.pump();
    this.gate.admit();
    this.reader.admit();
    this.regulate();
    this.log.pump();
    this.writeback.pump();
    if (this.phase === 'ending' && this.memory.isEmpty) this.progress.finish();
    this.progress.pump();
  }

  // ------------------------------------------------------------------------------------------------------------- logs

  lookForLog(): void {
    if (this.phase !== 'closed') this.house.plug();
  }

  logChanged(input: XioInput): void {
    const nr = this.slots.findIndex((slot) => slot.wire === input);
    this.rotation.changed(nr);
    if (this.phase !== 'closed' && this.slots[nr]!.state === 'free') this.house.plug();
  }

  isSlotIdle(nr: number): boolean {
    return this.phase === 'closed' || this.rotation.isIdle(nr);
  }

  private rotated(): void {
    this.progress.force();
    this.stateChanged();
  }

  private logDone(slot: LogInput): void {
    slot.state = 'done';
    this.log.old = null;
    this.stateChanged();
    this.house.plug();
  }

  // ------------------------------------------------------------------------------------------------------- regulation

  /**
   * Writeback steps back while somebody writes and there is memory: deferred, it merges and drops more (transaction-log.md
   * 2.8, data-path.md 6). Memory half full, age, idleness or the end of the work bring it forward.
   */
  private regulate(): void {
    const isPressed = this.isPressed;
    const isIdle = this.house.clock.nowUs - this.lastWriteUs >= IDLE_MS * 1000;
    // A sync that nobody waits for is worth its price only when there is nothing durable left to write back.
    this.log.isUrgent = isPressed && (this.mustHurry || this.writeback.isIdle);
    this.writeback.parallel = isPressed || isIdle ? this.params['writeback-parallel'] : 0;
    if (!isIdle && !this.isIdleTimerArmed && !this.memory.isEmpty) {
      this.isIdleTimerArmed = true;
      this.house.clock.after(IDLE_MS, null, this.maybeIdle);
    }
  }

  private get mustHurry(): boolean {
    return this.phase === 'ending' || this.gate.isBlocked || this.emergency.state !== 'none';
  }

  private get isPressed(): boolean {
    if (this.mustHurry) return true;
    if (2 * this.blocks.usedBytes >= this.blocks.limitBytes) return true;
    const oldest = (this.log.old ?? this.log.current).first;
    return oldest !== null && this.house.clock.nowUs - oldest.takenUs >= this.params['writeback-maxage'] * 1000;
  }

  private readonly maybeIdle = (): void => {
    this.isIdleTimerArmed = false;
    this.house.plug();
  };

  // --------------------------------------------------------------------------------------------------------- failures

  private dataFlushFailed(err: number): void {
    this.reader.deviceErr = err;
    this.writeback.err = err;
    this.writeback.isLost = true;
    this.stateChanged();
  }

  private stateChanged(): void {
    this.house.ctx.publish('state', this.stateName);
  }

  private get stateName(): string {
    const { state } = this.emergency;
    if (state !== 'none') return state;
    if (this.writeback.err !== 0) return 'writeback-stopped';
    return this.log.old === null ? 'logging' : 'rotating';
  }

  // -------------------------------------------------------------------------------------------------------------- end

  private get isHome(): boolean {
    return (
      this.gate.length === 0 &&
      this.reader.isQuiet &&
      (this.log.isDurable || this.emergency.isBypassing) &&
      this.log.isQuiet &&
      this.memory.isEmpty &&
      this.writeback.isQuiet &&
      this.progress.isComplete &&
      this.emergency.isQuiet
    );
  }

  /** A device refuses, and nothing is under way: going on would be waiting for ever. */
  private hasGivenUp(): boolean {
    const isStuck = this.emergency.isStuck || this.writeback.err !== 0 || this.progress.err !== 0;
    return isStuck && this.log.isSettled && this.writeback.isQuiet && this.progress.isQuiet && this.reader.isQuiet;
  }

  /** After an end that gave up: what is durable in the log is replayed at the next start, the rest is lost as in a power cut. */
  private forgetAll(): void {
    let volatile = 0;
    for (const slot of this.slots) {
      for (let v = slot.first; v !== null; v = slot.first) {
        if (!v.isDurable) volatile++;
        slot.unlink(v);
        this.memory.remove(v);
      }
    }
    if (volatile > 0)
      this.house.ctx.log.error(
        { records: volatile, hint: 'Repair the volume of the logs before the next start.' },
        'the logger ends while the log cannot be written: what was not durable there may be lost',
      );
  }
}

/** A log write that meets the end of a block needs a second one and a sync, so blocks are large, unless memory is small. */
function blockBytes({ 'log-buffer': wanted, 'memory-limit': limit }: LoggingParams): number {
  const most = 2 ** Math.floor(Math.log2(Math.max(MIN_BLOCK_BYTES, limit / BLOCKS_MIN)));
  return Math.min(wanted, most);
}
