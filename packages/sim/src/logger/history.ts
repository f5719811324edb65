import { invariant } from '@mars/brick-core';
import { GARBAGE, NOBODY, SECTOR_BYTES } from '../front/sector-stamp.js';
import { violation } from './violation.js';

/** A write as its client knows it. Times count calls, so that "before" needs no clock. */
export interface ClientWrite {
  /** From 1, in the order of issue, over all lives: the order that the log must keep. */
  readonly nr: number;
  readonly first: number;
  readonly count: number;
  /** What its sectors read as: its own number, or {@link NOBODY} when it wrote zeroes. */
  readonly content: number;
  readonly isFua: boolean;
  readonly issuedAt: number;
  /** Infinity until it was answered well; for good when it failed: then it may be there or not. */
  answeredAt: number;
  outcome: 'under way' | 'good' | 'failed';
  /** The client was told that it failed. */
  isRefused: boolean;
  /** The client was told, or has seen after a crash, that it is there for ever. */
  isDurable: boolean;
  /** Sectors of it that stand in records of the log files, as written. */
  loggedSectors: number;
  /** The same, in records that have been seen durable. */
  durableSectors: number;
}

export interface ClientFlush {
  readonly issuedAt: number;
}

export interface ClientRead {
  readonly issuedAt: number;
}

/** The state before the first write. */
const NEVER: ClientWrite = {
  nr: 0,
  first: 0,
  count: 0,
  content: NOBODY,
  isFua: false,
  issuedAt: 0,
  answeredAt: 0,
  outcome: 'good',
  isRefused: false,
  isDurable: true,
  loggedSectors: 0,
  durableSectors: 0,
};

/**
 * What the client of a logged device knows: which writes it issued, what it was answered, what it may read.
 *
 * Stricter than `DeviceMemory`: a log has an order, so of two writes that were under way together the later one wins, as soon as
 * both were answered. After a bypass ({@link isPlain}) there is no log, and either may win.
 */
export class ClientHistory {
  readonly writes: ClientWrite[] = [NEVER];
  /** The device is written past the log; see transaction-log.md 2.8. */
  isPlain = false;
  /** The first write since the device is there again; what was issued before is over. */
  firstNrOfLife = 1;
  reads = 0;
  judgedSectors = 0;
  private readonly sectors: ClientWrite[][];
  private now = 0;
  /** Answered, and not known to be durable. */
  private volatiles: ClientWrite[] = [];

  constructor(readonly deviceBytes: number) {
    invariant(deviceBytes % SECTOR_BYTES === 0, 'a device has whole sectors');
    this.sectors = Array.from({ length: deviceBytes / SECTOR_BYTES }, () => [NEVER]);
  }

  get sectorCount(): number {
    return this.sectors.length;
  }

  issueWrite(posBytes: number, lenBytes: number, options: { isZero?: boolean; isFua?: boolean } = {}): ClientWrite {
    const nr = this.writes.length;
    const write: ClientWrite = {
      nr,
      first: posBytes / SECTOR_BYTES,
      count: lenBytes / SECTOR_BYTES,
      content: options.isZero ? NOBODY : nr,
      isFua: options.isFua ?? false,
      issuedAt: ++this.now,
      answeredAt: Infinity,
      outcome: 'under way',
      isRefused: false,
      isDurable: false,
      loggedSectors: 0,
      durableSectors: 0,
    };
    this.writes.push(write);
    for (let i = write.first; i < write.first + write.count; i++) this.sectors[i]!.push(write);
    return write;
  }

  answerWrite(write: ClientWrite): void {
    write.answeredAt = ++this.now;
    write.outcome = 'good';
    if (write.isFua) write.isDurable = true;
    else this.volatiles.push(write);
  }

  failWrite(write: ClientWrite): void {
    write.outcome = 'failed';
    write.isRefused = true;
  }

  issueFlush(): ClientFlush {
    return { issuedAt: ++this.now };
  }

  /** @returns the writes that this flush covers and that were not durable yet */
  answerFlush(flush: ClientFlush): ClientWrite[] {
    const covered = this.volatiles.filter((write) => write.answeredAt < flush.issuedAt);
    this.volatiles = this.volatiles.filter((write) => write.answeredAt >= flush.issuedAt);
    for (const write of covered) write.isDurable = true;
    return covered;
  }

  issueRead(): ClientRead {
    this.reads++;
    return { issuedAt: ++this.now };
  }

  /**
   * INV-9: never older than a completed write, never mixed bytes.
   * @param content what the sector holds: a number of a write, {@link NOBODY} or {@link GARBAGE}
   */
  judge(read: ClientRead, sector: number, content: number): void {
    this.judgedSectors++;
    const history = this.sectors[sector]!;
    if (content === GARBAGE)
      throw violation(9, `sector ${sector} is torn, misplaced or holds foreign bytes`, { sector });
    const seen = history.findLast((write) => write.content === content);
    const newest = history.findLast((write) => write.answeredAt < read.issuedAt)!;
    if (seen === undefined) throw violation(9, `sector ${sector} holds write ${content}, which was never there`);
    if (seen.nr >= newest.nr || (this.isPlain && seen.answeredAt > newest.issuedAt)) return;
    throw violation(
      9,
      `sector ${sector} reads as ${text(seen)}, although ${text(newest)} was answered before this read was issued`,
      { sector, seen: seen.nr, newest: newest.nr },
    );
  }

  /** The newest write on a sector that must survive every crash. */
  durableOn(sector: number): ClientWrite {
    return this.sectors[sector]!.findLast((write) => write.isDurable)!;
  }

  /** All hosts that held the device are gone: what was only answered may be lost, what was under way may be there. */
  crash(): void {
    this.now++;
    this.volatiles = [];
    for (const write of this.writes) if (write.outcome === 'under way') write.outcome = 'failed';
  }

  /**
   * The device is there again and holds this. From now on it must stay so.
   * @param sectors per sector the write whose data is there
   */
  settle(sectors: readonly ClientWrite[]): void {
    const at = ++this.now;
    this.firstNrOfLife = this.writes.length;
    sectors.forEach((write, sector) => {
      write.answeredAt = Math.min(write.answeredAt, at);
      write.outcome = 'good';
      write.isDurable = true;
      this.sectors[sector] = [write];
    });
  }
}

export function text(write: ClientWrite): string {
  if (write.nr === 0) return 'never written';
  return `write ${write.nr}${write.content === NOBODY ? ' (zeroes)' : ''}`;
}
