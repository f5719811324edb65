import assert from 'node:assert/strict';
import { RecordEncoder } from './encode.js';
import { buildLog, concat, hexOf, lcgBytes, patched, scanBytes, wordText, workedMeta } from './support.test.kit.js';
import type { BuiltLog, RecordPlan } from './support.test.kit.js';
import { DETAIL, DETAIL_TEXTS, describeDetail } from './details.js';
import { RecordDecoder } from './decode.js';
import { FLAG, HEADER, TRAILER, areaOf, nextSeq } from './layout.js';

const plain: RecordPlan = { payload: lcgBytes(512) };
const LEN = 596;
const TRAILER_AT = LEN - 36;

interface Case {
  what: string;
  /** Changes one record, given as a copy of its own. */
  damage: (record: Uint8Array, view: DataView) => void;
  status: number;
  detail: number;
  byteCode?: number;
}

/** Damage of the frame and of the payload, in the order of the rules (transaction-log.md 7.2). */
const damages: Case[] = [
  { what: 'first byte of the start magic', damage: (r) => flip(r, 0), status: -74, detail: -10013 },
  { what: 'last byte of the start magic', damage: (r) => flip(r, 7), status: -74, detail: -10013 },
  { what: 'version 2', damage: (r) => (r[8] = 2), status: -74, detail: -10003 },
  { what: 'version 0', damage: (r) => (r[8] = 0), status: -74, detail: -10003 },
  { what: 'valid flag 0', damage: (r) => (r[9] = 0), status: -74, detail: -10003 },
  { what: 'totalLen 0', damage: (_, v) => v.setInt16(10, 0, true), status: -85, detail: -10004 },
  { what: 'totalLen negative', damage: (_, v) => v.setInt16(10, -1, true), status: -74, detail: -10005 },
  { what: 'totalLen beyond the end', damage: (_, v) => v.setInt16(10, 32767, true), status: -11, detail: -10006 },
  { what: 'totalLen 84', damage: (_, v) => v.setInt16(10, 84, true), status: -85, detail: -10007 },
  { what: 'totalLen 1', damage: (_, v) => v.setInt16(10, 1, true), status: -85, detail: -10007 },
  { what: 'totalLen too short', damage: (_, v) => v.setInt16(10, 592, true), status: -56, detail: -10020 },
  { what: 'end magic zero', damage: (r) => r.fill(0, TRAILER_AT, TRAILER_AT + 8), status: -85, detail: 0 },
  {
    what: 'end magic one byte',
    damage: (r) => r.fill(0x55, TRAILER_AT, TRAILER_AT + 8),
    status: -74,
    detail: -10021,
    byteCode: 0x55,
  },
  {
    what: 'end magic 0xff',
    damage: (r) => r.fill(0xff, TRAILER_AT, TRAILER_AT + 8),
    status: -74,
    detail: -10021,
    byteCode: 0xff,
  },
  { what: 'end magic half zero', damage: (r) => r.fill(0, TRAILER_AT, TRAILER_AT + 4), status: -56, detail: -10020 },
  {
    what: 'end magic of two equal halves that are no repeated byte',
    damage: (r) => r.set([1, 2, 3, 4, 1, 2, 3, 4], TRAILER_AT),
    status: -56,
    detail: -10020,
  },
  { what: 'end magic bit', damage: (r) => flip(r, TRAILER_AT + 3), status: -56, detail: -10020 },
  { what: 'valid copy 0', damage: (r) => (r[TRAILER_AT + 12] = 0), status: -74, detail: -10009 },
  { what: 'valid copy 2', damage: (r) => (r[TRAILER_AT + 12] = 2), status: -74, detail: -10009 },
  { what: 'sequence gap', damage: (_, v) => v.setUint32(TRAILER_AT + 16, 77, true), status: -74, detail: -10010 },
  { what: 'storedLen below the area', damage: (_, v) => v.setInt16(36, 511, true), status: -74, detail: -10012 },
  { what: 'storedLen above the area', damage: (_, v) => v.setInt16(36, 513, true), status: -74, detail: -10012 },
  { what: 'storedLen 0', damage: (_, v) => v.setInt16(36, 0, true), status: -74, detail: -10012 },
  { what: 'storedLen negative', damage: (_, v) => v.setInt16(36, -512, true), status: -74, detail: -10012 },
  { what: 'expandedLen negative', damage: (_, v) => v.setInt16(38, -1, true), status: -74, detail: -10012 },
  { what: 'expandedLen not above storedLen', damage: (_, v) => v.setInt16(38, 512, true), status: -74, detail: -10152 },
  { what: 'expandedLen no multiple of 512', damage: (_, v) => v.setInt16(38, 1000, true), status: -74, detail: -10152 },
  {
    what: 'expandedLen without a compression',
    damage: (_, v) => v.setInt16(38, 1024, true),
    status: -74,
    detail: -10150,
  },
  { what: 'payload bit, first byte', damage: (r) => flip(r, 48), status: -74, detail: -10101 },
  { what: 'payload bit, last byte', damage: (r) => flip(r, TRAILER_AT - 1), status: -74, detail: -10101 },
  { what: 'check16 bit', damage: (r) => flip(r, LEN - 1), status: -74, detail: -10101 },
  {
    what: 'only unknown flags',
    damage: (_, v) => v.setUint16(TRAILER_AT + 14, 0x8000, true),
    status: -74,
    detail: -10100,
  },
];

