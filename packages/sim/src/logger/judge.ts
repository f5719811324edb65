import { GARBAGE, NOBODY } from '../front/sector-stamp.js';
import { ClientHistory, text, type ClientFlush, type ClientRead, type ClientWrite } from './history.js';
import { LogBook, type BookRecord, type ReadContent } from './log-book.js';
import { violation } from './violation.js';

/** What is true about the disks, whatever the code under test believes. */
export interface LoggerTruth {
  /** Up to where the logfile `serial` is safe from every power cut, when it was so up to `fromBytes`; its name included. */
  logDurableBytes(serial: number, fromBytes: number): number;
  /** What the sector of the data device holds: `written` is what reads see, `durable` what a power cut may leave. */
  dataContent(sector: number, image: 'written' | 'durable'): number;
}

/** A replay link: everything before `posBytes` of log `serial` is on the data device, and perhaps `dirtyBytes` more. */
export interface Published {
  serial: number;
  posBytes: number;
  dirtyBytes: number;
}

/** `recovering`: the device is not there. `up`: clients write. */
type Phase = 'recovering' | 'up';

/**
 * Judges a logger by what its clients see and by what really reaches the disks; it never asks the logger.
 *
 * ```
 *   client ── issue, answer, flush, read ──┐
 *   log files ── written, cut, durable ────┤──> judge ──> INV-1, 2, 4 … 11, 13, 18, 19 (transaction-log.md 7.1)
 *   data device ── written, durable ───────┤
 *   replay link ── published ──────────────┘
 * ```
 * The order of everything is the number of the write, because log order must be the order of issue. Per sector there is the
 * list of its versions that stand in logs; the last of them is what a recovery has to bring back (INV-2, INV-3).
 */
export class LoggerJudge {
  readonly history: ClientHistory;
  readonly books = new Map<number, LogBook>();
  /** Told about everything that was checked, for reports and against checks that never run. */
  readonly counts = { records: 0, publications: 0, dataSectors: 0, answers: 0, flushes: 0, recoveries: 0, crashes: 0 };
  phase: Phase = 'recovering';
  published: Published | null = null;
  /** Per sector: the writes that stand in records, oldest first. */
  private readonly versions: ClientWrite[][];
  /** Files that had bytes when this life began, or whose successor is published: nothing may be added. */
  private readonly closed = new Set<number>();
  /** Records of writes that were refused, in logs that nobody will replay again. */
  private readonly abandoned = new Set<BookRecord>();
  /** Records whose effect on the data device has been checked, per log. */
  private readonly checked = new Map<number, number>();

  constructor(
    deviceBytes: number,
    private readonly truth: LoggerTruth,
    private readonly contentOf: ReadContent,
  ) {
    this.history = new ClientHistory(deviceBytes);
    this.versions = Array.from({ length: this.history.sectorCount }, () => []);
  }

  // ------------------------------------------------------------------------------------------------------------ clients

  issueWrite(posBytes: number, lenBytes: number, options: { isZero?: boolean; isFua?: boolean } = {}): ClientWrite {
    return this.history.issueWrite(posBytes, lenBytes, options);
  }

  /** INV-18, I1: no good answer before the record stands in the log file. INV-1: FUA is answered when it is durable. */
  answerWrite(write: ClientWrite): void {
    this.counts.answers++;
    this.history.answerWrite(write);
    if (this.history.isPlain) return;
    if (write.loggedSectors < write.count)
      throw violation(
        18,
        `${text(write)} was answered, but only ${write.loggedSectors} of its ${write.count} sectors stand in the log`,
        { write: write.nr },
      );
    if (write.isFua) this.mustBeDurable(write, 1, 'was answered with FUA');
  }

  failWrite(write: ClientWrite): void {
    this.history.failWrite(write);
  }

  issueFlush(): ClientFlush {
    return this.history.issueFlush();
  }

