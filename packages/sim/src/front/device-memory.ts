import { ErrorCode, MarsError, invariant } from '@mars/brick-core';
import { MAX_SECTOR_HISTORY } from '../limits.js';
import { GARBAGE, NOBODY, SECTOR_BYTES } from './sector-stamp.js';

/** A write as its client knows it. Times count calls, so that "before" needs no clock. */
export interface WriteMemory {
  readonly id: number;
  readonly issuedAt: number;
  /** Infinity while it is under way, and for good when it failed: then it may be there or not. */
  answeredAt: number;
  isDurable: boolean;
  hasFailed: boolean;
  readonly first: number;
  readonly count: number;
}

/** A flush that was issued: it covers what had been answered by then. */
export interface FlushMemory {
  readonly issuedAt: number;
}

/** A read that was issued. */
export interface ReadMemory {
  readonly issuedAt: number;
}

/**
 * What the client of a device remembers, outside of all hosts, so that it survives their crashes: the judge of every
 * simulation with a device in it.
 *
 * A sector may read as write `v` unless a newer one is known to have replaced it: one that was answered before the read was
 * issued, and issued after `v` was answered. After a crash the same holds with "durable" instead of "answered".
 * Source: transaction-log.md 7.1 (INV-1, INV-2, INV-9); decided.md, *Log and tree*.
 */
export class DeviceMemory {
  /** Writes per sector that may still be seen, oldest first; `undefined` = never written. */
  private sectors: (WriteMemory[] | undefined)[];
  private now = 0;
  private ids = NOBODY;
  private answered: WriteMemory[] = [];
  /** Reads under way; what they may still see is not forgotten. */
  private readonly reads = new Set<ReadMemory>();
  private isSurveyed = true;
  /** What the survey after the last crash has found, by sector. */
  private found: number[] = [];
  /** Sectors that were judged. */
  judged = 0;
  crashes = 0;
  /** Called by the client of the device when something is wrong; ends the run. */
  onWrong: (error: unknown) => void = (error) => {
    throw error;
  };

  constructor(readonly sizeBytes: number) {
    invariant(sizeBytes % SECTOR_BYTES === 0, 'a device has whole sectors');
    this.sectors = new Array<WriteMemory[] | undefined>(sizeBytes / SECTOR_BYTES);
  }

  get sectorCount(): number {
    return this.sectors.length;
  }

  /** There was a crash, and nobody has read everything back since. */
  get needsSurvey(): boolean {
    return !this.isSurveyed;
  }

  issueWrite(posBytes: number, lenBytes: number): WriteMemory {
    const first = posBytes / SECTOR_BYTES;
    const count = lenBytes / SECTOR_BYTES;
    const write: WriteMemory = {
      id: ++this.ids,
      issuedAt: ++this.now,
      answeredAt: Infinity,
      isDurable: false,
      hasFailed: false,
      first,
      count,
    };
    for (let i = first; i < first + count; i++) {
      const history = (this.sectors[i] ??= [NEVER]);
      history.push(write);
      if (history.length > MAX_SECTOR_HISTORY) this.sectors[i] = this.pruned(history);
    }
    return write;
  }

  answerWrite(write: WriteMemory, isDurable: boolean): void {
    write.answeredAt = ++this.now;
    if (isDurable) write.isDurable = true;
    else this.answered.push(write);
  }

  /** It may be there, as a whole or in parts, or not. */
  failWrite(write: WriteMemory): void {
    write.hasFailed = true;
  }

  issueFlush(): FlushMemory {
    return { issuedAt: ++this.now };
  }

  answerFlush(flush: FlushMemory): void {
    const covered = this.answered.filter((write) => write.answeredAt < flush.issuedAt);
    this.answered = this.answered.filter((write) => write.answeredAt >= flush.issuedAt);
    for (const write of covered) write.isDurable = true;
  }

  issueRead(): ReadMemory {
    const read = { issuedAt: ++this.now };
    this.reads.add(read);
    return read;
  }

  /** The read has come back and was judged, or has failed. */
  endRead(read: ReadMemory): void {
    this.reads.delete(read);
  }

  /**
   * Judges one sector of a read that has come back.
   * @param id what {@link readStamp} found
   * @throws MarsError VERIFY_FAILED
   */
  judge(read: ReadMemory, sector: number, id: number): void {
    this.judged++;
    const history = this.sectors[sector] ?? [NEVER];
    const write = history.find((candidate) => candidate.id === id);
    if (write === undefined)
      throw this.wrong(
        sector,
        id,
        history,
        id === GARBAGE ? 'it is torn, misplaced or foreign' : 'that was replaced for good',
      );
    const newer = history.find((other) => other.answeredAt < read.issuedAt && write.answeredAt < other.issuedAt);
    if (newer !== undefined)
      throw this.wrong(sector, id, history, `write ${newer.id} was answered before this read was issued`);
  }