/** What no reader can find in one record (7.2, "Not detectable by the format"). */
const silent: Omit<Case, 'status' | 'detail'>[] = [
  { what: 'target position', damage: (r) => flip(r, HEADER.pos) },
  { what: 'stamp seconds', damage: (r) => flip(r, HEADER.stampSec) },
  { what: 'stamp nanoseconds', damage: (r) => flip(r, HEADER.stampNsec) },
  { what: 'code', damage: (r) => (r[HEADER.code] = 9) },
  { what: 'spare bytes', damage: (r) => [40, 41, 42, 43, 46, 47, TRAILER_AT + 13].forEach((at) => flip(r, at)) },
  { what: 'valid flag 2', damage: (r) => (r[9] = 2) },
  { what: 'check32 of a crc32c record', damage: (r) => flip(r, TRAILER_AT + TRAILER.check32) },
  { what: 'wrong digest bit: crc32c is tried anyway', damage: (_, v) => v.setUint16(TRAILER_AT + 14, FLAG.sha1, true) },
  { what: 'missing digest bit: crc32c is tried anyway', damage: (_, v) => v.setUint16(TRAILER_AT + 14, 0, true) },
  { what: 'unknown flag beside a known one', damage: (_, v) => v.setUint16(TRAILER_AT + 14, 0x8004, true) },
  { what: 'compression bit on a plain record', damage: (_, v) => v.setUint16(TRAILER_AT + 14, 0x0104, true) },
  { what: 'sequence 0', damage: (_, v) => v.setUint32(TRAILER_AT + 16, 0, true) },
];

function flip(bytes: Uint8Array, at: number): void {
  bytes[at]! ^= 0x10;
}

/** `log` with record `index` damaged. */
function damaged(log: BuiltLog, index: number, damage: Case['damage']): Uint8Array {
  const bytes = log.bytes.slice();
  const record = bytes.subarray(log.offsets[index], log.offsets[index + 1]);
  damage(record, areaOf(record).view);
  return bytes;
}