  /** INV-1, INV-19: a flush covers everything that was answered before it, in both files of a rotation. */
  answerFlush(flush: ClientFlush): void {
    this.counts.flushes++;
    for (const write of this.history.answerFlush(flush)) this.mustBeDurable(write, 19, 'was answered before a flush');
  }

  issueRead(): ClientRead {
    return this.history.issueRead();
  }

  judgeRead(read: ClientRead, sector: number, content: number): void {
    this.history.judge(read, sector, content);
  }

  // -------------------------------------------------------------------------------------------------------------- disks

  logWritten(serial: number, posBytes: number, bytes: Uint8Array): void {
    if (this.closed.has(serial)) throw violation(10, `log ${serial} is written at ${posBytes}, although it is closed`);
    this.book(serial).wrote(posBytes, bytes);
  }

  logCut(serial: number, sizeBytes: number): void {
    this.books.get(serial)?.cut(sizeBytes);
  }

  /** INV-7: first the record, durable, then the data. INV-8: newest last. INV-13: nothing that is in no record. */
  dataWritten(sector: number, content: number): void {
    this.counts.dataSectors++;
    if (this.history.isPlain) return;
    const version = this.versionOf(sector, content);
    if (version === undefined) {
      if (content === NOBODY && this.versions[sector]!.length === 0) return;
      const inv = this.phase === 'up' ? 7 : 13;
      throw violation(inv, `sector ${sector} of the data device gets write ${content}, which stands in no record`);
    }
    this.mustBeLoggedFirst(sector, content);
    if (this.phase === 'up') this.mustNotGoBack(version, sector);
  }

  /** INV-4, INV-5, INV-6, INV-11. */
  publish(next: Published): void {
    this.counts.publications++;
    const { serial, posBytes, dirtyBytes } = next;
    const before = this.published;
    const here = `replay link ${serial},${posBytes},${dirtyBytes}`;
    if (posBytes < 0 || dirtyBytes < 0) throw violation(5, `${here} has a negative number`);
    if (before !== null && (serial < before.serial || (serial === before.serial && posBytes < before.posBytes)))
      throw violation(6, `${here} comes after ${before.serial},${before.posBytes}`);
    const book = this.books.get(serial);
    if (!(book?.isBorder(posBytes) ?? posBytes === 0)) throw violation(5, `${here} is no border of records`);
    this.checkAllBefore(serial);
    if (book !== undefined) {
      this.checkWrittenBack(book, book.recordsUpTo(posBytes), 4);
      const durable = this.truth.logDurableBytes(serial, book.durable);
      if (posBytes + dirtyBytes > durable)
        throw violation(5, `${here} ends behind what is durable in the log (${durable})`);
    }
    this.published = { ...next };
  }

  // -------------------------------------------------------------------------------------------------------------- lives

  /** The client can reach the device: whatever recovery there was, it is over. */
  deviceUp(): void {
    this.phase = 'up';
  }

  /**
   * The logger was stopped cleanly: everything is on the data device for good, and the replay link says so. Source:
   * transaction-log.md 2.6
   */
  stoppedCleanly(): void {
    const { published } = this;
    for (const book of this.books.values()) this.checkWrittenBack(book, book.records.length, 4);
    if (published === null || this.history.isPlain) return;
    const newest = Math.max(...this.books.keys(), published.serial);
    const end = this.books.get(newest)?.parsed ?? 0;
    if (published.serial === newest && published.posBytes === end && published.dirtyBytes === 0) return;
    throw violation(
      4,
      `stopped cleanly, but the replay link says ${published.serial},${published.posBytes},${published.dirtyBytes} and log ${newest} ends at ${end}`,
    );
  }

  /** From here on the device is written past the log. Only legal with a hole in the serials (INV-18). */
  bypassed(): void {
    this.history.isPlain = true;
  }

