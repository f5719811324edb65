// A walk through everything the addon does, including abuse, for the sanitizer and valgrind builds (scripts/sanitize.mjs).
// Seeded: `node --expose-gc test/stress.mjs [rounds] [seed]`. Prints one line and exits 0 when every result was as it must be.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Worker, isMainThread, workerData, parentPort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import native from '../index.cjs';

// A run that silently tested another binary than the instrumented one would prove nothing.
if (process.env.MARS_NATIVE_BINARY) assert.equal(native.loadedFrom, process.env.MARS_NATIVE_BINARY, native.reason);

const { OP, HASH, FLAG } = native;
const rounds = Number(isMainThread ? (process.argv[2] ?? 300) : workerData.rounds);
const seed = Number(isMainThread ? (process.argv[3] ?? 1) : workerData.seed);
const arenaBytes = 1 << 20;

let state = seed >>> 0 || 1;
function random(n) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}

// Blocks until it is terminated; comes before anything that would have to be tidied up.
if (!isMainThread && workerData.blocked) {
  const ring = native.open({ entries: 8, arenaBytes: 65536 });
  ring.sq.set([OP.TIMEOUT, 0, 0, 0, -1, 1000, 0, 1]);
  parentPort.postMessage(ring.wakeHandle);
  ring.run(() => 0, 1);
}

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'mars-stress-'));
const fd = native.openFile(path.join(dir, 'file'), fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);

/** Numbers a hostile or broken caller might send. */
const nasty = [0, 1, -1, 4095, 4096, arenaBytes - 1, arenaBytes, arenaBytes + 1, 2 ** 31 - 1, -(2 ** 31), 0x40000000];
const anything = () => (random(3) ? nasty[random(nasty.length)] : random(arenaBytes));

/**
 * Codes that hurt nobody whatever their numbers are. CLOSE is not among them, and neither is FALLOCATE: its length has 64 bits, and a
 * careless one fills the disk of the machine (that happened once). It gets numbers of its own below.
 */
const codes = Object.values(OP).filter((code) => code !== OP.CLOSE && code !== OP.FALLOCATE);
const unknownCodes = [17, 31, 36, 99, -1, 2 ** 31 - 1, -(2 ** 31)];

function garbage(ring, count, fds) {
  for (let i = 0; i < count; i++) {
    const code = random(20) === 0 ? unknownCodes[random(unknownCodes.length)] : codes[random(codes.length)];
    const isWait = code === OP.TIMEOUT || code === OP.ACCEPT;
    const position = random(2) ? random(1 << 20) : anything();
    ring.sq.set(
      [
        code,
        fds[random(fds.length)],
        anything(),
        anything(),
        position,
        isWait ? 0 : random(3) - 1,
        anything() & 0xff,
        i,
      ],
      i * 8,
    );
    // Done by this thread, so only where that cannot wait: a full socket would stop it for good.
    const isWrite = code === OP.WRITE || code === OP.WRITEV;
    if (isWrite && random(2)) {
      ring.sq[i * 8 + 1] = [fd, -1, 9999][random(3)];
      ring.sq[i * 8 + 6] = FLAG.INLINE;
    }
  }
  const length = [
    [0, 4096],
    [0, 1 << 20],
    [-1, -1],
    [-(2 ** 31), 0],
  ][random(4)]; // the last two are negative
  ring.sq.set([OP.FALLOCATE, fd, ...length, random(1 << 20), 0, [0, 1, 3, 16][random(4)], 0], random(count) * 8);
  for (let i = 0; i < 64; i++) ring.iov.set([anything(), anything()], random(ring.iovEntries) * 2);
}

/** Nonsense in, exactly one completion per operation out (but for quiet ones), nothing touched outside. */
function abuse() {
  const [a, b] = native.socketpair();
  const ring = native.open({ entries: 32, arenaBytes, spinUs: random(2) * 50, fixedBuffers: random(2) === 1 });
  for (let i = 0; i < 10; i++) {
    garbage(ring, 32, [fd, a, b, -1, 9999]);
    ring.tick(32, random(2) * 50);
    if (random(4) === 0) native.wakeRing(ring.wakeHandle);
  }
  fs.ftruncateSync(fd, 0); // some FALLOCATE may have been generous
  ring.close();
  native.closeFd(a);
  native.closeFd(b);
}

