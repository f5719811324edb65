import assert from 'node:assert/strict';
import fc from 'fast-check';
import { buildLog, concat, hexOf, lcgBytes, patched, scanBytes, wordText } from './support.test.kit.js';
import { findNextRecordSync, surveyLog } from './resync.js';
import { readerOf, scanLog, scanLogSync } from './scan.js';
import { GrowingHistogram, HISTOGRAM_BUCKETS, sizeBucket } from './stats.js';
import { judgeTail } from './tail.js';
import type { TailFacts } from './tail.js';
import { WINDOW_BYTES_MIN } from './window.js';

const plain = { payload: lcgBytes(512) };
const LEN = 596;

describe('scanning a log', () => {
  it('an empty file is a valid log: code 0', () => {
    const scan = scanBytes(new Uint8Array(0));
    assert.deepEqual([scan.kind, scan.goodEnd, scan.replayCode, scan.status], ['empty', 0, 0, 0]);
  });

  it('every truncation of the last record leaves the records before it', () => {
    const log = buildLog([plain, { payload: lcgBytes(700, 2) }]);
    for (let cut = LEN; cut < log.bytes.length; cut++) {
      const scan = scanBytes(log.bytes.subarray(0, cut));
      const rest = cut - LEN;
      const kind = rest === 0 ? 'complete' : rest <= 84 ? 'short-tail' : 'incomplete';
      assert.equal(scan.kind, kind, `cut at ${cut}`);
      assert.equal(scan.goodEnd, LEN);
      assert.equal(scan.replayCode, rest === 0 ? 1 : 2);
      assert.deepEqual([scan.status, scan.detail], kind === 'incomplete' ? [-11, -10006] : [0, 0]);
    }
  });

  it('a short tail is ignored whatever it contains', () => {
    const log = buildLog([plain]);
    for (const tail of [new Uint8Array(84), new Uint8Array(84).fill(0xaa), log.bytes.subarray(0, 84)]) {
      assert.equal(scanBytes(concat(log.bytes, tail)).kind, 'short-tail');
    }
    assert.equal(scanBytes(concat(log.bytes, new Uint8Array(85))).kind, 'zero-tail');
  });

  it('a zero tail is told from other bad start magics, however long it is', () => {
    const log = buildLog([plain]);
    for (const len of [85, 4096, 3 * WINDOW_BYTES_MIN]) {
      const zeros = concat(log.bytes, new Uint8Array(len));
      const scan = scanBytes(zeros, { windowBytes: WINDOW_BYTES_MIN });
      assert.deepEqual([scan.kind, scan.status, scan.detail, scan.goodEnd], ['zero-tail', -74, -10013, LEN]);
      assert.equal(scan.scannedTo, zeros.length);
      const notZero = patched(zeros, zeros.length - 1, [1]);
      assert.equal(scanBytes(notZero, { windowBytes: WINDOW_BYTES_MIN }).kind, 'defect');
    }
  });

  it('a zeroed page inside a log stops at the record that it hits first', () => {
    const log = buildLog(Array.from({ length: 12 }, (_, i) => ({ payload: lcgBytes(4096, i + 1) })));
    for (let page = 0; page + 4096 <= log.bytes.length; page += 4096) {
      const scan = scanBytes(log.bytes.slice().fill(0, page, page + 4096));
      const hit = log.offsets.findLast((offset) => offset <= page)!;
      assert.equal(scan.goodEnd, hit, `page at ${page}`);
      assert.equal(scan.kind, 'defect');
    }
  });

  it('a range ends at `to`, and a record that crosses it is not delivered', () => {
    const log = buildLog([plain, plain, plain]);
    assert.equal(scanBytes(log.bytes, { to: 2 * LEN }).kind, 'complete');
    assert.equal(scanBytes(log.bytes, { to: 2 * LEN + 100 }).kind, 'incomplete');
    assert.equal(scanBytes(log.bytes, { to: 2 * LEN + 50 }).kind, 'short-tail');
    assert.equal(scanBytes(log.bytes, { from: LEN, to: LEN }).kind, 'empty');
    assert.equal(scanBytes(log.bytes, { from: LEN }).stats.records, 2);
    assert.equal(scanBytes(log.bytes, { to: 1e9 }).kind, 'complete');
  });

  it('an offset that is no border fails with 10013', () => {
    const log = buildLog([plain, plain, plain]);
    const scan = scanBytes(log.bytes, { from: 4 });
    assert.deepEqual([scan.kind, scan.detail, scan.goodEnd], ['defect', -10013, 4]);
  });

  it('the caller may stop in front of the next record', () => {
    const log = buildLog([plain, plain, plain]);
    const scan = scanBytes(log.bytes, {}, (r) => r.seq < 2);
    assert.deepEqual([scan.kind, scan.goodEnd, scan.replayCode], ['stopped', 2 * LEN, 2]);
  });

  it('reads of any size give the same records', () => {
    const log = buildLog(
      Array.from({ length: 40 }, (_, i) => ({ payload: i % 3 ? lcgBytes(1 + i * 800, i + 1) : wordText(4096, i) })),
    );
    const whole: string[] = [];
    scanBytes(log.bytes, {}, (r, offset) => void whole.push(`${offset} ${r.seq} ${r.payloadLen}`));
    assert.equal(whole.length, 40);
    const read = readerOf(log.bytes);
    for (const most of [1, 83, 596, 4096, 65536]) {
      const seen: string[] = [];
      const scan = scanLogSync(
        (pos, bytes, at, len) => read(pos, bytes, at, Math.min(len, most)),
        { windowBytes: WINDOW_BYTES_MIN },
        (r, offset) => void seen.push(`${offset} ${r.seq} ${r.payloadLen}`),
      );
      assert.equal(scan.kind, 'complete');
      assert.deepEqual(seen, whole);
    }
  });

  it('works the same with a reader that answers later', async () => {
    const log = buildLog([plain, plain]);
    const read = readerOf(log.bytes);
    const scan = await scanLog((pos, bytes, at, len) => Promise.resolve(read(pos, bytes, at, Math.min(len, 100))));
    assert.deepEqual([scan.kind, scan.stats.records], ['complete', 2]);
  });

  it('an error of the reader reaches the caller', async () => {
    await assert.rejects(
      scanLog(() => Promise.reject(new Error('disk on fire'))),
      /disk on fire/,
    );
  });

  it('digests and compressions may change from record to record', () => {
    const digests = ['crc32c', 'crc32', 'md5', 'sha1', 'md5-old'] as const;
    const compressions = ['none', 'lzo', 'lz4', 'zlib'] as const;
    const log = buildLog(
      digests.flatMap((digest) =>
        compressions.map((compression) => ({
          payload: wordText(2048, digests.indexOf(digest)),
          encoder: { digests: [digest], compression },
        })),
      ),
    );
    const scan = scanBytes(log.bytes);
    assert.equal(scan.kind, 'complete');
    assert.deepEqual(scan.stats.byDigest, { crc32c: 4, crc32: 4, md5: 4, sha1: 4, 'md5-old': 4, none: 0 });
    assert.deepEqual(scan.stats.byCompression, { none: 5, lzo: 5, lz4: 5, zlib: 5 });
  });
});