  /**
   * The host has died, and the disks are as the crash has left them. Once a log has lost its end, nothing of the next one may be
   * applied (INV-2): a logger may keep the next file empty until this one is durable, or a recovery may throw it away.
   * @param survivor the bytes of a logfile, `null` when it is gone
   */
  crashed(survivor: (serial: number) => Uint8Array | null): void {
    this.counts.crashes++;
    this.phase = 'recovering';
    this.published = null;
    this.history.crash();
    if (this.history.isPlain) return;
    let lost: BookRecord | undefined;
    for (const book of [...this.books.values()].sort((a, b) => a.serial - b.serial)) {
      const gone: BookRecord[] = isBehind(lost, book) ? book.loseAll() : this.survived(book, survivor(book.serial));
      // Whoever was told that his write failed does not miss it.
      lost = gone.find(({ write }) => !write.isRefused) ?? (book.records.length > 0 ? undefined : lost);
    }
    this.countAnew();
    this.checkDurableSurvived();
    this.checkDataIsLogged();
  }

  /** What recovery must bring back: per sector the number of the newest write in the logs, 0 = never written. */
  expected(sector: number): ClientWrite {
    return this.versions[sector]!.at(-1) ?? this.history.writes[0]!;
  }

  /** INV-1, INV-2, INV-3: after recovery the client has read the whole device. */
  surveyed(contents: ArrayLike<number>): void {
    this.counts.recoveries++;
    const sectors: ClientWrite[] = [];
    for (let sector = 0; sector < this.history.sectorCount; sector++) {
      const expected = this.expected(sector);
      const content = contents[sector]!;
      if (this.history.isPlain) sectors.push(this.plainWinner(sector, content));
      else if (content !== expected.content) throw this.lost(sector, content, expected);
      else sectors.push(expected);
    }
    this.history.settle(sectors);
    for (const book of this.books.values()) if (book.sizeBytes > 0) this.closed.add(book.serial);
  }

  private lost(sector: number, content: number, expected: ClientWrite): Error {
    const durable = this.history.durableOn(sector);
    const inv = expected.nr > 0 && durable === expected ? 1 : 2;
    return violation(
      inv,
      `after recovery sector ${sector} holds ${content === NOBODY ? 'nothing' : `write ${content}`}; the logs say ${text(expected)}`,
      { sector, content, expected: expected.nr, durable: durable.nr },
    );
  }

  private plainWinner(sector: number, content: number): ClientWrite {
    this.history.judge({ issuedAt: 0 }, sector, content);
    return this.history.durableOn(sector);
  }

  // ---------------------------------------------------------------------------------------------------------- the books

  private book(serial: number): LogBook {
    let book = this.books.get(serial);
    if (book === undefined) {
      // What is durable by now need not be logged again.
      this.refreshAll();
      book = new LogBook(serial, this.history, this.contentOf, (record) => this.logged(record));
      this.books.set(serial, book);
    }
    return book;
  }

  private logged(record: BookRecord): void {
    const { write, serial } = record;
    this.counts.records++;
    for (const other of this.books.values()) {
      const isInOrder =
        other.serial < serial
          ? other.lastNr <= write.nr || write.loggedSectors > 0
          : (other.records[0]?.write.nr ?? write.nr) >= write.nr;
      if (other.serial !== serial && other.records.length > 0 && !isInOrder)
        throw violation(2, `${text(write)} stands in log ${serial}, write ${other.lastNr} in log ${other.serial}`);
    }
    this.count(record);
  }

  private count({ first, count, write }: BookRecord): void {
    write.loggedSectors = Math.max(write.loggedSectors, first + count - write.first);
    for (let sector = first; sector < first + count; sector++) this.insertVersion(sector, write);
  }

  /** During a rotation the files may grow in any order; versions are kept in the order of the log. */
  private insertVersion(sector: number, write: ClientWrite): void {
    const list = this.versions[sector]!;
    let at = list.length;
    while (at > 0 && list[at - 1]!.nr > write.nr) at--;
    if (list[at - 1] !== write) list.splice(at, 0, write);
  }