describe('decoding a damaged log', () => {
  const log = buildLog([plain, plain, plain, plain]);

  for (const [place, index] of [
    ['in the middle', 1],
    ['at the tail', 3],
  ] as const) {
    for (const c of damages) {
      it(`${c.what}, ${place}: stops there with ${c.status}/${c.detail}`, () => {
        const applied: number[] = [];
        const scan = scanBytes(damaged(log, index, c.damage), {}, (_, offset) => void applied.push(offset));
        assert.equal(scan.goodEnd, index * LEN);
        assert.equal(scan.status, c.status);
        assert.equal(scan.detail, c.detail);
        assert.equal(scan.byteCode, c.byteCode ?? 0);
        assert.equal(scan.replayCode, c.status === -11 ? 2 : c.status);
        assert.deepEqual(applied, log.offsets.slice(0, index), 'nothing behind the defect is delivered');
      });
    }
  }

  for (const c of silent) {
    it(`${c.what}: cannot be found by the format, and all records are delivered`, () => {
      const scan = scanBytes(damaged(log, 1, c.damage));
      assert.equal(scan.kind, 'complete');
      assert.equal(scan.stats.records, 4);
    });
  }

  it('a sequence that does not grow is a warning, and the next one counts from it', () => {
    const back = buildLog([plain, plain, { ...plain, seq: 1 }, { ...plain, seq: 2 }]);
    const warnings: number[] = [];
    const scan = scanBytes(back.bytes, {}, (r) => void warnings.push(r.warning));
    assert.deepEqual(warnings, [0, 0, DETAIL.sequenceBackwards, 0]);
    assert.equal(scan.kind, 'complete');
    assert.equal(scan.detail, 0);
    assert.equal(scan.stats.warnings, 1);
  });

  it('sequence 0 switches the check off for that record and the next one', () => {
    const unknown = buildLog([plain, { ...plain, seq: 0 }, { ...plain, seq: 40 }, { ...plain, seq: 41 }]);
    const scan = scanBytes(unknown.bytes);
    assert.deepEqual([scan.kind, scan.stats.warnings], ['complete', 0]);
    const gap = buildLog([plain, { ...plain, seq: 0 }, { ...plain, seq: 40 }, { ...plain, seq: 42 }]);
    assert.equal(scanBytes(gap.bytes).detail, DETAIL.sequenceGap);
  });

  it('the sequence wraps from 2^32 - 1 to 0', () => {
    const wrap = buildLog([{ ...plain, seq: 0xffffffff }, plain, plain]);
    const scan = scanBytes(wrap.bytes);
    assert.equal(scan.kind, 'complete');
    assert.equal(scan.lastSeq, 1);
    assert.equal(nextSeq(0xffffffff), 0);
  });

  it('negative positions and stamps are read as such: only the applier can judge them', () => {
    const bytes = log.bytes.slice(0, LEN);
    areaOf(bytes).view.setBigInt64(HEADER.pos, -4096n, true);
    areaOf(bytes).view.setBigInt64(HEADER.stampSec, -1n, true);
    const seen: number[] = [];
    scanBytes(bytes, {}, (r) => void seen.push(r.pos, r.stampSec));
    assert.deepEqual(seen, [-4096, -1]);
  });

  it('codes other than 1 are good records', () => {
    const codes = buildLog([0, 1, 2, -7].map((code) => ({ ...plain, code })));
    const seen: number[] = [];
    assert.equal(scanBytes(codes.bytes, {}, (r) => void seen.push(r.code)).kind, 'complete');
    assert.deepEqual(seen, [0, 1, 2, -7]);
  });

  it('bytes inserted or removed at a border or inside a record are found there', () => {
    const { bytes } = log;
    for (const n of [4, 8]) {
      const atBorder = concat(bytes.subarray(0, LEN), new Uint8Array(n).fill(9), bytes.subarray(LEN));
      const inside = concat(bytes.subarray(0, LEN + 100), new Uint8Array(n).fill(9), bytes.subarray(LEN + 100));
      const cutBorder = concat(bytes.subarray(0, LEN), bytes.subarray(LEN + n));
      const cutInside = concat(bytes.subarray(0, LEN + 100), bytes.subarray(LEN + 100 + n));
      for (const [bad, status, detail] of [
        [atBorder, -74, -10013],
        [inside, -56, -10020],
        [cutBorder, -74, -10013],
        [cutInside, -56, -10020],
      ] as const) {
        const scan = scanBytes(bad);
        assert.deepEqual([scan.goodEnd, scan.status, scan.detail, scan.kind], [LEN, status, detail, 'defect']);
      }
    }
  });

  it('stale records behind the tail: later ones are a gap, earlier ones of the same file only a warning', () => {
    const last = log.bytes.subarray(3 * LEN);
    const later = concat(log.bytes.subarray(0, 2 * LEN), last);
    assert.deepEqual([scanBytes(later).goodEnd, scanBytes(later).detail], [2 * LEN, DETAIL.sequenceGap]);
    const earlier = concat(log.bytes, log.bytes.subarray(LEN, 2 * LEN));
    assert.deepEqual([scanBytes(earlier).goodEnd, scanBytes(earlier).stats.warnings], [5 * LEN, 1]);
  });
});

