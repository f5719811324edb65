import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import native from '../index.cjs';
import { Kit, OP, ringCount, useTempDir } from './kit.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const index = path.join(here, '..', 'index.cjs');

/** Collects until `done()`; finalizers run in later turns of the loop. */
async function collectUntil(done, what) {
  for (let i = 0; i < 200 && !done(); i++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(done(), what);
}

describe('a ring that nobody holds any more', () => {
  it('is freed when idle', async () => {
    const rings = ringCount();
    (() => new Kit({ arenaBytes: 1 << 20 }))();
    await collectUntil(() => ringCount() === rings, 'an idle ring was not freed');
  });

  it('is freed after its waiting operations were cancelled', async () => {
    const rings = ringCount();
    const [a, b] = native.socketpair();
    (() => {
      const kit = new Kit({ arenaBytes: 1 << 20 });
      for (let i = 0; i < 8; i++) kit.op(OP.RECV, { fd: a, buf: i * 4096, len: 4096 });
      kit.op(OP.TIMEOUT, { off: 3600n * 1_000_000_000n });
      kit.tick();
    })();
    await collectUntil(() => ringCount() === rings, 'a ring with operations in flight was not freed');
    fs.writeSync(b, 'nobody listens'); // must not land in memory that was given back
    native.closeFd(a);
    native.closeFd(b);
  });

  it('stays while a method of it is still held, and its arena stays longer', async () => {
    const rings = ringCount();
    let [tick, arena] = (() => {
      const { ring } = new Kit({ arenaBytes: 1 << 20 });
      return [ring.tick, ring.arena];
    })();
    for (let i = 0; i < 5; i++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(tick(0, 0), 0);
    assert.equal(ringCount(), rings + 1);
    tick = null;
    await collectUntil(() => ringCount() === rings, 'the ring was not freed');
    new Uint8Array(arena).fill(3);
    assert.equal(new Uint8Array(arena)[arena.byteLength - 1], 3);
    arena = null;
    globalThis.gc();
  });

  it('stays while it is attached', async () => {
    const fired = new Promise((resolve) => {
      const kit = new Kit({ arenaBytes: 1 << 20 });
      const tag = kit.op(OP.TIMEOUT, { off: 60_000_000 });
      kit.ring.attach(() => {
        kit.tick();
        if (!kit.results.has(tag)) return;
        kit.close();
        resolve();
      });
      kit.tick();
    });
    for (let i = 0; i < 5; i++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await fired;
  });

  it('gives its memory back: a hundred rings of 64 MiB, all touched, never add up', async () => {
    const rssBefore = process.memoryUsage().rss;
    for (let i = 0; i < 100; i++) {
      const kit = new Kit({ arenaBytes: 64 << 20 });
      kit.do(OP.ZERO, { len: 16 << 20 });
      kit.close();
    }
    assert.ok(process.memoryUsage().rss - rssBefore < 256 << 20);
  });
});

/** Runs `body` in a worker with `native`, `OP`, `FLAG`, `ring`-making and `parentPort` in scope. */
function worker(body, workerData) {
  const source = `
    const { parentPort, workerData, receiveMessageOnPort } = require('node:worker_threads');
    const native = require(${JSON.stringify(index)});
    const { OP, FLAG } = native;
    const fill = (ring, i, ...ints) => ring.sq.set(ints, i * 8);
    ${body}`;
  const w = new Worker(source, { eval: true, workerData });
  w.ended = new Promise((resolve, reject) => {
    w.once('exit', resolve);
    w.once('error', reject);
  });
  return w;
}

const message = (w) =>
  new Promise((resolve, reject) => {
    w.once('message', resolve);
    w.once('error', reject);
  });
describe('rings in worker threads', () => {
  const dir = useTempDir();

  it('work side by side, several in each of several workers', async () => {
    const image = path.join(dir.path, 'image');
    fs.writeFileSync(image, Buffer.from(Array.from({ length: 1 << 16 }, (_, i) => i >> 8)));
    const rings = ringCount();
    const workers = [0, 1, 2, 3].map(() =>
      worker(
        `const fd = native.openFile(workerData, 0);
        const rings = [0, 1, 2].map(() => native.open({ entries: 16, arenaBytes: 1 << 20 }));
        let bad = 0;
        for (let round = 0; round < 300; round++)
          for (const ring of rings) {
            for (let i = 0; i < 16; i++) fill(ring, i, OP.READ, fd, i * 4096, 256, ((round * 16 + i) & 255) * 256, 0, 0, i);
            for (let left = 16, ops = 16; left > 0; ops = 0) left -= ring.tick(ops, -1);
            const bytes = new Uint8Array(ring.arena);
            for (let i = 0; i < 16; i++) if (bytes[i * 4096 + 255] !== ((round * 16 + i) & 255)) bad++;
          }
        rings[0].close(); // the others are left to the end of the thread
        native.closeFd(fd);
        parentPort.postMessage(bad);`,
        image,
      ),
    );
    assert.deepEqual(await Promise.all(workers.map(message)), [0, 0, 0, 0]);
    await Promise.all(workers.map((w) => w.ended));
    assert.equal(ringCount(), rings, 'the end of a thread frees its rings');
  });

  it('end cleanly with operations in flight, attached or not', async () => {
    const rings = ringCount();
    for (const attach of ['', 'ring.attach(() => {});ring.keepAlive(false);']) {
      const w = worker(
        `const ring = native.open({ entries: 16, arenaBytes: 1 << 20 });
        const [a] = native.socketpair();
        for (let i = 0; i < 8; i++) fill(ring, i, OP.RECV, a, i * 4096, 4096, 0, 0, 0, i);
        ${attach}
        ring.tick(8, 0);
        parentPort.postMessage('busy');`,
      );
      await message(w);
      assert.equal(await w.ended, 0);
    }
    assert.equal(ringCount(), rings);
  });

  it('blocked in run() are woken by another thread, and take messages then', async () => {
    const w = worker(
      `const ring = native.open({ entries: 16, arenaBytes: 1 << 20 });
      parentPort.postMessage(ring.wakeHandle);
      let got = 0;
      ring.run(() => {
        for (let m; (m = receiveMessageOnPort(parentPort)); ) got += m.message;
        return got >= 3 ? -1 : 0;
      });
      ring.close();
      parentPort.postMessage(got);`,
    );
    const handle = await message(w);
    const sum = message(w);
    for (let i = 0; i < 3; i++) {
      w.postMessage(1);
      assert.equal(native.wakeRing(handle), true);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    assert.equal(await sum, 3);
    await w.ended;
    assert.equal(native.wakeRing(handle), false);
  });

  it('wake each other from ring to ring: a ping-pong of two blocked threads', async () => {
    const body = `const ring = native.open({ entries: 16, arenaBytes: 65536 });
      const shared = new Int32Array(workerData.shared);
      shared[workerData.me] = ring.wakeHandle;
      const turns = 500;
      ring.run(() => {
        const other = shared[1 - workerData.me];
        if (Atomics.load(shared, 2) >= turns) { if (other) native.wakeRing(other); return -1; }
        if (other && Atomics.load(shared, 2) % 2 === workerData.me) { Atomics.add(shared, 2, 1); native.wakeRing(other); }
        return 0;
      });
      parentPort.postMessage(Atomics.load(shared, 2));
      ring.close();`;
    const shared = new SharedArrayBuffer(16);
    const workers = [0, 1].map((me) => worker(body, { shared, me }));
    assert.deepEqual(await Promise.all(workers.map(message)), [500, 500]);
    await Promise.all(workers.map((w) => w.ended));
  });

  it('can be terminated while blocked in run() or in tick()', async () => {
    const rings = ringCount();
    for (const loop of ['ring.run(() => 0)', 'for (;;) ring.tick(0, -1)']) {
      const w = worker(
        `const ring = native.open({ entries: 16, arenaBytes: 1 << 20 });
        const [a] = native.socketpair();
        fill(ring, 0, OP.RECV, a, 0, 4096, 0, 0, 0, 1);
        ring.tick(1, 0);
        parentPort.postMessage('blocked');
        ${loop};`,
      );
      await message(w);
      assert.equal(await w.terminate(), 1);
    }
    assert.equal(ringCount(), rings);
  });
});

describe('the end of the process', () => {
  const dir = useTempDir();

  /** A child with files and sockets in flight when `ending` runs. */
  function busyChild(ending) {
    const script = `
      const native = require(${JSON.stringify(index)});
      const { OP, FLAG } = native;
      const ring = native.open({ entries: 64, arenaBytes: 8 << 20, spinUs: 50 });
      const fd = native.openFile(${JSON.stringify(path.join(dir.path, 'busy'))}, 0o102, 0o600);
      const [a, b] = native.socketpair();
      let n = 0;
      for (; n < 20; n++) ring.sq.set([OP.RECV, a, n * 4096, 4096, 0, 0, 0, n], n * 8);
      for (; n < 50; n++) ring.sq.set([OP.WRITE, fd, n * 65536, 65536, n * 65536, 0, FLAG.RWF_DSYNC, n], n * 8);
      ${ending}`;
    return spawnSync(process.execPath, ['-e', script], { timeout: 20_000, encoding: 'utf8' });
  }

  for (const [name, ending, code] of [
    ['with the last line of the script', 'ring.tick(n, 0);', 0],
    ['by process.exit', 'ring.tick(n, 0); process.exit(7);', 7],
    ['by process.exit inside run()', 'let c = 0; ring.run(() => { if (++c === 3) process.exit(8); return 0; }, n);', 8],
    ['by an exception inside run()', 'ring.run(() => { throw new Error("x"); }, n);', 1],
    ['attached, by process.exit in the callback', 'ring.attach(() => process.exit(9)); ring.tick(n, 0);', 9],
    ['attached without keeping alive', 'ring.attach(() => {}); ring.keepAlive(false); ring.tick(n, 0);', 0],
  ])
    it(`comes cleanly while busy, ${name}`, () => {
      const { status, signal, stderr } = busyChild(ending);
      assert.equal(signal, null, stderr);
      assert.equal(status, code, stderr);
    });

  it('does not wait for a worker that is blocked in run()', () => {
    const inner = `const native = require(${JSON.stringify(index)});
      const ring = native.open({ entries: 8, arenaBytes: 65536 });
      require('node:worker_threads').parentPort.postMessage(1);
      ring.run(() => 0);`;
    const script = `const w = new (require('node:worker_threads').Worker)(${JSON.stringify(inner)}, { eval: true });
      w.on('message', () => process.exit(5));`;
    const { status, signal, stderr } = spawnSync(process.execPath, ['-e', script], {
      timeout: 20_000,
      encoding: 'utf8',
    });
    assert.equal(signal, null, stderr);
    assert.equal(status, 5, stderr);
  });

  it('by SIGKILL leaves what had been answered', async () => {
    const file = path.join(dir.path, 'killed');
    const script = `
      const native = require(${JSON.stringify(index)});
      const { OP, FLAG } = native;
      const ring = native.open({ entries: 8, arenaBytes: 65536 });
      const fd = native.openFile(${JSON.stringify(file)}, 0o102, 0o600);
      const bytes = new Uint8Array(ring.arena);
      for (let i = 1; ; i++) {
        bytes.fill(i, 0, 512);
        ring.sq.set([OP.WRITE, fd, 0, 512, i * 512, 0, FLAG.RWF_DSYNC, i], 0);
        for (let ops = 1; ring.tick(ops, -1) === 0; ops = 0);
        require('fs').writeSync(1, i + '\\n');
      }`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (data) => {
      said += data;
      if (said.split('\n').length > 20) child.kill('SIGKILL');
    });
    await new Promise((resolve) => child.on('close', resolve));
    const answered = said.split('\n').slice(0, -1).map(Number);
    const content = fs.readFileSync(file);
    assert.ok(answered.length >= 20);
    for (const i of answered) assert.equal(content[i * 512 + 511], i & 255, `write ${i} was answered and is gone`);
  });
});