describe('looking behind a defect', () => {
  const log = buildLog(Array.from({ length: 6 }, (_, i) => ({ payload: lcgBytes(512, i + 1) })));

  it('finds the next record in steps of 4, also across window borders', () => {
    const read = readerOf(patched(log.bytes, LEN, [0]));
    assert.equal(findNextRecordSync(read, { from: LEN })?.offset, 2 * LEN);
    assert.equal(findNextRecordSync(read, { from: LEN, aboveSeq: 4 })?.offset, 4 * LEN);
    assert.equal(findNextRecordSync(read, { from: LEN, aboveSeq: 6 }), null);
    for (const gap of [84, WINDOW_BYTES_MIN - 4, WINDOW_BYTES_MIN, 5 * WINDOW_BYTES_MIN + 4]) {
      const far = concat(log.bytes.subarray(0, LEN), new Uint8Array(gap).fill(0x57), log.bytes.subarray(LEN));
      const found = findNextRecordSync(readerOf(far), { from: LEN, windowBytes: WINDOW_BYTES_MIN });
      assert.equal(found?.offset, LEN + gap);
    }
  });

  it('takes a record of unknown sequence for a newer one', () => {
    const two = buildLog([plain, { ...plain, seq: 0 }]);
    assert.equal(findNextRecordSync(readerOf(two.bytes), { from: LEN, aboveSeq: 1 })?.seq, 0);
  });

  it('finds a record at an odd offset only in steps of 1', () => {
    for (const gap of [85, 86, 87, 65539]) {
      const odd = concat(log.bytes.subarray(0, LEN), new Uint8Array(gap).fill(1), log.bytes.subarray(LEN));
      assert.equal(findNextRecordSync(readerOf(odd), { from: LEN, windowBytes: WINDOW_BYTES_MIN }), null);
      const found = findNextRecordSync(readerOf(odd), { from: LEN, stepBytes: 1, windowBytes: WINDOW_BYTES_MIN });
      assert.equal(found?.offset, LEN + gap);
    }
  });

  it('a survey lists good runs and defects in file order and ends', async () => {
    const bad = patched(patched(log.bytes, LEN + 60, [1, 2, 3]), 4 * LEN, [0]);
    const segments = await surveyLog(readerOf(bad));
    const shown = segments.map((s) =>
      s.kind === 'good' ? ['good', s.scan.from, s.scan.goodEnd] : ['bad', s.from, s.to],
    );
    assert.deepEqual(shown, [
      ['good', 0, LEN],
      ['bad', LEN, 2 * LEN],
      ['good', 2 * LEN, 4 * LEN],
      ['bad', 4 * LEN, 5 * LEN],
      ['good', 5 * LEN, 6 * LEN],
    ]);
  });

  it('a survey of noise, of zeros and of an unverified tail ends as well', async () => {
    for (const bytes of [lcgBytes(5000), new Uint8Array(5000), new Uint8Array(0), log.bytes.subarray(0, 700)]) {
      for (const unverified of ['never', 'always'] as const) {
        assert.ok((await surveyLog(readerOf(bytes), { unverified })).length >= 1);
      }
    }
  });
});