  /** All hosts that held the device are gone. What was answered, but not durable, may be lost now. */
  crash(): void {
    this.crashes++;
    this.isSurveyed = false;
    this.answered = [];
    this.reads.clear();
    const at = ++this.now;
    this.sectors = this.sectors.map((history) => {
      const left = history?.filter((write) => !isReplaced(write, history));
      // From now on none of those that may be left is known to be newer than another.
      return left?.map((write) => ({ ...write, answeredAt: at, isDurable: false }));
    });
    this.found = [];
  }

  /** While `needsSurvey`: what a sector holds after the crash. From now on it must stay so. */
  survey(sector: number, id: number): void {
    this.judge({ issuedAt: ++this.now }, sector, id);
    this.found[sector] = id;
  }

  /**
   * Every sector was surveyed.
   * @param options.prefix also demand that the device equals its state after some prefix of the writes, in the order of their
   *   issue (what a device with a log promises, a plain disk does not)
   */
  surveyDone(options: { prefix?: boolean } = {}): void {
    if (options.prefix) this.checkPrefix();
    const at = ++this.now;
    this.sectors = this.sectors.map((history, sector) => {
      const write = history?.find((candidate) => candidate.id === this.found[sector]);
      return write === undefined ? undefined : [{ ...write, answeredAt: at, isDurable: true, hasFailed: false }];
    });
    this.isSurveyed = true;
  }

  private checkPrefix(): void {
    let newest = { issuedAt: 0, sector: -1, id: NOBODY };
    let missing = { issuedAt: Infinity, sector: -1, id: NOBODY };
    this.sectors.forEach((history, sector) => {
      if (history === undefined) return;
      const at = history.findIndex((write) => write.id === this.found[sector]);
      const seen = history[at]!;
      if (seen.issuedAt > newest.issuedAt) newest = { issuedAt: seen.issuedAt, sector, id: seen.id };
      const next = history.slice(at + 1).find((write) => !write.hasFailed);
      if (next !== undefined && next.issuedAt < missing.issuedAt)
        missing = { issuedAt: next.issuedAt, sector, id: next.id };
    });
    if (newest.issuedAt < missing.issuedAt) return;
    throw new MarsError(
      ErrorCode.VERIFY_FAILED,
      `after the crash the device is no prefix of its writes: write ${newest.id} is there (sector ${newest.sector}), but the older write ${missing.id} is not (sector ${missing.sector})`,
      { hint: 'Replay applied something behind a hole, or write-back overtook the log.' },
    );
  }

  /** Without what no crash can bring back and no read under way can still see. */
  private pruned(history: readonly WriteMemory[]): WriteMemory[] {
    let oldestRead = Infinity;
    for (const { issuedAt } of this.reads) oldestRead = Math.min(oldestRead, issuedAt);
    const settled = history.filter(({ answeredAt }) => answeredAt < oldestRead);
    return history.filter((write) => !isReplaced(write, settled));
  }

  private wrong(sector: number, id: number, history: readonly WriteMemory[], why: string): MarsError {
    const found = id === GARBAGE ? 'garbage' : id === NOBODY ? 'nothing' : `write ${id}`;
    const allowed = history.map((write) =>
      write.id === NOBODY ? 'nothing' : `${write.id}${write.isDurable ? ' (durable)' : ''}`,
    );
    return new MarsError(
      ErrorCode.VERIFY_FAILED,
      `sector ${sector} holds ${found}: ${why}; it may hold: ${allowed.join(', ')}`,
      {
        hint: 'Play the seed again with --trace and look for this sector (position = sector × 512).',
        details: { sector, posBytes: sector * SECTOR_BYTES, found: id, crashes: this.crashes },
      },
    );
  }
}

/** Is there, for good, something newer? */
function isReplaced(write: WriteMemory, history: readonly WriteMemory[]): boolean {
  return history.some((other) => other.isDurable && write.answeredAt < other.issuedAt);
}

/** The state before the first write. */
const NEVER: WriteMemory = {
  id: NOBODY,
  issuedAt: 0,
  answeredAt: 0,
  isDurable: true,
  hasFailed: false,
  first: 0,
  count: 0,
};
