import assert from 'node:assert/strict';
import { F_FUA, createRandom, type SeededRandom } from '@mars/brick-core';
import type { ProbeResult } from '@mars/brick-core/testing';
import { scanBytes } from '../log-format/support.test.kit.js';
import type { LoggerKit, MemoryLog } from './logger.test.kit.js';

const SECTOR = 512;

/** One write as the client remembers it. `id` 0 stands for what was there before. */
interface Sent {
  id: number;
  first: number;
  count: number;
  isZero: boolean;
  isAnswered: boolean;
  /** Answered with FUA, or before an answered flush. */
  isSafe: boolean;
}

/** What a {@link ModelRun} does. */
export interface Workload {
  seed: number;
  requests: number;
  spanBytes: number;
  longestBytes: number;
  depth: number;
  /** Shares, 0 … 1. */
  reads: number;
  flushes: number;
  fua: number;
  zeroes: number;
  /** Longest pause between two requests, ms. */
  pauseMsMax: number;
  /** After how many requests the log is rotated; 0 = never. */
  rotateEvery: number;
  /** Every how many requests a crash is imagined and recovered from, and after about as many answers; 0 = never. */
  crashEvery: number;
  /** Devices fail: requests may stay unanswered, and errors are answers. */
  mayHang?: boolean;
}

/**
 * A wild client and a judge. Every sector carries the number of the write it comes from, so a read tells what it saw, and
 * whatever a crash leaves tells which writes are in it.
 */
export class ModelRun {
  readonly logs: MemoryLog[];
  private readonly random: SeededRandom;
  private readonly sent: Sent[] = [];
  private underWay = 0;
  private requests = 0;
  private nextSlot = 1;
  crashes = 0;
  /** What a judge said inside a callback, where nobody would hear it: bricks must not throw, so the core catches it. */
  private failure: Error | null = null;

  constructor(
    private readonly kit: LoggerKit,
    private readonly work: Workload,
  ) {
    this.random = createRandom(work.seed);
    this.logs = [kit.log()];
  }

  async run(): Promise<void> {
    const { work, kit, random } = this;
    for (let i = 0; i < work.requests; i++) {
      for (let turns = 0; this.underWay >= work.depth; turns++) {
        if (work.mayHang && turns > 5000) return;
        assert.ok(turns < 100_000, `${this.underWay} requests are never answered`);
        await kit.runFor(0.2);
      }
      this.sendOne();
      if (random.float() < 0.5) await kit.runFor(random.float() * work.pauseMsMax);
      if (work.rotateEvery > 0 && i % work.rotateEvery === work.rotateEvery - 1) await this.rotate();
      if (work.crashEvery > 0 && i % work.crashEvery === work.crashEvery - 1) this.imagineCrash();
      if (this.failure !== null) throw this.failure;
    }
    for (let i = 0; this.underWay > 0; i++) {
      if (work.mayHang && i > 1000) break;
      assert.ok(i < 100_000, `${this.underWay} requests are never answered`);
      await kit.runFor(10);
    }
    if (this.failure !== null) throw this.failure;
  }

  /** After a clean stop: the device holds every write in order, and so do the logs. */
  checkEnd(): void {
    const expected = this.stateAfter(this.sent.length);
    const { store, durable } = this.kit.disk;
    assertSame(sectorsOf(store, this.sectors), expected, 'device');
    assertSame(sectorsOf(durable, this.sectors), expected, 'durable device');
    assertSame(this.replayed(new Uint8Array(store.length), Infinity).ids, expected, 'replay of the whole log');
    const last = this.logs.at(-1)!;
    const serial = Number(last.name.split(':')[1]);
    assert.equal(this.kit.fact('replay'), `${serial},${last.sizeBytes},0`);
  }

  private get sectors(): number {
    return this.work.spanBytes / SECTOR;
  }

  // --------------------------------------------------------------------------------------------------------- requests