describe('decoding payload checksums', () => {
  const payload = lcgBytes(512, 3);

  it('every digest finds a flipped payload bit, and check16 or check32 flipped', () => {
    for (const name of ['crc32c', 'crc32', 'md5', 'sha1', 'md5-old'] as const) {
      const log = buildLog([{ payload, encoder: { digests: [name] } }]);
      const checkAt = log.bytes.length - 36 + (name === 'md5-old' ? TRAILER.check32 : TRAILER.check16);
      assert.equal(scanBytes(log.bytes).kind, 'complete');
      for (const at of [48, 400, checkAt, checkAt + 3]) {
        const scan = scanBytes(patched(log.bytes, at, [log.bytes[at]! ^ 1]));
        assert.deepEqual([scan.status, scan.detail], [-74, DETAIL.checksumMismatch], `${name} at ${at}`);
      }
    }
  });

  it('a wrong digest bit is found where crc32c does not match by chance', () => {
    const log = buildLog([{ payload, encoder: { digests: ['sha1'] } }]);
    for (const flags of [FLAG.md5, FLAG.crc32, FLAG.crc32c]) {
      const bad = log.bytes.slice();
      areaOf(bad).view.setUint16(bad.length - 36 + TRAILER.flags, flags, true);
      assert.equal(scanBytes(bad).detail, DETAIL.checksumMismatch);
    }
  });

  it('the md5 bit on an odd length cannot be checked and is refused; with a second bit, that one counts', () => {
    const odd = lcgBytes(513);
    const log = buildLog([{ payload: odd, encoder: { digests: ['sha1'] } }]);
    const flags = (value: number): Uint8Array => {
      const copy = log.bytes.slice();
      areaOf(copy).view.setUint16(copy.length - 36 + TRAILER.flags, value, true);
      return copy;
    };
    assert.equal(scanBytes(flags(FLAG.md5)).detail, DETAIL.checksumMismatch);
    assert.equal(scanBytes(flags(FLAG.md5 | FLAG.sha1)).kind, 'complete');
  });

  it('the writer falls back for odd lengths instead of writing no checksum', () => {
    const log = buildLog([{ payload: lcgBytes(513), encoder: { digests: ['md5'] } }]);
    scanBytes(log.bytes, {}, (r) => void assert.equal(r.digest, 'md5-old'));
    const other = buildLog([{ payload: lcgBytes(513), encoder: { digests: ['md5', 'sha1'] } }]);
    scanBytes(other.bytes, {}, (r) => void assert.equal(r.digest, 'sha1'));
  });

  it('one encoder leaves nothing of a record in the next one', () => {
    const encoder = new RecordEncoder({ digests: ['md5'] });
    const target = areaOf(new Uint8Array(4096).fill(0xcc));
    const first = encoder.encode(target, 0, 4096, workedMeta(1), areaOf(lcgBytes(513)), 0, 513);
    encoder.encode(target, first, 4096, workedMeta(2), areaOf(payload), 0, 512);
    const alone = buildLog([{ payload, seq: 2, encoder: { digests: ['md5'] } }]);
    assert.equal(hexOf(target.bytes.subarray(first, first + LEN)), hexOf(alone.bytes));
  });

  it('a decoder may be told to refuse, and then a record without a checksum is 10100', () => {
    const log = strip(buildLog([plain]));
    const decoder = new RecordDecoder();
    const area = areaOf(log);
    assert.equal(decoder.decode(area, 0, log.length, 0, 'accept').kind, 'record');
    assert.equal(decoder.record.verified, false);
    assert.equal(decoder.decode(area, 0, log.length, 0, 'refuse').detail, DETAIL.noChecksum);
  });
});

/** Takes the checksums away, as 2016 did: no flags, no check32, and a stamp where check16 is. */
function strip(log: BuiltLog, ...indexes: number[]): Uint8Array {
  const bytes = log.bytes.slice();
  for (const i of indexes.length === 0 ? [0] : indexes) {
    const trailer = log.offsets[i + 1]! - 36;
    const { view } = areaOf(bytes);
    view.setUint16(trailer + TRAILER.flags, 0, true);
    view.setUint32(trailer + TRAILER.check32, 0, true);
    view.setBigInt64(trailer + TRAILER.check16, 1477217630n, true);
    view.setBigInt64(trailer + TRAILER.check16 + 8, 123460001n, true);
  }
  return bytes;
}

