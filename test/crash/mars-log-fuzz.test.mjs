// mars-log over damaged files: it always ends, with a proper exit code, within bounded memory, and says the truth about what is good.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandom } from '@mars/brick-core';
import { RecordEncoder, areaOf, newRecordMeta, readerOf, scanLogSync } from '@mars/bricks-logger/log-format';

const MARS_LOG = fileURLToPath(new URL('../../packages/marsd/dist/mars-log/main.js', import.meta.url));
const SEED = Number(process.env.MARS_FUZZ_SEED ?? 1);
const FILES = Number(process.env.MARS_FUZZ_FILES ?? 120);
const DEVICE_BYTES = 256 * 1024;
/** A run that has not ended by then hangs, ms. */
const HANG_MS = 60_000;
/** Node itself takes some 60 MiB; a file may be a thousand times larger than what is left. */
const MAX_RSS_BYTES = 300 * 2 ** 20;
const SPARSE_BYTES = 2 ** 30;
const REPORT_RSS = `data:text/javascript,process.on('exit',()=>process.stderr.write('\\nmaxrss '+process.resourceUsage().maxRSS))`;

/** Some records with payloads of many sizes, plain and compressed. */
function makeLog(random) {
  const encoder = new RecordEncoder({ compression: ['none', 'none', 'lz4', 'zlib', 'lzo'][random.int(5)] });
  const target = areaOf(new Uint8Array(40 * 33_000));
  let at = 0;
  for (let seq = 1; seq <= 1 + random.int(40); seq++) {
    const len = 512 * (1 + random.int(random.int(4) === 0 ? 63 : 8));
    const payload = areaOf(new Uint8Array(len).map(() => random.int(4) * random.int(60)));
    const meta = { ...newRecordMeta(), pos: 512 * random.int(DEVICE_BYTES / 512 - 64), seq };
    at += encoder.encode(target, at, target.bytes.length, meta, payload, 0, len);
  }
  return target.bytes.slice(0, at);
}

const DAMAGES = [
  (log, random) => flip(log, random, 1),
  (log, random) => flip(log, random, 50),
  (log, random) => log.subarray(0, random.int(log.length + 1)),
  (log, random) => splice(log, random.int(log.length), random.int(9), new Uint8Array(0)),
  (log, random) => splice(log, random.int(log.length), 0, noise(random, 1 + random.int(9))),
  (log, random) => splice(log, random.int(log.length), 4096, new Uint8Array(4096)),
  (log, random) => splice(log, log.length, 0, noise(random, random.int(5000))),
  (log, random) => splice(log, log.length, 0, new Uint8Array(random.int(100_000))),
  (log, random) => splice(log, random.int(log.length), 0, log.subarray(random.int(log.length))),
  (_log, random) => noise(random, random.int(20_000)),
  (log) => log,
];

function flip(log, random, count) {
  const copy = log.slice();
  for (let i = 0; i < count; i++) copy[random.int(copy.length)] ^= 1 << random.int(8);
  return copy;
}

function splice(log, at, gone, by) {
  return new Uint8Array([...log.subarray(0, at), ...by, ...log.subarray(at + gone)]);
}

function noise(random, len) {
  return new Uint8Array(len).map(() => random.int(256));
}

async function marsLog(...args) {
  const child = spawn(process.execPath, ['--import', REPORT_RSS, MARS_LOG, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out = [];
  let err = '';
  child.stdout.on('data', (bytes) => out.push(bytes));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), HANG_MS);
  const [code, signal] = await once(child, 'close').finally(() => clearTimeout(timer));
  const what = `mars-log ${args[0]}, seed ${SEED}`;
  assert.equal(signal, null, `${what} hangs`);
  assert.ok(code === 0 || code === 1, `${what} ended with ${code}: ${err}`);
  assert.doesNotMatch(err, /invariant|unexpected error|TypeError|RangeError/, what);
  const rssBytes = Number(/maxrss (\d+)/.exec(err)?.[1] ?? NaN) * 1024;
  assert.ok(rssBytes < MAX_RSS_BYTES, `${what} took ${rssBytes} bytes of memory`);
  return { code, lines: Buffer.concat(out).toString().split('\n').filter(Boolean) };
}

describe('mars-log over damaged files', function () {
  this.timeout(20 * HANG_MS);
  let dir;
  const files = [];
  before(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'mars-fuzz-'));
    const random = createRandom(SEED);
    for (let i = 0; i < FILES; i++) {
      const bytes = DAMAGES[random.int(DAMAGES.length)](makeLog(random), random);
      const file = path.join(dir, `log-${String(i + 1).padStart(9, '0')}-fuzz`);
      writeFileSync(file, bytes);
      files.push({ file, scan: scanLogSync(readerOf(bytes)) });
    }
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('verify says of each file what the decoder says', async () => {
    const { code, lines } = await marsLog('verify', '--json', ...files.map(({ file }) => file));
    const verdicts = lines.map((line) => JSON.parse(line));
    assert.equal(verdicts.length, files.length);
    const isGood = ({ scan }) => scan.kind === 'complete' || scan.kind === 'empty';
    assert.equal(code, files.every(isGood) ? 0 : 1);
    assert.ok(files.some(isGood) && !files.every(isGood), 'the damages are of one kind only');
  });

  it('stat and scan come to their end', async () => {
    const names = files.map(({ file }) => file);
    assert.equal((await marsLog('stat', '--json', ...names)).lines.length, files.length);
    await marsLog('stat', ...names.slice(0, 20));
    await marsLog('scan', ...names);
  });

  it('dump prints every good record and nothing else', async () => {
    for (const { file, scan } of files.slice(0, 12)) {
      const { lines } = await marsLog('dump', file);
      const parsed = lines.map((line) => JSON.parse(line));
      const end = parsed.pop();
      assert.deepEqual([end.type, end.goodEnd, end.status], ['end', scan.goodEnd, scan.status]);
      assert.equal(parsed.length, scan.stats.records);
      assert.ok(parsed.every(({ type }) => type === 'record'));
    }
  });

  it('replay applies exactly the good records in front of the damage', async () => {
    for (const { file, scan } of files.slice(0, 12)) {
      const disk = path.join(dir, 'disk.img');
      writeFileSync(disk, new Uint8Array(DEVICE_BYTES));
      await marsLog('replay', file, '--onto', disk, '--yes');
      assert.deepEqual(new Uint8Array(readFileSync(disk)), imageOf(readFileSync(file), scan.goodEnd), file);
    }
  });

  it('a file of a gigabyte that is mostly a hole takes no more memory', async () => {
    const file = path.join(dir, 'log-000999999-sparse');
    const fd = openSync(file, 'w');
    writeSync(fd, makeLog(createRandom(SEED)));
    ftruncateSync(fd, SPARSE_BYTES);
    closeSync(fd);
    assert.equal((await marsLog('verify', file)).code, 1);
  });
});

/** The disk after the records up to `end`; a record that lies outside of it ends the replay. */
function imageOf(bytes, end) {
  const image = new Uint8Array(DEVICE_BYTES);
  let isOver = false;
  scanLogSync(readerOf(bytes), { to: end }, (record) => {
    const { pos, payload, payloadAt, payloadLen, code } = record;
    isOver ||= pos < 0 || pos + payloadLen > DEVICE_BYTES;
    if (!isOver && code === 1) image.set(payload.subarray(payloadAt, payloadAt + payloadLen), pos);
  });
  return image;
}
