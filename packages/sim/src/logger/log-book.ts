import { NOBODY, SECTOR_BYTES } from '../front/sector-stamp.js';
import { RecordDecoder, areaOf, type DecodedRecord, type LogArea } from '@mars/bricks-logger/log-format';
import type { ClientHistory, ClientWrite } from './history.js';
import { violation } from './violation.js';

/** What a sector of a payload holds: a number of a write, NOBODY for zeroes, GARBAGE for anything else. */
export type ReadContent = (bytes: Uint8Array, at: number, sector: number) => number;

/** One record of a logfile, and whose it is. */
export interface BookRecord {
  readonly serial: number;
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly count: number;
  readonly write: ClientWrite;
}

/** Pieces that were written beyond the contiguous part of a file. */
interface Piece {
  pos: number;
  end: number;
}

const FIRST_ROOM_BYTES = 64 * 1024;

/**
 * One logfile, as it was seen growing: its bytes, and the records that are complete in them. It believes nobody: bytes come from
 * the disk, and every payload must be what a client wrote.
 */
export class LogBook {
  readonly records: BookRecord[] = [];
  /** Bytes from 0 on without a gap. */
  written = 0;
  /** End of the last complete record. */
  parsed = 0;
  /** No power cut can take what lies before. */
  durable = 0;
  /** Records that are durable. */
  durableRecords = 0;
  /** Size of the file. */
  sizeBytes = 0;
  /** Sectors of the last write that stand in this file. */
  private lastSectors = 0;
  private area: LogArea = areaOf(new Uint8Array(FIRST_ROOM_BYTES));
  private ahead: Piece[] = [];
  private readonly decoder = new RecordDecoder();

  constructor(
    readonly serial: number,
    private readonly history: ClientHistory,
    private readonly contentOf: ReadContent,
    private readonly onRecord: (record: BookRecord) => void,
  ) {}

  get lastNr(): number {
    return this.records.at(-1)?.write.nr ?? 0;
  }

  /** INV-10: a file only grows, and records are complete, gap-free and numbered from 1. */
  wrote(pos: number, bytes: Uint8Array): void {
    // A write that failed is repeated with the same bytes: that modifies nothing.
    if (pos < this.parsed && !this.isSame(pos, bytes))
      throw this.broken(
        `it gets other bytes from ${pos} on; its records end at ${this.parsed}, ${this.durable} are durable`,
      );
    this.reserve(pos + bytes.length);
    this.area.bytes.set(bytes, pos);
    this.sizeBytes = Math.max(this.sizeBytes, pos + bytes.length);
    this.ahead.push({ pos, end: pos + bytes.length });
    this.join();
    this.parse();
  }

  private isSame(pos: number, bytes: Uint8Array): boolean {
    const end = Math.min(this.parsed, pos + bytes.length);
    for (let at = pos; at < end; at++) if (this.area.bytes[at] !== bytes[at - pos]) return false;
    return true;
  }

  cut(sizeBytes: number): void {
    if (sizeBytes < this.parsed) throw this.broken(`it is cut at ${sizeBytes}, inside of its records (${this.parsed})`);
    this.written = Math.min(this.written, sizeBytes);
    this.sizeBytes = sizeBytes;
    this.durable = Math.min(this.durable, sizeBytes);
    this.ahead = [];
  }

  /** A record border: where a replay may start. */
  isBorder(pos: number): boolean {
    return pos === 0 || this.indexOfEnd(pos) >= 0;
  }

  /** Number of records that end at or before `pos`. */
  recordsUpTo(pos: number): number {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.records[middle]!.end <= pos) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first `bytes` bytes of the file are durable now. @returns records that became so */
  becameDurable(bytes: number): BookRecord[] {
    // Behind a gap nothing counts, and the gap itself is no part of the log yet.
    this.durable = Math.max(this.durable, Math.min(bytes, this.parsed));
    const from = this.durableRecords;
    this.durableRecords = Math.max(from, this.recordsUpTo(this.durable));
    return this.records.slice(from, this.durableRecords);
  }

  /**
   * A crash has left this of the file.
   * @returns records that are gone
   */
  survivedAs(bytes: Uint8Array): BookRecord[] {
    const left = this.validRecords(bytes);
    if (left < this.durableRecords)
      throw this.broken(`${this.durableRecords} of its records were durable, and ${left} are left`);
    const gone = this.endAfter(left);
    this.reserve(bytes.length);
    this.area.bytes.fill(0);
    this.area.bytes.set(bytes);
    this.sizeBytes = bytes.length;
    return gone;
  }

  /** The log before this one has lost its end, so nothing in this one counts. @returns records that are gone */
  loseAll(): BookRecord[] {
    return this.endAfter(0);
  }

  private endAfter(count: number): BookRecord[] {
    const gone = this.records.splice(count);
    this.lastSectors = Infinity;
    this.parsed = this.written = this.records.at(-1)?.end ?? 0;
    this.durable = Math.min(this.durable, this.parsed);
    this.durableRecords = Math.min(this.durableRecords, count);
    this.ahead = [];
    return gone;
  }

