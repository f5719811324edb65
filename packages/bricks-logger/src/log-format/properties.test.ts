import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { CompressionName } from './compression.js';
import { RecordDecoder } from './decode.js';
import type { DigestName } from './digests.js';
import type { LogArea } from './layout.js';
import { RecordEncoder, isWriterPayloadLen, setStampNs } from './encode.js';
import { DETAIL_TEXTS } from './details.js';
import { CODE_NEW_DATA, HEADER, MAX_PAYLOAD_LEN, WRITER_MAX_PAYLOAD_LEN, areaOf } from './layout.js';
import { buildLog, concat, hexOf, lcgBytes, patched, scanBytes, wordText, workedMeta } from './support.test.kit.js';
import type { RecordPlan } from './support.test.kit.js';
import { WINDOW_BYTES_MIN } from './window.js';

const digests = fc.constantFrom<DigestName>('crc32c', 'crc32', 'md5', 'sha1', 'md5-old');
const compressions = fc.constantFrom<CompressionName | 'none'>('none', 'lzo', 'lz4', 'zlib');

const lengths = fc.oneof(
  fc.integer({ min: 1, max: 700 }),
  fc.integer({ min: 1, max: MAX_PAYLOAD_LEN }),
  fc.integer({ min: 1, max: 63 }).map((n) => n * 512),
);

const payloads = fc.tuple(lengths, fc.constantFrom('noise', 'text', 'zeros'), fc.nat(50)).map(([len, kind, seed]) => {
  if (kind === 'noise') return lcgBytes(len, seed);
  return kind === 'text' ? wordText(len, seed) : new Uint8Array(len);
});

const plans: fc.Arbitrary<RecordPlan> = fc.record({
  payload: payloads,
  pos: fc.oneof(fc.nat(), fc.maxSafeNat()),
  stampSec: fc.oneof(fc.nat(), fc.maxSafeNat()),
  stampNsec: fc.nat(999_999_999),
  code: fc.constantFrom(CODE_NEW_DATA, 0, 2, -1),
  encoder: fc.record({ digests: digests.map((d) => [d]), compression: compressions }),
});

const logs = fc.array(plans, { minLength: 1, maxLength: 6 });

