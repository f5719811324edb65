import assert from 'node:assert/strict';
import { RecordEncoder, areaOf, newRecordMeta } from '@mars/bricks-logger/log-format';
import { NOBODY, SECTOR_BYTES, stampSector } from '../front/sector-stamp.js';
import { contentOf } from './disk-watch.js';
import type { ClientWrite } from './history.js';
import { LoggerJudge, type LoggerTruth } from './judge.js';
import { invariantOf } from './violation.js';

const SECTORS = 16;

/** A logger that is only played: every step is a call, so that each can be left out or be done wrongly. */
class Stage implements LoggerTruth {
  readonly judge = new LoggerJudge(SECTORS * SECTOR_BYTES, this, contentOf);
  readonly files = new Map<number, Uint8Array>();
  readonly durableBytes = new Map<number, number>();
  readonly written = new Array<number>(SECTORS).fill(NOBODY);
  readonly durable = new Array<number>(SECTORS).fill(NOBODY);
  private readonly seqs = new Map<number, number>();

  constructor() {
    this.judge.surveyed(this.written);
    this.judge.deviceUp();
  }

  logDurableBytes(serial: number): number {
    return this.durableBytes.get(serial) ?? 0;
  }

  dataContent(sector: number, image: 'written' | 'durable'): number {
    return this[image][sector]!;
  }

  write(sector: number, count = 1, isFua = false): ClientWrite {
    return this.judge.issueWrite(sector * SECTOR_BYTES, count * SECTOR_BYTES, { isFua });
  }

  /** Encodes the record of a write; `first` and `count` for a part of it. */
  record(serial: number, write: ClientWrite, first = write.first, count = write.count, seq?: number): Uint8Array {
    const words = new Uint32Array((count * SECTOR_BYTES) / 4);
    for (let i = 0; i < count; i++) stampSector(words, (i * SECTOR_BYTES) / 4, write.nr, first + i);
    return this.encode(serial, first, words, seq);
  }

  encode(serial: number, first: number, words: Uint32Array, seq?: number): Uint8Array {
    const payload = areaOf(new Uint8Array(words.buffer));
    const target = areaOf(new Uint8Array(words.byteLength + 84));
    const next = seq ?? (this.seqs.get(serial) ?? 0) + 1;
    this.seqs.set(serial, next);
    const meta = { ...newRecordMeta(), pos: first * SECTOR_BYTES, seq: next };
    new RecordEncoder().encode(target, 0, target.bytes.length, meta, payload, 0, words.byteLength);
    return target.bytes;
  }

  append(serial: number, bytes: Uint8Array): void {
    const before = this.files.get(serial) ?? new Uint8Array(0);
    this.files.set(serial, new Uint8Array([...before, ...bytes]));
    this.judge.logWritten(serial, before.length, bytes);
  }

  log(serial: number, write: ClientWrite): void {
    this.append(serial, this.record(serial, write));
  }

  sync(serial: number): void {
    this.durableBytes.set(serial, this.size(serial));
  }

  size(serial: number): number {
    return this.files.get(serial)?.length ?? 0;
  }

  writeBack(write: ClientWrite): void {
    for (let i = write.first; i < write.first + write.count; i++) {
      this.judge.dataWritten(i, write.content);
      this.written[i] = write.content;
    }
  }

  flushData(): void {
    this.written.forEach((content, i) => (this.durable[i] = content));
  }

  /** From taken to published, as it must be. */
  through(serial: number, write: ClientWrite): void {
    this.log(serial, write);
    this.sync(serial);
    this.judge.answerWrite(write);
    this.writeBack(write);
    this.flushData();
    this.publish(serial, this.size(serial));
  }

  publish(serial: number, posBytes: number, dirtyBytes = 0): void {
    this.judge.publish({ serial, posBytes, dirtyBytes });
  }

  /** Power is gone; of the logs only what is durable is left, and of the data device too. */
  cutPower(left: (serial: number) => number = (serial) => this.logDurableBytes(serial)): void {
    for (const [serial, bytes] of this.files) this.files.set(serial, bytes.slice(0, left(serial)));
    this.durable.forEach((content, i) => (this.written[i] = content));
    this.judge.crashed((serial) => this.files.get(serial) ?? null);
  }

  recover(contents: readonly number[]): void {
    for (const serial of this.files.keys()) this.sync(serial);
    this.judge.deviceUp();
    this.judge.surveyed(contents);
  }
}