  private refresh(book: LogBook): void {
    for (const record of book.becameDurable(this.truth.logDurableBytes(book.serial, book.durable))) noteDurable(record);
  }

  private refreshAll(): void {
    for (const book of this.books.values()) if (book.durableRecords < book.records.length) this.refresh(book);
  }

  // ------------------------------------------------------------------------------------------------------------- checks

  private mustBeDurable(write: ClientWrite, inv: 1 | 19, why: string): void {
    if (this.history.isPlain) return;
    if (write.durableSectors < write.count) this.refreshAll();
    if (write.durableSectors >= write.count) return;
    throw violation(
      inv,
      `${text(write)} ${why}, but only ${write.durableSectors} of its ${write.count} sectors are durable in the log`,
      { write: write.nr },
    );
  }

  /** A record that brings this content to the sector is durable; of zeroes nobody knows which one it was. */
  private mustBeLoggedFirst(sector: number, content: number): void {
    const list = this.versions[sector]!;
    if (list.some((write) => write.content === content && this.isDurableOn(write, sector))) return;
    throw violation(7, `sector ${sector} of the data device gets write ${content} before its record is durable`);
  }

  private isDurableOn(write: ClientWrite, sector: number): boolean {
    if (write.durableSectors < write.count) this.refreshAll();
    if (write.durableSectors >= write.count) return true;
    for (const book of this.books.values()) {
      const covers = (r: BookRecord): boolean => r.write === write && r.first <= sector && sector < r.first + r.count;
      const index = book.records.findLastIndex(covers);
      if (index >= 0 && index < book.durableRecords) return true;
    }
    return false;
  }

  private mustNotGoBack(version: ClientWrite, sector: number): void {
    const there = this.oldestOf(sector, this.truth.dataContent(sector, 'written'));
    if (there <= version.nr) return;
    throw violation(8, `sector ${sector} of the data device holds write ${there} and gets the older ${text(version)}`);
  }

  private checkAllBefore(serial: number): void {
    for (const book of this.books.values()) {
      if (book.serial >= serial) continue;
      this.checkWrittenBack(book, book.records.length, 11);
      if (!this.closed.has(book.serial)) this.abandonRest(book);
      this.closed.add(book.serial);
    }
  }

  /**
   * Nobody will replay this log again. What stands in it and is not on the device counts no more: it is repeated in a later log, or nobody was
   * told of it.
   */
  private abandonRest(book: LogBook): void {
    const rest = book.records.filter((record) => !this.isOnDevice(record));
    if (rest.length === 0) return;
    for (const record of rest) this.abandoned.add(record);
    this.countAnew();
  }

  private isOnDevice({ write, first, count }: BookRecord): boolean {
    for (let sector = first; sector < first + count; sector++) {
      const content = this.truth.dataContent(sector, 'written');
      if ((this.versionOf(sector, content)?.nr ?? 0) < write.nr) return false;
    }
    return true;
  }

  /** Each of the first `count` records is on the data device for good, or something newer is. */
  private checkWrittenBack(book: LogBook, count: number, inv: 4 | 11): void {
    for (let i = this.checked.get(book.serial) ?? 0; i < count; i++) {
      const record = book.records[i]!;
      const { first, count: sectors, write, end } = record;
      if (this.abandoned.has(record)) continue;
      // The log failed behind it, and nobody was told that it is there: it may be logged again, or not.
      if (inv === 11 && (write.outcome !== 'good' || this.isRepeatedAfter(record))) continue;
      for (let sector = first; sector < first + sectors; sector++) {
        for (const image of ['written', 'durable'] as const) {
          const content = this.truth.dataContent(sector, image);
          if ((this.versionOf(sector, content)?.nr ?? 0) >= write.nr) continue;
          if (content === GARBAGE && this.willBeRewritten(sector, write)) continue;
          // What went past the log is newer than everything in it.
          if (this.history.isPlain && (content === NOBODY || content >= write.nr)) continue;
          throw violation(
            inv,
            `log ${book.serial} is published up to ${end} or further, but sector ${sector} holds ${content} (${image}) instead of ${text(write)}`,
            { sector, image },
          );
        }
      }
      this.checked.set(book.serial, i + 1);
    }
  }