  private sendOne(): void {
    const { random, work } = this;
    const share = random.float();
    this.requests++;
    this.underWay++;
    if (share < work.reads) this.sendRead();
    else if (share < work.reads + work.flushes) this.sendFlush();
    else this.sendWrite();
  }

  private range(): { first: number; count: number } {
    const count = 1 + this.random.int(this.work.longestBytes / SECTOR);
    return { first: this.random.int(this.sectors - count + 1), count };
  }

  private sendWrite(): void {
    const { first, count } = this.range();
    const isZero = this.random.float() < this.work.zeroes;
    const flags = this.random.float() < this.work.fua ? F_FUA : 0;
    const write: Sent = { id: this.sent.length + 1, first, count, isZero, isAnswered: false, isSafe: false };
    this.sent.push(write);
    const answered = this.judged(() => {
      write.isAnswered = true;
      if (flags !== 0) write.isSafe = true;
      if (this.work.crashEvery > 0 && this.random.int(this.work.crashEvery) === 0) this.imagineCrash();
    });
    const posBytes = first * SECTOR;
    if (isZero) this.kit.request({ op: 'zero', posBytes, lenBytes: count * SECTOR, flags }, answered);
    else this.kit.request({ op: 'write', posBytes, data: stamped(write.id, count), flags }, answered);
  }

  private sendFlush(): void {
    const covered = this.sent.filter((write) => write.isAnswered);
    this.kit.flush(
      this.judged(() => {
        for (const write of covered) write.isSafe = true;
        if (this.work.crashEvery > 0) this.imagineCrash();
      }),
    );
  }

  /** INV-9: every sector is at least as new as the newest write that was answered when the read was sent. */
  private sendRead(): void {
    const { first, count } = this.range();
    const oldest = new Uint32Array(count);
    for (const write of this.sent) {
      if (!write.isAnswered) continue;
      for (let i = Math.max(first, write.first); i < Math.min(first + count, write.first + write.count); i++)
        oldest[i - first] = write.id;
    }
    const judge = this.judged(({ data }) => {
      sectorsOf(data, count).forEach((id, i) => this.judgeRead(first + i, id, oldest[i]!));
    });
    this.kit.read({ posBytes: first * SECTOR, lenBytes: count * SECTOR }, judge);
  }

  /** A callback whose complaints are heard. */
  private judged(judge: (result: ProbeResult) => void): (result: ProbeResult) => void {
    return (result) => {
      this.underWay--;
      try {
        if (this.work.mayHang && result.err !== 0) return;
        assert.equal(result.err, 0);
        judge(result);
      } catch (error) {
        this.failure ??= error as Error;
      }
    };
  }

  private judgeRead(sector: number, id: number, atLeast: number): void {
    // Zeroes carry no number: any zeroing write that is new enough explains them.
    if (id === 0) {
      const isExplained = atLeast === 0 || this.sent.some((w) => w.isZero && w.id >= atLeast && covers(w, sector));
      return assert.ok(isExplained, `sector ${sector} reads as zero, but write ${atLeast} was answered`);
    }
    assert.ok(id >= atLeast, `sector ${sector} shows write ${id}, but ${atLeast} was answered before`);
    assert.ok(covers(this.sent[id - 1]!, sector), `sector ${sector} shows write ${id}, which is not for it`);
  }

  // --------------------------------------------------------------------------------------------------------- rotation

  private async rotate(): Promise<void> {
    const { kit } = this;
    const nr = this.nextSlot;
    if (!kit.logger.slotIdle('log', nr)) return;
    const wire = { consumer: 'logger', input: 'log', nr };
    if (kit.graph.wire(wire).connected) await kit.settle(kit.graph.disconnect(wire));
    this.logs.push(await kit.rotate(this.logs.length + 1, nr));
    this.nextSlot = 1 - nr;
  }

  // ------------------------------------------------------------------------------------------------------------ crash