const breaks = (inv: number, story: () => void): void => {
  assert.throws(story, (error) => invariantOf(error) === inv || assert.fail(`INV-${inv} expected: ${String(error)}`));
};

const contents = (...writes: readonly (readonly [number, ClientWrite])[]): number[] => {
  const sectors = new Array<number>(SECTORS).fill(NOBODY);
  for (const [sector, write] of writes) sectors[sector] = write.content;
  return sectors;
};

describe('LoggerJudge', () => {
  it('finds nothing wrong with a logger that does everything in its order, over a rotation and a power cut', () => {
    const stage = new Stage();
    const [one, two, three] = [stage.write(0, 2), stage.write(1), stage.write(5)];
    stage.through(1, one);
    stage.log(1, two);
    stage.judge.answerWrite(two);
    stage.sync(1);
    stage.log(2, three);
    stage.writeBack(two);
    stage.flushData();
    stage.publish(1, stage.size(1));
    stage.publish(2, 0);
    stage.cutPower();
    stage.recover(contents([0, one], [1, two]));
    assert.equal(stage.judge.counts.records, 3);
    assert.equal(stage.judge.counts.recoveries, 2);
  });

  it('INV-1: a FUA write is answered before its record is durable', () => {
    const stage = new Stage();
    const write = stage.write(0, 1, true);
    stage.log(1, write);
    breaks(1, () => stage.judge.answerWrite(write));
  });

  it('INV-1: the device has lost what was durable', () => {
    const stage = new Stage();
    const write = stage.write(0, 1, true);
    stage.log(1, write);
    stage.sync(1);
    stage.judge.answerWrite(write);
    stage.cutPower();
    breaks(1, () => stage.recover(contents()));
  });

  it('INV-10: a log has lost a durable record', () => {
    const stage = new Stage();
    const write = stage.write(0, 1, true);
    stage.log(1, write);
    stage.sync(1);
    stage.judge.answerWrite(write);
    breaks(10, () => stage.cutPower(() => 100));
  });

  it('INV-2: a recovery that brings back less than the logs say, or more', () => {
    for (const isApplied of [false, true]) {
      const stage = new Stage();
      const write = stage.write(3);
      stage.log(1, write);
      stage.judge.answerWrite(write);
      stage.cutPower((serial) => (isApplied ? 0 : stage.size(serial)));
      breaks(2, () => stage.recover(isApplied ? contents([3, write]) : contents()));
    }
  });

  it('INV-2: records stand in another order than the writes were issued in', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(1)];
    stage.log(1, two);
    breaks(2, () => stage.log(1, one));
  });

  it('INV-2: the next log is applied although this one has lost its end', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(1)];
    stage.log(1, one);
    stage.log(2, two);
    stage.cutPower((serial) => (serial === 1 ? 0 : stage.size(2)));
    breaks(13, () => stage.writeBack(two));
  });

  it('INV-2: a record holds bytes that no client wrote, because its buffer was used again too early', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0, 2), stage.write(0, 2)];
    const words = new Uint32Array((2 * SECTOR_BYTES) / 4);
    stampSector(words, 0, one.nr, 0);
    stampSector(words, SECTOR_BYTES / 4, two.nr, 1);
    breaks(2, () => stage.append(1, stage.encode(1, 0, words)));
  });

  it('INV-4: the link is ahead of what is written back', () => {
    const stage = new Stage();
    const write = stage.write(0);
    stage.log(1, write);
    stage.sync(1);
    breaks(4, () => stage.publish(1, stage.size(1)));
  });

  it('INV-4: the link is ahead of what the data device has made durable', () => {
    const stage = new Stage();
    const write = stage.write(0);
    stage.log(1, write);
    stage.sync(1);
    stage.writeBack(write);
    breaks(4, () => stage.publish(1, stage.size(1)));
  });

  it('INV-5: the link is no border of records, or ends behind what is durable', () => {
    const stage = new Stage();
    stage.through(1, stage.write(0));
    stage.log(1, stage.write(0));
    breaks(5, () => stage.publish(1, stage.size(1) - 4));
    breaks(5, () => stage.publish(1, stage.size(1) / 2, 596));
    breaks(5, () => stage.publish(1, stage.size(1), -4));
  });

  it('INV-6: the link goes back', () => {
    const stage = new Stage();
    stage.through(1, stage.write(0));
    breaks(6, () => stage.publish(1, 0));
    stage.publish(2, 0);
    breaks(6, () => stage.publish(1, stage.size(1)));
  });

  it('INV-7: data reaches the device before its record is durable, or without one', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(1)];
    stage.log(1, one);
    breaks(7, () => stage.writeBack(one));
    breaks(7, () => stage.writeBack(two));
  });

  it('INV-7: after a crash the device holds something that is in no log', () => {
    const stage = new Stage();
    const write = stage.write(0);
    stage.durable[0] = write.content;
    breaks(7, () => stage.cutPower());
  });

  it('INV-8: an older version overwrites a newer one', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(0)];
    stage.log(1, one);
    stage.log(1, two);
    stage.sync(1);
    stage.writeBack(two);
    breaks(8, () => stage.writeBack(one));
  });

  it('INV-9: a read is older than a write that was answered before it, or mixed', () => {
    const stage = new Stage();
    const early = stage.judge.issueRead();
    const write = stage.write(0);
    stage.through(1, write);
    stage.judge.judgeRead(early, 0, NOBODY);
    const read = stage.judge.issueRead();
    breaks(9, () => stage.judge.judgeRead(read, 0, NOBODY));
    breaks(9, () => stage.judge.judgeRead(read, 0, -1));
    breaks(9, () => stage.judge.judgeRead(read, 1, 99));
    stage.judge.judgeRead(read, 0, write.content);
  });

  it('INV-9: of two writes that were under way together the later one wins', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(0)];
    stage.log(1, one);
    stage.log(1, two);
    stage.judge.answerWrite(two);
    stage.judge.answerWrite(one);
    const read = stage.judge.issueRead();
    breaks(9, () => stage.judge.judgeRead(read, 0, one.content));
  });

  it('INV-10: durable bytes are written again, sequence numbers have a gap, an old file is continued', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(1)];
    const first = stage.record(1, one);
    stage.append(1, first);
    stage.judge.logWritten(1, 0, first);
    breaks(10, () => stage.judge.logWritten(1, 8, first));
    breaks(10, () => stage.append(1, stage.record(1, two, 1, 1, 3)));
    const other = new Stage();
    breaks(10, () => other.append(1, other.record(1, other.write(0), 0, 1, 2)));
    const third = new Stage();
    third.through(1, third.write(0));
    third.cutPower();
    third.recover([...third.durable]);
    breaks(10, () => third.log(1, third.write(1)));
    breaks(10, () => third.judge.logCut(1, 8));
  });

  it('INV-11: the next log is published while this one is not written back, or still written', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(1)];
    stage.through(1, one);
    stage.log(1, two);
    stage.sync(1);
    stage.judge.answerWrite(two);
    breaks(11, () => stage.publish(2, 0));
    stage.writeBack(two);
    stage.flushData();
    stage.publish(2, 0);
    breaks(10, () => stage.log(1, stage.write(2)));
  });

  it('INV-13: recovery applies something that stands in no record', () => {
    const stage = new Stage();
    const write = stage.write(0);
    stage.log(1, write);
    stage.cutPower();
    breaks(13, () => stage.writeBack(write));
  });

  it('INV-18: a write is answered well although its record was never written', () => {
    const stage = new Stage();
    const [one, two] = [stage.write(0), stage.write(1, 2)];
    breaks(18, () => stage.judge.answerWrite(one));
    stage.append(1, stage.record(1, two, 1, 1));
    breaks(18, () => stage.judge.answerWrite(two));
  });

  it('INV-19: a flush is answered before everything that was answered before it is durable, in both logs', () => {
    for (const forgotten of [1, 2]) {
      const stage = new Stage();
      const [one, two] = [stage.write(0), stage.write(1)];
      stage.log(1, one);
      stage.log(2, two);
      stage.judge.answerWrite(one);
      stage.judge.answerWrite(two);
      const flush = stage.judge.issueFlush();
      stage.sync(3 - forgotten);
      breaks(19, () => stage.judge.answerFlush(flush));
    }
  });

  it('says when a clean stop has left something behind', () => {
    const stage = new Stage();
    const write = stage.write(0);
    stage.log(1, write);
    stage.sync(1);
    stage.judge.answerWrite(write);
    breaks(4, () => stage.judge.stoppedCleanly());
    stage.writeBack(write);
    stage.flushData();
    stage.publish(1, 0);
    breaks(4, () => stage.judge.stoppedCleanly());
    stage.publish(1, stage.size(1));
    stage.judge.stoppedCleanly();
  });
});