describe('log records, for all inputs', () => {
  it('come back as they went in: every digest, every compression, every length', () => {
    fc.assert(
      fc.property(logs, (all) => {
        const log = buildLog(all);
        let i = 0;
        const scan = scanBytes(log.bytes, { windowBytes: WINDOW_BYTES_MIN }, (r, offset) => {
          const plan = all[i]!;
          assert.equal(offset, log.offsets[i]);
          assert.deepEqual(
            [r.pos, r.stampSec, r.stampNsec, r.code, r.seq],
            [plan.pos, plan.stampSec, plan.stampNsec, plan.code, i + 1],
          );
          assert.ok(r.verified);
          assert.equal(r.payloadLen, plan.payload.length);
          const payload = Buffer.from(r.payload.buffer, r.payload.byteOffset + r.payloadAt, r.payloadLen);
          assert.ok(payload.equals(plan.payload));
          i++;
        });
        assert.deepEqual([scan.kind, scan.goodEnd, i], ['complete', log.bytes.length, all.length]);
      }),
      { numRuns: 150 },
    );
  });

  it('cut anywhere, yield exactly the records that are there as a whole', () => {
    fc.assert(
      fc.property(logs, fc.nat(), (all, where) => {
        const log = buildLog(all);
        const cut = where % (log.bytes.length + 1);
        const scan = scanBytes(log.bytes.subarray(0, cut));
        assert.equal(
          scan.goodEnd,
          log.offsets.findLast((offset) => offset <= cut),
        );
        assert.ok(scan.replayCode >= 0 && scan.replayCode <= 2);
      }),
      { numRuns: 150 },
    );
  });

  it('damaged anywhere, still yield every record in front of the damage, and never crash', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(logs, flips, (all, bits) => {
        const log = buildLog(all);
        const bytes = log.bytes.slice();
        for (const [at, bit] of bits) bytes[at % bytes.length]! ^= 1 << bit;
        const firstDamage = bits.reduce((min, [at]) => Math.min(min, at % bytes.length), bytes.length);
        const scan = scanBytes(bytes, { windowBytes: WINDOW_BYTES_MIN });
        const untouchedEnd = log.offsets.findLast((offset) => offset <= firstDamage)!;
        assert.ok(scan.goodEnd >= untouchedEnd);
        assert.ok(scan.goodEnd <= bytes.length);
        assert.ok(scan.detail === 0 || DETAIL_TEXTS[scan.detail] !== undefined);
      }),
      { numRuns: 300 },
    );
  });

  it('noise that starts like a record is judged without touching anything outside of its range', () => {
    const start = [0x57, 0x79, 0x17, 0xd9, 0x08, 0xe9, 0xf7, 0xa8, 1, 1];
    const decoder = new RecordDecoder();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 400 }), fc.integer({ min: 0, max: 400 }), (noise, len) => {
        const guard = 50;
        const body = concat(Uint8Array.from(start), Uint8Array.from([len & 255, len >>> 8]), noise);
        const framed = concat(new Uint8Array(guard).fill(0x57), body, new Uint8Array(guard).fill(0x74));
        const before = hexOf(framed);
        const inside = decoder.decode(areaOf(framed), guard, guard + body.length, 0, 'accept');
        const verdict = [inside.kind, inside.status, inside.detail, inside.byteCode];
        assert.equal(hexOf(framed), before, 'a decoder never writes');
        // The same bytes with nothing around them: a byte read outside would be an exception or another verdict.
        const alone = decoder.decode(areaOf(body), 0, body.length, 0, 'accept');
        assert.deepEqual([alone.kind, alone.status, alone.detail, alone.byteCode], verdict);
      }),
      { numRuns: 2000 },
    );
  });

  it('with every flag word and every pair of lengths are judged without an exception', () => {
    const log = buildLog([{ payload: wordText(1024), encoder: { compression: 'lz4' } }]);
    const { view } = areaOf(log.bytes);
    const decoder = new RecordDecoder();
    const flagsAt = log.bytes.length - 36 + 14;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff }),
        fc.integer({ min: -32768, max: 32767 }),
        fc.integer({ min: -32768, max: 32767 }),
        (flags, stored, expanded) => {
          const saved = log.bytes.slice();
          view.setUint16(flagsAt, flags, true);
          view.setInt16(HEADER.storedLen, stored, true);
          view.setInt16(HEADER.expandedLen, expanded, true);
          const r = decoder.decode(areaOf(log.bytes), 0, log.bytes.length, 0, 'accept');
          assert.ok(r.kind === 'record' || r.kind === 'defect');
          log.bytes.set(saved);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('encoding', () => {
  it('gives the same bytes whether the payload is copied or stands in its place', () => {
    const payload = lcgBytes(1234);
    const encoder = new RecordEncoder();
    const copied = areaOf(new Uint8Array(2000).fill(0xcc));
    const placed = areaOf(new Uint8Array(2000).fill(0xcc));
    const same = areaOf(new Uint8Array(4000).fill(0xcc));
    placed.bytes.set(payload, 7 + 48);
    same.bytes.set(payload, 2500);
    const n = encoder.encode(copied, 7, 2000, workedMeta(), areaOf(payload), 0, payload.length);
    assert.equal(encoder.encode(placed, 7, 2000, workedMeta(), placed, 55, payload.length), n);
    assert.equal(encoder.encode(same, 7, 2000, workedMeta(), same, 2500, payload.length), n);
    assert.equal(n, 1234 + 84);
    assert.equal(hexOf(placed.bytes), hexOf(copied.bytes));
    assert.equal(hexOf(same.bytes.subarray(0, 2000)), hexOf(copied.bytes));
    assert.equal(copied.bytes[6], 0xcc);
    assert.equal(copied.bytes[7 + n], 0xcc);
  });

  it('refuses lengths and places that cannot be', () => {
    const encoder = new RecordEncoder();
    const target = areaOf(new Uint8Array(40000));
    const source = areaOf(new Uint8Array(40000));
    const encode = (at: number, end: number, len: number): number =>
      encoder.encode(target, at, end, workedMeta(), source, 0, len);
    assert.throws(() => encode(0, 40000, 0), /length/);
    assert.throws(() => encode(0, 40000, 32684), /length/);
    assert.throws(() => encode(0, 595, 512), /room/);
    assert.throws(() => encode(40000 - 595, 40000, 512), /room/);
    assert.equal(encode(0, 40000, 32683), 32767);
    assert.equal(encode(0, 596, 512), 596);
  });

  it('takes stamps in nanoseconds and positions up to 2^53', () => {
    const meta = { ...workedMeta(), pos: Number.MAX_SAFE_INTEGER };
    setStampNs(meta, 1477217630_123456789n);
    assert.deepEqual([meta.stampSec, meta.stampNsec], [1477217630, 123456789]);
    const log = buildLog([{ ...meta, payload: lcgBytes(512) }]);
    scanBytes(log.bytes, {}, (r) => void assert.equal(r.pos, Number.MAX_SAFE_INTEGER));
  });

  it('knows what a writer may emit: whole sectors that every reader accepts', () => {
    assert.equal(WRITER_MAX_PAYLOAD_LEN, 32256);
    assert.deepEqual([0, 1, 511, 512, 513, 4096, 32256, 32768].map(isWriterPayloadLen), [
      false,
      false,
      false,
      true,
      false,
      true,
      true,
      false,
    ]);
  });

  it('never writes md5-old with a prefix of zeros, which readers take for "no checksum"', () => {
    // A made-up engine, because a real payload of this kind takes some four billion attempts to find.
    const zeroPrefix = new Uint8Array(16).fill(7).fill(0, 0, 4);
    const engine = {
      crc32c8: (_: LogArea, __: number, ___: number, out: LogArea): void => void out.bytes.fill(0).set([1, 2, 3]),
      crc32x8: (): void => undefined,
      md5: (): Uint8Array => zeroPrefix,
      sha1: (): Uint8Array => new Uint8Array(20),
    };
    const target = areaOf(new Uint8Array(596));
    new RecordEncoder({ digests: ['md5-old'], engine }).encode(
      target,
      0,
      596,
      workedMeta(),
      areaOf(lcgBytes(512)),
      0,
      512,
    );
    assert.equal(target.view.getUint16(560 + 14, true), 4, 'crc32c instead');
  });

  it('of a log with one flipped bit never passes for the original unless the format cannot see the field', () => {
    const log = buildLog([{ payload: lcgBytes(64) }]);
    const blind = new Set<number>();
    for (let at = 0; at < log.bytes.length; at++) {
      const scan = scanBytes(patched(log.bytes, at, [log.bytes[at]! ^ 0x40]));
      if (scan.kind === 'complete') blind.add(at);
    }
    const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
    const trailer = 48 + 64;
    const allowed = new Set([
      9, // valid flag: any value but 0
      ...range(12, 36), // stamp, position
      ...range(40, 48), // spare, code, spare
      ...range(trailer + 8, trailer + 12), // check32, unused by crc32c
      trailer + 13, // spare
      ...range(trailer + 14, trailer + 20), // flags (crc32c is tried anyway), sequence of a first record
    ]);
    assert.deepEqual(
      [...blind].filter((at) => !allowed.has(at)),
      [],
    );
    assert.deepEqual(
      [...allowed].filter((at) => !blind.has(at)),
      [],
    );
  });
});