  /**
   * How many of the known records stand at the beginning of these bytes as they were written. The bytes are compared: a judge that asked
   * the decoder would be fooled with it.
   */
  private validRecords(bytes: Uint8Array): number {
    const { bytes: known } = this.area;
    for (const [i, { start, end }] of this.records.entries()) {
      if (end > bytes.length) return i;
      for (let at = start; at < end; at++) if (bytes[at] !== known[at]) return i;
    }
    return this.records.length;
  }

  private reserve(end: number): void {
    const { bytes } = this.area;
    if (end <= bytes.length) return;
    const larger = new Uint8Array(Math.max(end, 2 * bytes.length));
    larger.set(bytes);
    this.area = areaOf(larger);
  }

  private join(): void {
    for (let found = true; found;) {
      found = false;
      for (const piece of this.ahead) {
        if (piece.pos > this.written || piece.end <= this.written) continue;
        this.written = piece.end;
        found = true;
      }
    }
    this.ahead = this.ahead.filter((piece) => piece.end > this.written);
  }

  private parse(): void {
    for (;;) {
      const prevSeq = this.records.length;
      const found = this.decoder.decode(this.area, this.parsed, this.written, prevSeq, 'refuse');
      if (found.kind === 'end' || found.kind === 'short-tail' || found.kind === 'incomplete') return;
      // A file may keep zeroes behind its logical end (decided.md, *Data path*).
      if (found.kind === 'defect' && this.area.view.getUint32(this.parsed, true) === 0) return;
      if (found.kind !== 'record')
        throw this.broken(`what was written at ${this.parsed} is no record (${found.status}, ${found.detail})`);
      if (found.seq !== prevSeq + 1) throw this.broken(`record ${prevSeq + 1} has the sequence number ${found.seq}`);
      this.accept(found);
    }
  }

  private accept(found: DecodedRecord): void {
    const { pos, payload, payloadAt, payloadLen, code } = found;
    const first = pos / SECTOR_BYTES;
    const count = payloadLen / SECTOR_BYTES;
    if (code !== 1 || !Number.isInteger(first) || !Number.isInteger(count) || count < 1)
      throw this.broken(`the record at ${this.parsed} has code ${code}, position ${pos}, length ${payloadLen}`);
    const contents = Array.from({ length: count }, (_, i) =>
      this.contentOf(payload, payloadAt + i * SECTOR_BYTES, first + i),
    );
    const write = this.ownerOf(first, count, contents);
    const record = { serial: this.serial, start: this.parsed, end: this.parsed + found.totalLen, first, count, write };
    this.parsed = record.end;
    this.lastSectors = first + count - write.first;
    this.records.push(record);
    this.onRecord(record);
  }

  /** The write of a client that this record belongs to: the whole next part of it, in the order of issue (INV-2). */
  private ownerOf(first: number, count: number, contents: readonly number[]): ClientWrite {
    const content = contents[0]!;
    const where = `the record at ${this.parsed} for sectors ${first} to ${first + count - 1}`;
    if (content < 0 || contents.some((other) => other !== content))
      throw violation(2, `${this.name}: ${where} holds bytes that no client wrote (${contents.join(' ')})`);
    const write = content === NOBODY ? this.zeroWrite(first, count) : this.history.writes[content];
    if (write === undefined || !this.isNextPart(write, first, count))
      throw violation(2, `${this.name}: ${where} is not the next part of write ${write?.nr ?? content}`);
    if (write.nr < this.lastNr)
      throw violation(2, `${this.name}: ${where} belongs to write ${write.nr}, but stands behind write ${this.lastNr}`);
    return write;
  }

  /**
   * The next part of the write in this file. A log that failed is followed by a fresh one, which begins with whatever the old one had not
   * made durable: so the first part here may stand in an older file as well, and what is in front of it must.
   */
  private isNextPart(write: ClientWrite, first: number, count: number): boolean {
    if (first < write.first || first + count > write.first + write.count) return false;
    const at = first - write.first;
    return write.nr === this.lastNr ? at === this.lastSectors : at <= write.loggedSectors;
  }

  /** Zeroes do not say whose they are: the oldest write that fits, that is not safe in a log yet, and that was not refused. */
  private zeroWrite(first: number, count: number): ClientWrite | undefined {
    const { writes, firstNrOfLife } = this.history;
    let second: ClientWrite | undefined;
    for (let nr = Math.max(firstNrOfLife, this.lastNr); nr < writes.length; nr++) {
      const write = writes[nr]!;
      if (write.content !== NOBODY || !this.isNextPart(write, first, count)) continue;
      if (write.outcome !== 'failed' && write.durableSectors < write.count) return write;
      second ??= write;
    }
    return second;
  }

  private indexOfEnd(pos: number): number {
    const index = this.recordsUpTo(pos) - 1;
    return index >= 0 && this.records[index]!.end === pos ? index : -1;
  }

  private get name(): string {
    return `log ${this.serial}`;
  }

  private broken(what: string): Error {
    return violation(10, `${this.name}: ${what}`, { serial: this.serial });
  }
}