  /** The writeback of something newer failed in the middle of the sector; its record is durable, and replay repeats it. */
  private willBeRewritten(sector: number, write: ClientWrite): boolean {
    return this.versions[sector]!.some((newer) => newer.nr > write.nr && this.isDurableOn(newer, sector));
  }

  /** The log failed behind this record, and a fresh one has it, too: that one counts. */
  private isRepeatedAfter({ serial, write, first }: BookRecord): boolean {
    for (const book of this.books.values()) {
      if (book.serial <= serial) continue;
      if (book.records.some((r) => r.write === write && r.first <= first && first < r.first + r.count)) return true;
    }
    return false;
  }

  /** The newest version with this content. */
  private versionOf(sector: number, content: number): ClientWrite | undefined {
    const list = this.versions[sector]!;
    for (let i = list.length - 1; i >= 0; i--) if (list[i]!.content === content) return list[i];
    return undefined;
  }

  /** Number of the oldest version with this content; of zeroes nobody knows more. */
  private oldestOf(sector: number, content: number): number {
    if (content === NOBODY) return 0;
    return this.versions[sector]!.find((write) => write.content === content)?.nr ?? 0;
  }

  // ------------------------------------------------------------------------------------------------------------ crashes

  private survived(book: LogBook, bytes: Uint8Array | null): BookRecord[] {
    if (bytes !== null) return book.survivedAs(bytes);
    const isDone = (this.checked.get(book.serial) ?? 0) >= book.records.length;
    if (isDone) return [];
    return book.survivedAs(new Uint8Array(0));
  }

  /** After a crash: what the clients of this life had written stands in the logs as far as it has survived. */
  private countAnew(): void {
    const { writes, firstNrOfLife } = this.history;
    for (let nr = firstNrOfLife; nr < writes.length; nr++) writes[nr]!.loggedSectors = writes[nr]!.durableSectors = 0;
    for (const list of this.versions) {
      const from = list.findIndex((write) => write.nr >= firstNrOfLife);
      if (from >= 0) list.length = from;
    }
    for (const book of [...this.books.values()].sort((a, b) => a.serial - b.serial)) {
      book.records.forEach((record, i) => {
        if (record.write.nr < firstNrOfLife || this.abandoned.has(record)) return;
        this.count(record);
        if (i < book.durableRecords) noteDurable(record);
      });
    }
  }

  private checkDurableSurvived(): void {
    const { writes } = this.history;
    for (let nr = this.history.firstNrOfLife; nr < writes.length; nr++) {
      const write = writes[nr]!;
      if (write.isDurable && write.loggedSectors < write.count)
        throw violation(1, `${text(write)} was acknowledged as durable, and its record is gone`, { write: nr });
    }
  }

  /** INV-7 once more, at the moment where it counts: nothing on the data device that recovery would not bring back. */
  private checkDataIsLogged(): void {
    for (let sector = 0; sector < this.history.sectorCount; sector++) {
      const content = this.truth.dataContent(sector, 'written');
      if (content === NOBODY || content === GARBAGE || this.versionOf(sector, content) !== undefined) continue;
      throw violation(7, `after the crash sector ${sector} holds write ${content}, which is in no log`, { sector });
    }
  }
}

/** Is a hole between what was lost and what this log begins with? A fresh log after a failure repeats what the old one may lack. */
function isBehind(lost: BookRecord | undefined, book: LogBook): boolean {
  const next = book.records[0];
  if (lost === undefined || next === undefined) return false;
  return next.write.nr > lost.write.nr || (next.write === lost.write && next.first > lost.first);
}

function noteDurable({ write, first, count }: BookRecord): void {
  write.durableSectors = Math.max(write.durableSectors, first + count - write.first);
}