/** Regular work with checked contents. */
function work() {
  const ring = native.open({ entries: 32, arenaBytes });
  const bytes = new Uint8Array(ring.arena);
  for (let i = 0; i < 16; i++) {
    bytes.fill(i + 1, i * 4096, i * 4096 + 4096);
    ring.iov.set([i * 4096, 4096], i * 2);
    ring.sq.set([OP.WRITEV, fd, i, 1, i * 4096, 0, [0, FLAG.RWF_DSYNC, FLAG.INLINE][i % 3], i], i * 8);
  }
  for (let left = 16, ops = 16; left > 0; ops = 0) left -= ring.tick(ops, -1);
  for (let i = 0; i < 16; i++) ring.sq.set([OP.READ, fd, 524288 + i * 4096, 4096, i * 4096, 0, 0, i], i * 8);
  for (let left = 16, ops = 16; left > 0; ops = 0) left -= ring.tick(ops, -1);
  ring.sq.set([OP.COMPARE, 0, 0, 65536, 524288, 0, 0, 99], 0);
  assert.equal(ring.tick(1, 0), 1);
  assert.deepEqual(Array.from(ring.cq.subarray(0, 2)), [99, 0]);
  for (const [i, kind] of Object.values(HASH).entries())
    ring.sq.set([OP.HASH, 0, random(4096), random(60_000), arenaBytes - 32, 0, kind | FLAG.QUIET, 0], i * 8);
  assert.equal(ring.tick(6, 0), 0);
  ring.close();
}

/** Left for the garbage collector with operations in flight. */
function abandon() {
  const [a, b] = native.socketpair();
  const ring = native.open({ entries: 8, arenaBytes: 65536 });
  for (let i = 0; i < 4; i++) ring.sq.set([OP.RECV, a, i * 4096, 4096, 0, 0, 0, i], i * 8);
  // Elsewhere than work() writes: they may land after what it has done meanwhile.
  for (let i = 4; i < 8; i++)
    ring.sq.set([OP.WRITE, fd, i * 4096, 4096, (1 << 21) + i * 4096, 0, FLAG.RWF_DSYNC, i], i * 8);
  if (random(2)) ring.attach(() => ring.close());
  ring.tick(8, 0);
  fs.writeSync(b, 'x'.repeat(1 + random(5000)));
  native.closeFd(a);
  native.closeFd(b);
}

function offThePath() {
  const link = path.join(dir, `link-${random(1e9)}`);
  fs.symlinkSync('target', link);
  assert.equal(native.lutimesNs(link, random(2 ** 31), random(1e9)), 0);
  assert.equal(native.readlinkNs(link).target, 'target');
  assert.equal(native.lstatNs(link).size, 6);
  fs.unlinkSync(link);
  const extents = native.extents(fd, 0, 1 << 20, 64);
  assert.ok(extents.length % 3 === 0);
  native.punch(fd, 0, 4096);
  native.zeroRange(fd, 4096, 4096);
  native.statfs(dir);
  native.dioAlign(fd);
  native.blockDeviceInfo(fd);
  native.kernelFeatures();
  const data = new Uint8Array(1 + random(20_000));
  const at = random(data.length);
  assert.equal(native.crc32c(data, at, data.length - at), native.crc32cSoftware(data, at, data.length - at));
  const out = new Uint8Array(32);
  native.crc32c8(data, at, data.length - at, out);
  native.crc32_8(data, at, data.length - at, out);
  native.xxh3_128(data, at, data.length - at, out);
  const where = path.join(dir, 'sock');
  const listener = native.listenUnix(where);
  native.socketName(listener);
  native.closeFd(listener);
  fs.unlinkSync(where);
  const tcp = native.listenTcp('127.0.0.1', 0);
  native.socketBuffers(tcp, 65536, 65536);
  native.tcpOptions(tcp, 5);
  native.socketAddress('127.0.0.1', native.socketName(tcp).port);
  native.closeFd(tcp);
  assert.throws(() => native.crc32c(data, data.length, 1), RangeError);
  assert.throws(() => native.openFile('', 0), TypeError);
  assert.throws(() => native.open({ entries: 0 }), RangeError);
}

const pause = () => new Promise((resolve) => setImmediate(resolve));

async function everything() {
  for (let i = 0; i < rounds; i++) {
    abuse();
    work();
    abandon();
    offThePath();
    if (i % 10 === 0) globalThis.gc?.();
    await pause();
  }
}

/** Workers do the same and end with rings open; the main thread wakes and terminates one that is blocked. */
async function threads() {
  const file = fileURLToPath(import.meta.url);
  const ended = [1, 2].map((n) => {
    const w = new Worker(file, { workerData: { rounds: Math.ceil(rounds / 4), seed: seed + n } });
    return new Promise((resolve, reject) => {
      w.on('error', reject);
      w.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`worker ended with ${code}`))));
    });
  });
  const blocked = new Worker(file, { workerData: { blocked: true, rounds: 0, seed } });
  const handle = await new Promise((resolve) => blocked.once('message', resolve));
  for (let i = 0; i < 100; i++) native.wakeRing(handle);
  await blocked.terminate();
  await Promise.all(ended);
}

await everything();
// Under valgrind (3.19), which runs one thread at a time, a worker that waits in the ring stops all others for good.
if (isMainThread && !process.env.MARS_STRESS_NO_THREADS) await threads();
native.closeFd(fd);
fs.rmSync(dir, { recursive: true });
if (isMainThread) console.log(`stress: ${rounds} rounds, seed ${seed}, all as it must be`);