describe('records without a checksum', () => {
  const log = buildLog([plain, plain, plain, plain]);

  it('are accepted and counted as long as no checksummed record came before', () => {
    const scan = scanBytes(strip(log, 0, 1));
    assert.equal(scan.kind, 'complete');
    assert.equal(scan.stats.unverified, 2);
    assert.equal(scan.stats.byDigest.none, 2);
  });

  it('are refused behind a checksummed one', () => {
    const scan = scanBytes(strip(log, 0, 2));
    assert.deepEqual([scan.goodEnd, scan.status, scan.detail], [2 * LEN, -74, DETAIL.noChecksum]);
  });

  it('are accepted everywhere or nowhere when the caller says so', () => {
    assert.equal(scanBytes(strip(log, 2), { unverified: 'always' }).kind, 'complete');
    assert.equal(scanBytes(strip(log, 0), { unverified: 'never' }).detail, DETAIL.noChecksum);
  });

  it('zeros that match a zero checksum are no proof, so a log of zero blocks stays acceptable', () => {
    const zeros = buildLog([0, 1, 2, 3].map(() => ({ payload: new Uint8Array(512) })));
    const bytes = strip(zeros, 0, 2);
    bytes.fill(0, LEN - 16, LEN); // a record of 2020: no flags, check16 zero
    bytes.fill(0, 2 * LEN - 36 + 14, 2 * LEN - 36 + 16);
    const scan = scanBytes(bytes);
    assert.equal(scan.goodEnd, 4 * LEN);
    assert.equal(scan.stats.unverified, 3);
  });

  it('with an md5-old bit and no prefix are refused like HEAD does', () => {
    const bytes = strip(log, 0);
    areaOf(bytes).view.setUint16(LEN - 36 + TRAILER.flags, FLAG.md5Old, true);
    assert.equal(scanBytes(bytes).detail, DETAIL.noChecksum);
  });
});

describe('decoding compressed records', () => {
  const text = wordText(4096);
  for (const name of ['lzo', 'lz4', 'zlib'] as const) {
    const log = buildLog([{ payload: text, encoder: { compression: name } }, plain]);
    const { view } = areaOf(log.bytes);
    const stored = view.getInt16(HEADER.storedLen, true);

    it(`${name}: padding is written as zeros and not looked at`, () => {
      const end = log.offsets[1]! - 36;
      assert.ok(48 + stored <= end && end - 48 - stored < 8);
      for (let i = 48 + stored; i < end; i++) assert.equal(log.bytes[i], 0);
      const stale = log.bytes.slice().fill(0xa5, 48 + stored, end);
      assert.equal(scanBytes(stale).kind, 'complete');
    });

    it(`${name}: an undecodable stream is 10150, an implausible length 10152, another plausible one 10150`, () => {
      const cut = log.bytes.slice().fill(0xff, 48, 48 + 64);
      assert.equal(scanBytes(cut).detail, DETAIL.decompressionFailed);
      for (const [len, detail] of [
        [4095, DETAIL.badExpandedLength],
        [512, DETAIL.badExpandedLength],
        [3584, DETAIL.decompressionFailed],
        [4608, DETAIL.decompressionFailed],
        [32256, DETAIL.decompressionFailed],
      ] as const) {
        const bad = log.bytes.slice();
        areaOf(bad).view.setInt16(HEADER.expandedLen, len, true);
        assert.equal(scanBytes(bad).detail, detail, `expandedLen ${len}`);
      }
    });

    it(`${name}: a lost expandedLen is a size mismatch or a checksum mismatch, never data`, () => {
      const bad = log.bytes.slice();
      areaOf(bad).view.setInt16(HEADER.expandedLen, 0, true);
      const scan = scanBytes(bad);
      assert.equal(scan.goodEnd, 0);
      assert.ok([DETAIL.sizeMismatch, DETAIL.checksumMismatch].includes(scan.detail as never));
    });

    it(`${name}: the payload comes back`, () => {
      scanBytes(log.bytes, {}, (r) => {
        if (r.seq !== 1) return;
        assert.equal(r.compression, name);
        assert.deepEqual(Buffer.from(r.payload.subarray(r.payloadAt, r.payloadAt + r.payloadLen)), Buffer.from(text));
      });
    });
  }

  it('a payload that does not shrink is stored plain, without the compression bit', () => {
    const log = buildLog([{ payload: lcgBytes(4096), encoder: { compression: 'lzo' } }]);
    scanBytes(log.bytes, {}, (r) => {
      assert.equal(r.flags, FLAG.crc32c);
      assert.equal(r.expandedLen, 0);
      assert.equal(r.storedLen, 4096);
    });
  });
});

describe('the table of details', () => {
  it('has a text for every detail, and says that 10003 is two things', () => {
    for (const [name, detail] of Object.entries(DETAIL)) {
      if (name !== 'none') assert.ok(DETAIL_TEXTS[detail], name);
    }
    assert.equal(DETAIL.unknownVersion, DETAIL.markedInvalid);
    for (const text of Object.values(DETAIL_TEXTS)) {
      assert.match(text.meaning, /^[A-Z].*\.$/);
      assert.match(text.remedy, /^[A-Z].*\.$/);
    }
  });

  it('knows the zero trailer, which has no number', () => {
    assert.equal(describeDetail(-85, 0).name, 'zero trailer');
    assert.equal(describeDetail(-74, -10101).name, 'checksum mismatch');
  });
});
