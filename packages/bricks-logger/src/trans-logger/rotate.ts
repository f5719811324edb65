import { CAP_GROW, ErrorCode, MarsError, XioInfo } from '@mars/brick-core';
import type { Appender } from './append.js';
import type { Gate } from './gate.js';
import type { LoggerHouse } from './house.js';
import type { LogInput } from './log-input.js';
import { firstSerial, namedSerial } from './serial.js';

/**
 * The slots of the log port: which file is written, and when the next one takes over.
 *
 * ```
 *   slot 0   N  current ─────────── draining ──── done ─ (unwired) ─ free
 *   slot 1      free ── N+1 wired ─ current ───────────────────────────────> …
 * ```
 * The switch happens between two requests, so every record of N precedes every record of N+1.
 * Source: transaction-log.md 2.7; bricks.md 4.7
 */
export class Rotation {
  private readonly info = new XioInfo();
  /** Slot whose file was refused, so that it is said once. */
  private refused = '';

  constructor(
    private readonly house: LoggerHouse,
    private readonly slots: readonly LogInput[],
    private readonly log: Appender,
    private readonly gate: Gate,
  ) {}

  /**
   * The log to begin with: the one with the lowest serial that is wired.
   * @throws MarsError START_FAILED when it is not empty: a logfile is written in one run (INV-10)
   */
  first(): LogInput {
    const wired = this.slots.filter((slot) => slot.wire.connected);
    const serials = wired.map((slot) => firstSerial(this.house, slot.nr));
    const slot = wired[serials.indexOf(Math.min(...serials))]!;
    for (const other of this.slots) other.state = 'free';
    if (!this.isEmpty(slot)) throw notEmptyError(this.house.providerName(slot.nr));
    slot.begin(Math.min(...serials), 0);
    this.refused = '';
    return slot;
  }

  /** An empty log that could be the next one, and its serial. @param acceptHole  its serial may be any higher one */
  fresh(acceptHole: boolean): { slot: LogInput; serial: number } | null {
    const slot = this.candidate();
    if (slot === null) return null;
    const serial = namedSerial(this.house, slot.nr) ?? this.log.current.serial + 1;
    return this.isFit(slot, serial, acceptHole) ? { slot, serial } : null;
  }

  /** Makes an empty log in the free slot the current one, if this is the moment. @returns whether it did */
  look(): boolean {
    const fresh = this.gate.isBetweenRequests && !this.log.isStalled ? this.fresh(false) : null;
    if (fresh === null) return false;
    fresh.slot.begin(fresh.serial, this.log.current.endLsn);
    this.log.switchTo(fresh.slot);
    return true;
  }

  /** The wire has another provider, or none: nothing of ours is in it. */
  changed(nr: number): void {
    const slot = this.slots[nr]!;
    if (slot.state === 'done') slot.state = 'free';
  }

  isIdle(nr: number): boolean {
    const { state } = this.slots[nr]!;
    return state === 'free' || state === 'done';
  }

  private candidate(): LogInput | null {
    if (this.log.old !== null) return null;
    for (const slot of this.slots) {
      if (slot.state === 'done' && !slot.wire.connected) slot.state = 'free';
      if (slot.state === 'free' && slot.wire.connected) return slot;
    }
    return null;
  }

  private isFit(slot: LogInput, serial: number, acceptHole: boolean): boolean {
    const expected = this.log.current.serial + 1;
    const isNext = acceptHole ? serial >= expected : serial === expected;
    const why = !isNext ? `its serial is ${serial}, not ${expected}` : this.isEmpty(slot) ? '' : 'it is not empty';
    if (why === '') return true;
    const file = this.house.providerName(slot.nr);
    if (`${file} ${why}` !== this.refused)
      this.house.ctx.log.warn({ slot: slot.nr, file, why }, 'this log cannot be the next one');
    this.refused = `${file} ${why}`;
    return false;
  }

  private isEmpty(slot: LogInput): boolean {
    return slot.wire.info(this.info) >= 0 && this.info.size === 0 && (this.info.caps & CAP_GROW) !== 0;
  }
}

function notEmptyError(name: string): MarsError {
  return new MarsError(ErrorCode.START_FAILED, `the log "${name}" is not an empty file`, {
    hint: 'Replay it, then log into a new file with the next serial; nothing is ever appended to an old one.',
  });
}
