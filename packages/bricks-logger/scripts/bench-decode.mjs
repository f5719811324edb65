#!/usr/bin/env node
// How fast logs are read and written on one core: node packages/bricks-logger/scripts/bench-decode.mjs [--mib=N]
// Scanning comes through `LogScanner` as recovery uses it, from memory, so that no disk is measured.
import { parseArgs } from 'node:util';
import { performance } from 'node:perf_hooks';
import {
  CLASSIC_MAX_PAYLOAD_LEN,
  LogScanner,
  RecordEncoder,
  WRITER_MAX_PAYLOAD_LEN,
  areaOf,
  driveSync,
  nativeDigestEngine,
  newRecordMeta,
  nextSeq,
  portableDigestEngine,
} from '../dist/log-format/index.js';

const { values } = parseArgs({ options: { mib: { type: 'string' } } });
const logBytes = Number(values.mib ?? 256) * 2 ** 20;
const ROUNDS = 5;

async function nativeEngine() {
  try {
    const addon = await import('@mars/native');
    const native = addon.crc32c8 ? addon : addon.default;
    return native.available ? nativeDigestEngine(native) : null;
  } catch {
    return null;
  }
}

/** Best of some rounds: the machine is shared, and the best is what the code can do. */
function best(bytes, run) {
  let fastest = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return bytes / fastest / 1e6;
}

function noise(len) {
  const bytes = new Uint8Array(len);
  let x = 12345;
  for (let i = 0; i < len; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return areaOf(bytes);
}

/** Fills `target` with records that carry `payloadLen` bytes each; returns the bytes written. */
function writeLog(encoder, target, source, payloadLen) {
  const meta = newRecordMeta();
  meta.stampSec = 1700000000;
  let at = 0;
  while (at + payloadLen + 84 <= target.bytes.length) {
    at += encoder.encode(target, at, target.bytes.length, meta, source, (at >>> 6) & 0xfff, payloadLen);
    meta.pos += payloadLen;
    meta.seq = nextSeq(meta.seq);
  }
  return at;
}

function scan(engine, log, used) {
  const scanner = new LogScanner({ to: used, engine });
  driveSync(scanner, (pos, bytes, at, len) => {
    bytes.set(log.subarray(pos, pos + len), at);
    return len;
  });
  const result = scanner.result();
  if (result.kind !== 'complete' || result.stats.unverified > 0) throw new Error(`the log is ${result.kind}`);
  return result.stats.records;
}

const native = await nativeEngine();
const engines = [['plain TypeScript', portableDigestEngine], ...(native ? [['native crc32c', native]] : [])];
if (!native) console.log('native crc32c: not built (npm run build:native)');
const source = noise(WRITER_MAX_PAYLOAD_LEN + 4096);
const target = areaOf(new Uint8Array(logBytes));
console.log(`log of ${logBytes / 2 ** 20} MiB in memory, best of ${ROUNDS}, GB/s of log`);
for (const payloadLen of [CLASSIC_MAX_PAYLOAD_LEN, WRITER_MAX_PAYLOAD_LEN]) {
  for (const [name, engine] of engines) {
    const encoder = new RecordEncoder({ engine });
    let used = 0;
    const encode = best(logBytes, () => (used = writeLog(encoder, target, source, payloadLen)));
    let records = 0;
    const decode = best(used, () => (records = scan(engine, target.bytes, used)));
    const perRecordNs = (payloadLen + 84) / decode;
    console.log(
      `payload ${String(payloadLen).padStart(5)}  ${name.padEnd(16)}  decode ${decode.toFixed(2)}  encode ${encode.toFixed(2)}  ` +
        `(${records} records, ${perRecordNs.toFixed(0)} ns each to decode)`,
    );
  }
}
for (const digest of ['crc32', 'sha1', 'md5', 'md5-old']) {
  const used = writeLog(
    new RecordEncoder({ digests: [digest] }),
    areaOf(target.bytes.subarray(0, 32 * 2 ** 20)),
    source,
    4096,
  );
  const decode = best(used, () => scan(portableDigestEngine, target.bytes, used));
  console.log(`payload  4096  ${digest.padEnd(16)}  decode ${decode.toFixed(2)}`);
}