  /** Power is cut here: some of what is not durable survives, sector by sector. Recovery must find a prefix (INV-1, 2, 4, 5, 7). */
  imagineCrash(): void {
    this.crashes++;
    const { store, durable } = this.kit.disk;
    const disk = durable.slice();
    for (let at = 0; at < this.work.spanBytes; at += SECTOR)
      if (this.random.float() < 0.5) disk.set(store.subarray(at, at + SECTOR), at);
    const records = this.recordsPerWrite();
    const { ids, applied } = this.replayed(disk, records.total);
    const safe = this.sent.findLastIndex((write) => write.isSafe);
    const complete = records.ends.findLastIndex((end) => end <= applied);
    assert.ok(complete >= safe, `write ${safe + 1} was safe, but recovery found only ${complete + 1} writes`);
    assertSame(ids, this.replayed(new Uint8Array(disk.length), Infinity, true).ids, 'recovered device');
  }

  /** How many records the log holds up to the end of each write. */
  private recordsPerWrite(): { ends: number[]; total: number } {
    const { 'record-bytes': longest = 16384 } = this.kit.params as { 'record-bytes'?: number };
    let total = 0;
    const ends = this.sent.map(({ first, count }) => {
      for (let at = first * SECTOR; at < (first + count) * SECTOR; total++)
        at += Math.min(longest, 65536 - (at % 65536), (first + count) * SECTOR - at);
      return total;
    });
    return { ends, total };
  }

  /** Applies what is durable in the logs from the published position on; `fromStart` from the very first record. */
  private replayed(disk: Uint8Array, _most: number, fromStart = false): { ids: Uint32Array; applied: number } {
    const [serial, minPos] = String(this.kit.fact('replay')).split(',').map(Number) as [number, number];
    let applied = 0;
    const isWhole = _most === Infinity && !fromStart;
    for (const log of this.logs) {
      const nr = Number(log.name.split(':')[1]);
      const bytes = isWhole ? log.bytes : log.durable;
      const result = scanBytes(bytes.slice(), {}, (record, offset) => {
        applied++;
        if (!fromStart && !isWhole && (nr < serial || (nr === serial && offset < minPos))) return;
        disk.set(record.payload.subarray(record.payloadAt, record.payloadAt + record.payloadLen), record.pos);
      });
      assert.ok(['complete', 'empty', 'zero-tail', 'short-tail'].includes(result.kind), `log ${nr}: ${result.kind}`);
      if (nr === serial) assert.ok(result.goodEnd >= minPos, 'the published position lies behind the end of the log');
      // A log that ends early hides everything behind it.
      if (result.goodEnd < log.sizeBytes && log !== this.logs.at(-1)) break;
    }
    return { ids: sectorsOf(disk, this.sectors), applied };
  }

  private stateAfter(writes: number): Uint32Array {
    const ids = new Uint32Array(this.sectors);
    for (const { id, first, count, isZero } of this.sent.slice(0, writes))
      ids.fill(isZero ? 0 : id, first, first + count);
    return ids;
  }
}

function covers(write: Sent, sector: number): boolean {
  return sector >= write.first && sector < write.first + write.count;
}

function stamped(id: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * SECTOR);
  new Uint32Array(bytes.buffer).fill(id);
  return bytes;
}

/** The number in each sector; a sector with two of them is torn. */
function sectorsOf(bytes: Uint8Array, count: number): Uint32Array {
  const words = new Uint32Array(bytes.slice(0, count * SECTOR).buffer);
  const ids = new Uint32Array(count);
  for (let sector = 0; sector < count; sector++) {
    ids[sector] = words[sector * 128]!;
    for (let i = 1; i < 128; i++) assert.equal(words[sector * 128 + i], ids[sector], `sector ${sector} is mixed`);
  }
  return ids;
}

function assertSame(actual: Uint32Array, expected: Uint32Array, what: string): void {
  const at = expected.findIndex((id, i) => actual[i] !== id);
  assert.equal(at, -1, `${what}: sector ${at} shows write ${actual[at]}, not ${expected[at]}`);
}