describe('judging the tail of the own log', () => {
  const log = buildLog(Array.from({ length: 6 }, (_, i) => ({ payload: lcgBytes(512, i + 1) })));

  /** Collects the facts the way recovery has to. */
  function judge(bytes: Uint8Array, dirtyEnd: number, more: Partial<TailFacts> = {}) {
    const read = readerOf(bytes);
    const scan = scanLogSync(read);
    const behind = findNextRecordSync(read, { from: scan.goodEnd, stepBytes: 1, aboveSeq: scan.lastSeq });
    return judgeTail({ scan, fileBytes: bytes.length, dirtyEnd, validRecordBehind: behind !== null, ...more });
  }

  it('a log without a defect is clean', () => {
    assert.deepEqual(judge(log.bytes, 0), {
      accept: true,
      reason: 'clean',
      cutAt: 6 * LEN,
      endsInsideDirtyRange: false,
    });
    assert.equal(judge(new Uint8Array(0), 0).reason, 'clean');
  });

  it('rule (a): short, incomplete, zero and torn tails are accepted at the last good record', () => {
    for (const [bytes, reason, cutAt] of [
      [log.bytes.subarray(0, 5 * LEN + 50), 'short-tail', 5 * LEN],
      [log.bytes.subarray(0, 5 * LEN + 500), 'incomplete-tail', 5 * LEN],
      [concat(log.bytes, new Uint8Array(4096)), 'zero-tail', 6 * LEN],
      [patched(log.bytes, 5 * LEN + 60, [0, 0]), 'torn-record', 5 * LEN],
      [log.bytes.slice().fill(0, 5 * LEN + 100), 'torn-record', 5 * LEN],
    ] as const) {
      const verdict = judge(bytes, cutAt);
      assert.deepEqual([verdict.accept, verdict.reason, verdict.cutAt], [true, reason, cutAt]);
      assert.equal(verdict.endsInsideDirtyRange, false);
    }
  });

  it('rule (a): older stale records behind a torn one do not hinder', () => {
    const torn = patched(log.bytes, 5 * LEN + 60, [0, 0]);
    assert.equal(judge(concat(torn, log.bytes.subarray(LEN, 2 * LEN)), 0).reason, 'torn-record');
  });

  it('rule (b): a newer record behind is accepted only at or behind the dirty end', () => {
    const hole = log.bytes.slice().fill(0, 2 * LEN + 100, 2 * LEN + 300);
    assert.deepEqual([judge(hole, 2 * LEN).accept, judge(hole, 2 * LEN).reason], [true, 'unsynced-range']);
    assert.deepEqual([judge(hole, 2 * LEN + 1).accept, judge(hole, 2 * LEN + 1).reason], [false, 'damaged']);
  });

  it('rule (b): and only within the last unsynced bytes of the file', () => {
    const hole = concat(log.bytes.slice().fill(0, 2 * LEN + 100, 2 * LEN + 300), lcgBytes(40000));
    const cap = hole.length - 2 * LEN;
    assert.equal(judge(hole, 0, { unsyncedCapBytes: cap }).reason, 'unsynced-range');
    assert.equal(judge(hole, 0, { unsyncedCapBytes: cap - 1 }).reason, 'damaged');
  });

  it('a length that swallows good records is not mistaken for an incomplete tail', () => {
    const long = patched(log.bytes, LEN + 10, [0xff, 0x7f]);
    assert.equal(scanBytes(long).kind, 'incomplete');
    assert.equal(judge(long, 6 * LEN).reason, 'damaged');
  });

  it('a log that ends inside the dirty range is marked, because the disk cannot be consistent', () => {
    const verdict = judge(log.bytes.subarray(0, 4 * LEN + 10), 6 * LEN);
    assert.deepEqual([verdict.accept, verdict.endsInsideDirtyRange], [true, true]);
  });

  it('a scan that did not reach the end of the file decides nothing', () => {
    const scan = scanBytes(log.bytes, { to: 3 * LEN });
    const facts = { scan, fileBytes: log.bytes.length, dirtyEnd: 0, validRecordBehind: false };
    assert.deepEqual([judgeTail(facts).accept, judgeTail(facts).reason], [false, 'not-scanned']);
    for (const to of [3 * LEN + 50, 3 * LEN + 500]) {
      assert.equal(judgeTail({ ...facts, scan: scanBytes(log.bytes, { to }) }).reason, 'not-scanned');
    }
    const stopped = scanBytes(log.bytes, {}, () => false);
    assert.equal(judgeTail({ ...facts, scan: stopped }).reason, 'not-scanned');
  });
});

