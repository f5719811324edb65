import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  CAP_ORDERED,
  CAP_REMOTE,
  CAP_ROTATIONAL,
  CAP_WHOLE,
  CAP_WRITE,
  CLOCK,
  EBUSY,
  ErrorCode,
  MarsError,
  OP_FLUSH,
  OP_READ,
  SUPPORT_NATIVE,
  SUPPORT_NONE,
  inject,
  type Clock,
  type XioInfo,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { DIGEST_ENGINE } from '../digest-engine.js';
import { portableDigestEngine, type DigestEngine } from '../log-format/digests.js';
import { LOGGER_FAULTS, NO_FAULTS, type LoggerFaults } from './faults.js';
import { LOG_SLOTS, MAX_LEN_BYTES, REGION_BYTES, SECTOR_BYTES } from './limits.js';
import type { LoggerHouse } from './house.js';
import { Logging } from './logging.js';
import { LIVE_PARAMS, transLoggerParams } from './params.js';
import { Replaying } from './replaying.js';
import { LOG_STAMPS, LoopStamps, type LogStamps } from './stamps.js';

/**
 * Write-ahead log of a device: every write goes to the log first, is answered from there, served from memory, and written to
 * the data device later, in another order and only in its newest version.
 *
 * ```
 *            io ──> gate ──> append ──> log[0], log[1]      two slots: the old and the new file of a rotation
 *                              │ durable
 *   reads <── memory <─────────┤
 *                              └──> writeback ──> data ──flush──> progress: replay = SERIAL,minPos,dirtyLen
 * ```
 * Each phase of a request has its file; `logging.ts` holds them together, `replay/` is the other mode.
 * Facts: `state`, `replay`, `log`, `replay-code`, `memory` (README.md). Source: transaction-log.md 2; bricks.md 3.9
 */
@Brick({
  type: 'trans-logger',
  aliases: ['trans_logger'],
  about: 'Write-ahead log of a device, or the replay of one.',
  ops: ['read', 'write', 'flush', 'zero'],
  caps: ['WRITE', 'FLUSH', 'WHOLE'],
  inputs: {
    data: {
      about: 'the device that is logged',
      needs: { align: 4096, maxLen: REGION_BYTES, caps: ['WRITE', 'FLUSH'] },
      perm: ['read', 'write'],
      share: ['read'],
    },
    log: {
      about: 'logfiles: the present one, and for a rotation an empty one with the next serial',
      group: LOG_SLOTS,
      perm: ['read', 'write'],
      share: ['read', 'resize'],
    },
  },
  outputs: ['out'],
  params: transLoggerParams,
  live: LIVE_PARAMS,
})
export class TransLoggerBrick extends BrickBase {
  private logging!: Logging;
  /** Null in logging mode. */
  private replaying: Replaying | null = null;

  constructor(
    @inject(CLOCK) private readonly clock: Clock,
    @inject(DIGEST_ENGINE, { isOptional: true }) private readonly engine: DigestEngine | undefined,
    @inject(LOG_STAMPS, { isOptional: true }) private readonly stamps: LogStamps | undefined,
    @inject(LOGGER_FAULTS, { isOptional: true }) private readonly faults: LoggerFaults | undefined,
  ) {
    super();
  }

  protected override attached(): void {
    const logs = Array.from({ length: LOG_SLOTS }, (_, nr) => this.input('log', nr));
    const house = this.house();
    this.logging = new Logging(house, logs, this.stamps ?? new LoopStamps(this.clock), this.faults ?? NO_FAULTS);
    if (this.ctx.params.mode === 'replay') this.replaying = new Replaying(house, logs[0]!);
  }

  private house(): LoggerHouse {
    return {
      brick: this,
      ctx: this.ctx,
      clock: this.clock,
      data: this.input('data'),
      completer: (complete) => this.completer(complete),
      plug: () => this.plug(),
      providerName: (nr) => this.wires.get('log')![nr]!.provider?.name ?? '',
    };
  }

  /** Memory for what is not written back, bytes. */
  get memoryBytes(): number {
    return this.logging.memoryBytes;
  }

  info(into: XioInfo): number {
    const err = this.input('data').info(into);
    if (err < 0) return err;
    into.align = Math.max(SECTOR_BYTES, into.align);
    into.size -= into.size % into.align;
    into.maxLen = Math.min(MAX_LEN_BYTES, into.maxLen);
    into.caps &= CAP_ORDERED | CAP_REMOTE | CAP_ROTATIONAL | CAP_WHOLE;
    into.fua = into.zero = into.cache = SUPPORT_NONE;
    if (this.replaying !== null) return 0;
    into.caps |= CAP_WRITE | CAP_FLUSH | CAP_WHOLE;
    into.fua = into.zero = SUPPORT_NATIVE;
    return 0;
  }

  io(o: XioObject): void {
    const { logging } = this;
    if (!logging.isOpen) this.ctx.loop.finish(o, -EBUSY);
    else if (o.op === OP_READ) logging.read(o);
    else if (o.op === OP_FLUSH) logging.flush(o);
    else logging.write(o);
  }

  override endBatch(_events: number): void {
    this.logging.turn();
  }

  protected override start(): void {
    const engine = this.engine ?? portableDigestEngine;
    if (this.replaying === null) this.logging.open(engine);
    else this.replaying.open(engine);
  }

  protected override draining(): Promise<void> {
    return this.replaying === null ? this.logging.end() : this.replaying.end();
  }

  protected override stop(): void {
    this.logging.close();
  }

  /** What was answered through a wire that leads past us from now on must be on the device. */
  protected override async bypassed(): Promise<void> {
    if (await this.logging.writeAllBack()) return;
    throw new MarsError(ErrorCode.FILE_IO, `"${this.name}" cannot write everything back to its data device`, {
      hint: 'Look at the data device; the wire stays as it is.',
    });
  }

  protected override round(): void {
    this.logging.lookForLog();
  }

  protected override inputChanged(input: XioInput): void {
    if (input.name === 'data') return this.ctx.infoChanged();
    this.logging.logChanged(input);
    this.replaying?.logChanged();
  }

  protected override liveParam(): void {
    this.logging.applyParams();
    this.replaying?.applyParams();
  }

  override slotIdle(port: string, nr: number): boolean {
    return port !== 'log' || this.logging.isSlotIdle(nr);
  }
}
