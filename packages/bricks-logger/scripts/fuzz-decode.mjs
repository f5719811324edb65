#!/usr/bin/env node
// Throws damaged logs at the decoder: node packages/bricks-logger/scripts/fuzz-decode.mjs [--seed=N] [--count=N]
// Every case has its own seed; a failure prints it and the command that repeats that case alone.
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import {
  DETAIL_TEXTS,
  LogScanner,
  RecordEncoder,
  ResyncSearch,
  WINDOW_BYTES_MIN,
  areaOf,
  driveSync,
  newRecordMeta,
  readerOf,
  replayCodeOf,
} from '../dist/log-format/index.js';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, count: { type: 'string' }, help: { type: 'boolean' } },
});
if (values.help) {
  console.log('usage: fuzz-decode.mjs [--seed=N] [--count=N]   (default: seed 1, 20000 cases)');
  process.exit(0);
}
const firstSeed = Number(values.seed ?? 1);
const count = Number(values.count ?? 20000);
if (!Number.isSafeInteger(firstSeed) || !Number.isSafeInteger(count) || count < 1) {
  console.error('--seed and --count want whole numbers');
  process.exit(2);
}

/** A small generator of its own: the same seed gives the same case on every machine. */
function random(seed) {
  let x = Math.imul(seed, 0x9e3779b1) | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

const DIGESTS = ['crc32c', 'crc32', 'md5', 'sha1', 'md5-old'];
const COMPRESSIONS = ['none', 'none', 'lzo', 'lz4', 'zlib'];
const encoders = DIGESTS.flatMap((digest) =>
  COMPRESSIONS.map((compression) => new RecordEncoder({ digests: [digest], compression })),
);
const target = areaOf(new Uint8Array(512 * 1024));
const payload = areaOf(new Uint8Array(32683));

function fillPayload(rnd, len) {
  const kind = rnd(3);
  const word = rnd(256);
  for (let i = 0; i < len; i++) payload.bytes[i] = kind === 0 ? rnd(256) : kind === 1 ? word : (i % (word + 1)) & 255;
}

function makeLog(rnd) {
  const meta = newRecordMeta();
  const offsets = [0];
  let at = 0;
  for (let n = 1 + rnd(8); n > 0; n--) {
    const len = rnd(8) === 0 ? 1 + rnd(32683) : rnd(2) === 0 ? 512 * (1 + rnd(8)) : 1 + rnd(600);
    fillPayload(rnd, len);
    meta.pos = 512 * rnd(1 << 20);
    at += encoders[rnd(encoders.length)].encode(target, at, target.bytes.length, meta, payload, 0, len);
    offsets.push(at);
    meta.seq++;
  }
  return { log: target.bytes.slice(0, at), offsets };
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x57, 0x6d];

/** @returns the damaged log and the first offset that may differ from the sound one */
function damage(rnd, log) {
  let bytes = log;
  let first = log.length;
  for (let n = 1 + rnd(4); n > 0; n--) {
    const at = rnd(bytes.length || 1);
    first = Math.min(first, at);
    const kind = rnd(7);
    const len = Math.min(bytes.length - at, 1 + rnd(kind === 2 ? 4096 : 16));
    if (kind === 0) bytes[at] ^= 1 << rnd(8);
    else if (kind === 1) bytes[at] = INTERESTING[rnd(INTERESTING.length)];
    else if (kind === 2) bytes.fill(rnd(2) ? 0 : rnd(256), at, at + len);
    else if (kind === 3) bytes = bytes.slice(0, at);
    else if (kind === 4) bytes = Uint8Array.from(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + len)]));
    else if (kind === 5)
      bytes = Uint8Array.from(
        Buffer.concat([bytes.subarray(0, at), payload.bytes.subarray(0, len), bytes.subarray(at)]),
      );
    else bytes.copyWithin(at, rnd(bytes.length || 1), rnd(bytes.length || 1));
  }
  return { bytes, first };
}

function runCase(seed) {
  const rnd = random(seed);
  const { log, offsets } = makeLog(rnd);
  const { bytes, first } = damage(rnd, log.slice());
  const guarded = new Uint8Array(bytes.length + 128).fill(0x57);
  guarded.set(bytes, 64);
  const read = readerOf(guarded.subarray(64, 64 + bytes.length));

  let reads = 0;
  const limited = (pos, into, at, len) => {
    assert.ok(++reads < 100_000, 'the scan does not end');
    return read(pos, into, at, rnd(4) === 0 ? Math.min(len, 1 + rnd(5000)) : len);
  };
  let offset = 0;
  const scanner = new LogScanner({ windowBytes: WINDOW_BYTES_MIN }, (r, at) => {
    assert.equal(at, offset, 'records are not contiguous');
    assert.ok(r.payloadAt >= 0 && r.payloadAt + r.payloadLen <= r.payload.length, 'payload outside of its memory');
    offset += r.totalLen;
  });
  driveSync(scanner, limited);
  const scan = scanner.result();
  assert.equal(scan.goodEnd, offset);
  assert.ok(scan.goodEnd <= bytes.length, 'good records behind the end');
  assert.ok(scan.goodEnd >= offsets.findLast((o) => o <= first), 'a sound record in front of the damage was lost');
  assert.ok(scan.detail === 0 || DETAIL_TEXTS[scan.detail], `unknown detail ${scan.detail}`);
  assert.equal(scan.replayCode, replayCodeOf(scan.kind, scan.status));

  const search = new ResyncSearch({ from: scan.goodEnd, stepBytes: 1 + 3 * rnd(2), windowBytes: WINDOW_BYTES_MIN });
  driveSync(search, limited);
  if (search.found) assert.ok(search.found.offset + search.found.totalLen <= bytes.length);
  return scan.kind;
}

const kinds = new Map();
const heapBefore = process.memoryUsage().rss;
for (let i = 0; i < count; i++) {
  try {
    const kind = runCase(firstSeed + i);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  } catch (error) {
    console.error(`case ${firstSeed + i} failed: ${error.stack}`);
    console.error(`again: node packages/bricks-logger/scripts/fuzz-decode.mjs --seed=${firstSeed + i} --count=1`);
    process.exit(1);
  }
}
const grownMib = (process.memoryUsage().rss - heapBefore) / 2 ** 20;
console.log(`${count} cases from seed ${firstSeed}: no crash, no hang, memory grew by ${grownMib.toFixed(0)} MiB`);
console.log([...kinds].map(([kind, n]) => `${kind} ${n}`).join(', '));