describe('the histogram of a scan', () => {
  it('loses no count, whatever comes in whatever order', () => {
    const values = fc.array(fc.oneof(fc.double({ noNaN: true }), fc.integer(), fc.nat(100000)), { maxLength: 200 });
    fc.assert(
      fc.property(values, (all) => {
        const h = new GrowingHistogram(1);
        let finite = 0;
        for (const v of all) {
          h.add(v, 1);
          if (Number.isFinite(v)) finite++;
        }
        assert.equal(h.counts.length, HISTOGRAM_BUCKETS);
        assert.equal(
          h.counts.reduce((a, b) => a + b, 0),
          finite,
        );
      }),
    );
  });

  it('sorts lengths into powers of two', () => {
    assert.deepEqual([1, 512, 513, 1024, 4096, 4097, 32256, 32683].map(sizeBucket), [0, 0, 1, 1, 3, 4, 6, 6]);
  });

  it('keeps payloads identical over a round trip of every window size', () => {
    const payload = lcgBytes(32683);
    const log = buildLog([{ payload }, { payload }, { payload }]);
    for (const windowBytes of [WINDOW_BYTES_MIN, WINDOW_BYTES_MIN + 1, 262144]) {
      let n = 0;
      scanBytes(log.bytes, { windowBytes }, (r) => {
        n++;
        assert.equal(hexOf(r.payload.subarray(r.payloadAt, r.payloadAt + 32)), hexOf(payload.subarray(0, 32)));
      });
      assert.equal(n, 3);
    }
  });
});
