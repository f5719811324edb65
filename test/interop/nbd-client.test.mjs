// Our NBD client on servers that we did not write. Every child process has a hard end.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { F_FUA, F_MAY_TRIM, createRandom } from '@mars/brick-core';
import { BrickKit } from '@mars/brick-core/testing';
import { NbdClientBrick } from '@mars/bricks-if';
import { realHost } from '../machine/hosts.mjs';
import { KILL_MS, digestOf, makeCertificates, needs, scratch, serve as startOurs, writeImage } from './nbd-tools.mjs';

const SIZE = 8 * 2 ** 20;
const PIECE = 256 * 1024;
const dir = scratch();
const socket = dir.file('s.sock');
const image = dir.file('image');
const uri = `nbd+unix:///?socket=${socket}`;
const children = new Set();

after(() => {
  for (const child of children) child.kill('SIGKILL');
  dir.remove();
});

/** A server on the socket of this suite; resolves when it takes connections. */
async function start(program, args, port = null) {
  rmSync(socket, { force: true });
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  children.add(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_MS);
  const ended = once(child, 'close').finally(() => {
    clearTimeout(timer);
    children.delete(child);
  });
  const end = async (signal) => {
    child.kill(signal);
    await ended;
  };
  for (let isOver = false; !(await answers(port)); await new Promise((resolve) => setTimeout(resolve, 10))) {
    void ended.then(() => (isOver = true));
    if (isOver) throw new Error(`${program} ${args.join(' ')}\n${said}`);
  }
  return { ended, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}

/** The socket takes connections. (nbdkit's exitlast counts them, so there the file must do.) */
async function answers(port) {
  if (port === null && !existsSync(socket)) return false;
  if (countsClients) return true;
  const client = port === null ? connect(socket) : connect(port, '127.0.0.1');
  const isThere = await Promise.race([
    once(client, 'connect').then(() => true),
    once(client, 'error')
      .catch(() => false)
      .then(() => false),
  ]).catch(() => false);
  client.destroy();
  return isThere;
}
let countsClients = false;

const nbdkit = (...args) => start('nbdkit', ['-f', '-U', socket, ...args]);
const qemuNbd = (...args) => start('qemu-nbd', ['-k', socket, '-t', '-f', 'raw', ...args]);

/** Runs `use` with a client of its own, and closes that, also when `use` fails. */
async function withClient({ ring = 'auto', ...params }, use) {
  const kit = new BrickKit(NbdClientBrick, { uri, ...params }, { makeHost: realHost(ring) });
  try {
    await kit.open();
    await use(kit, kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached);
  } finally {
    await kit.close();
  }
}

async function readAll(kit) {
  const hash = createHash('sha256');
  for (let posBytes = 0; posBytes < SIZE; posBytes += PIECE) {
    const { err, data } = await kit.answerOf({ op: 'read', posBytes, lenBytes: PIECE });
    assert.equal(err, 0);
    hash.update(data);
  }
  return hash.digest('hex');
}

async function writeAll(kit, from) {
  for (let start = 0; start < SIZE; start += 8 * PIECE) {
    const positions = Array.from({ length: 8 }, (_, i) => start + i * PIECE);
    const answers = await Promise.all(
      positions.map((at) => kit.answerOf({ op: 'write', posBytes: at, data: from.subarray(at, at + PIECE) })),
    );
    for (const answer of answers) assert.equal(answer.err, 0);
  }
  assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
}

async function extents(kit) {
  const records = [];
  for (let posBytes = 0; posBytes < SIZE;) {
    const { err, data } = await kit.answerOf({ op: 'extents', posBytes, lenBytes: SIZE - posBytes });
    assert.equal(err, 0);
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    for (let at = 0; at < data.length; at += 24) {
      assert.equal(view.getFloat64(at, true), posBytes, 'records follow each other without a gap');
      records.push({
        posBytes,
        lenBytes: view.getFloat64(at + 8, true),
        isHole: (view.getUint32(at + 16, true) & 1) !== 0,
      });
      posBytes += records.at(-1).lenBytes;
    }
  }
  return records;
}

const SERVERS = [
  ['nbdkit file', 'nbdkit', () => nbdkit('file', image)],
  ['nbdkit file without structured replies', 'nbdkit', () => nbdkit('--no-sr', 'file', image)],
  ['nbdkit file that is slow', 'nbdkit', () => nbdkit('--filter=delay', 'file', image, 'rdelay=5ms', 'wdelay=5ms')],
  ['qemu-nbd', 'qemu-nbd', () => qemuNbd('--shared=8', '--discard=unmap', image)],
];

describe('nbd-client and foreign servers', function () {
  this.timeout(KILL_MS);

  for (const [title, program, serve] of SERVERS) {
    describe(title, () => {
      let server;
      beforeEach(async function () {
        needs(this, program);
        writeImage(image, SIZE, 'interop');
        server = await serve();
      });
      afterEach(() => server?.stop());

      for (const connections of [1, 4]) {
        it(`is read and written whole, checksums equal, with connections: ${connections}`, () =>
          withClient({ connections }, async (kit) => {
            assert.equal(await readAll(kit), digestOf(image, SIZE));
            writeImage(dir.file('other'), SIZE, 'something else');
            await writeAll(kit, readFileSync(dir.file('other')));
            assert.equal(digestOf(image, SIZE), digestOf(dir.file('other'), SIZE));
            assert.equal(await readAll(kit), digestOf(image, SIZE));
          }));
      }

      it('trims, zeroes, reads ahead and flushes, and tells extents that are true', () =>
        withClient({}, async (kit) => {
          const data = readFileSync(image);
          for (const [op, posBytes, flags] of [
            ['zero', 0, F_FUA],
            ['zero', 65536, F_MAY_TRIM],
            ['trim', 131072, F_FUA],
          ]) {
            assert.equal((await kit.answerOf({ op, posBytes, lenBytes: 65536, flags })).err, 0, op);
          }
          assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
          data.fill(0, 0, 131072);
          assert.ok(
            readFileSync(image)
              .subarray(0, 131072)
              .every((byte) => byte === 0),
          );
          if (kit.advertised.includes('cache'))
            assert.equal((await kit.answerOf({ op: 'cache', posBytes: 0, lenBytes: 65536 })).err, 0);
          if (!kit.advertised.includes('extents')) return assert.match(title, /without structured/);
          const records = await extents(kit);
          const now = readFileSync(image);
          for (const { posBytes, lenBytes, isHole } of records.filter((record) => record.isHole))
            assert.ok(!isHole || now.subarray(posBytes, posBytes + lenBytes).every((byte) => byte === 0));
          assert.equal(
            records.reduce((sum, record) => sum + record.lenBytes, 0),
            SIZE,
          );
        }));

      it('is killed under load and started again: no error, and no write that was answered is lost', async () => {
        await withClient({ retryWrites: true, connections: 2 }, async (kit) => {
          const expected = readFileSync(image);
          const random = createRandom(7);
          let isOver = false;
          // Each worker has sectors of its own: what overlaps is undefined by contract.
          const worker = async (number) => {
            for (let round = 1; !isOver; round++) {
              const posBytes = (random.int(SIZE / 65536) * 16 + number) * 4096;
              const data = Buffer.alloc(4096, (round * 16 + number) & 0xff);
              const flags = round % 5 === 0 ? F_FUA : 0;
              assert.equal((await kit.answerOf({ op: 'write', posBytes, data, flags })).err, 0);
              data.copy(expected, posBytes);
              const { err, data: read } = await kit.answerOf({ op: 'read', posBytes, lenBytes: 4096 });
              assert.deepEqual([err, Buffer.compare(read, data)], [0, 0]);
              if (round % 16 === number) assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
            }
          };
          const workers = Array.from({ length: 16 }, (_, number) => worker(number));
          for (let kills = 0; kills < 4; kills++) {
            await new Promise((resolve) => setTimeout(resolve, 150));
            await server.kill();
            await new Promise((resolve) => setTimeout(resolve, 50));
            server = await serve();
          }
          await new Promise((resolve) => setTimeout(resolve, 100));
          isOver = true;
          await Promise.all(workers);
          assert.ok(kit.brick.stats.counter('connections_lost').n >= 4);
          assert.equal(Buffer.compare(readFileSync(image), expected), 0);
        });
      });
    });
  }

  describe('nbdkit', () => {
    let server;
    beforeEach(function () {
      needs(this, 'nbdkit');
      server = undefined;
    });
    afterEach(() => server?.stop());

    it('memory: keeps what it was given', async () => {
      server = await nbdkit('memory', String(SIZE));
      writeImage(image, SIZE, 'memory');
      await withClient({}, async (kit) => {
        await writeAll(kit, readFileSync(image));
        assert.equal(await readAll(kit), digestOf(image, SIZE));
        await kit.answerOf({ op: 'trim', posBytes: 2 ** 20, lenBytes: 2 ** 20 });
        const { isHole } = (await extents(kit)).find((record) => record.posBytes === 2 ** 20);
        assert.equal(isHole, true);
      });
    });

    it('with the error filter: each request is told its own error', async () => {
      server = await nbdkit('--filter=error', 'memory', String(SIZE), 'error-pwrite=ENOSPC', 'error-pwrite-rate=100%');
      await withClient({}, async (kit) => {
        assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(4096) })).err, -28);
        assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 })).err, 0);
      });
    });

    it('with random errors of every kind: each request is answered once, and the rest is right', async () => {
      server = await nbdkit('--filter=error', 'memory', String(SIZE), 'error=EIO', 'error-rate=30%');
      await withClient({}, async (kit) => {
        const errors = new Set();
        for (let i = 0; i < 200; i++) {
          const op = ['read', 'write', 'flush', 'zero', 'trim', 'extents'][i % 6];
          const request =
            op === 'write'
              ? { op, posBytes: i * 4096, data: Buffer.alloc(4096, i) }
              : { op, posBytes: i * 4096, lenBytes: op === 'flush' ? 0 : 4096 };
          errors.add((await kit.answerOf(op === 'flush' ? { op } : request)).err);
        }
        assert.deepEqual([...errors].sort(), [-5, 0]);
      });
    });

    it('with exitlast: it sees our goodbye and ends', async () => {
      countsClients = true;
      try {
        server = await nbdkit('--filter=exitlast', 'memory', String(SIZE));
        await new Promise((resolve) => setTimeout(resolve, 200));
        await withClient({}, async (kit) => {
          assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err, 0);
        });
        await server.ended;
        server = undefined;
      } finally {
        countsClients = false;
      }
    });

    it('with block sizes: they are what we offer, and are kept', async () => {
      const policy = ['blocksize-minimum=4096', 'blocksize-preferred=8192', 'blocksize-maximum=64K'];
      const args = ['--filter=blocksize-policy', 'memory', String(SIZE), ...policy, 'blocksize-error-policy=error'];
      server = await nbdkit(...args);
      await withClient({}, async (kit, cached) => {
        assert.deepEqual([cached.align, cached.preferred, cached.maxLen], [4096, 8192, 65536]);
        assert.equal((await kit.answerOf({ op: 'write', posBytes: 4096, data: Buffer.alloc(65536, 1) })).err, 0);
      });
    });

    it('read-only: no change is offered', async () => {
      writeImage(image, SIZE, 'ro');
      server = await nbdkit('-r', 'file', image);
      await withClient({}, async (kit) => assert.ok(!kit.advertised.includes('write')));
    });

    it('without the fixed newstyle handshake: refused, with the reason', async () => {
      server = await nbdkit('--mask-handshake=0', 'memory', String(SIZE));
      await assert.rejects(
        withClient({}, () => {}),
        /does not speak the fixed newstyle/,
      );
    });

    it('over TCP, and under a name', async () => {
      writeFileSync(image, Buffer.alloc(4096, 'n'));
      truncateSync(image, SIZE);
      const port = 20000 + (process.pid % 20000);
      rmSync(socket, { force: true });
      const child = spawn('nbdkit', ['-f', '-i', '127.0.0.1', '-p', String(port), 'file', `dir=${dir.dir}`], {
        stdio: 'ignore',
      });
      children.add(child);
      const timer = setTimeout(() => child.kill('SIGKILL'), KILL_MS);
      try {
        const params = { uri: `nbd://localhost:${port}/image` };
        for (let tries = 0; ; tries++) {
          const failure = await withClient(params, async (kit) => {
            const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
            assert.ok(data.every((byte) => byte === 0x6e));
          }).then(
            () => null,
            (error) => error,
          );
          if (failure === null) break;
          if (tries === 50 || !/ECONNREFUSED/.test(failure.message)) throw failure;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      } finally {
        clearTimeout(timer);
        child.kill('SIGKILL');
        await once(child, 'close');
        children.delete(child);
      }
    });

    it('killed without retryWrites: a write of unknown outcome is an error, reads are not', async () => {
      server = await nbdkit('--filter=delay', 'memory', String(SIZE), 'wdelay=30', 'rdelay=0');
      await withClient({}, async (kit) => {
        const writing = kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(512) });
        await new Promise((resolve) => setTimeout(resolve, 200));
        await server.kill();
        assert.equal((await writing).err, -104);
        const reading = kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
        server = await nbdkit('memory', String(SIZE));
        assert.equal((await reading).err, 0);
      });
    });
  });

  describe('with TLS', () => {
    const files = scratch();
    const stranger = scratch();
    const port = 20000 + (process.pid % 20000);
    let server;
    before(function () {
      needs(this, 'openssl', 'nbdkit', 'qemu-nbd');
      makeCertificates(files);
      makeCertificates(stranger);
    });
    beforeEach(() => writeImage(image, SIZE, 'tls'));
    afterEach(async () => {
      await server?.stop();
      server = undefined;
    });
    after(() => {
      files.remove();
      stranger.remove();
    });

    const pem = (dir, name) => dir.file(`${name}.pem`);
    const authority = (dir) => ({ tlsCa: pem(dir, 'ca-cert') });
    const client = (dir) => ({ tlsCert: pem(dir, 'client-cert'), tlsKey: pem(dir, 'client-key') });
    const secureNbdkit = (...args) =>
      nbdkit('--tls=require', `--tls-certificates=${files.dir}`, ...args, 'file', image);
    const secureQemu = (verifyPeer) => {
      const creds = `tls-creds-x509,id=t,endpoint=server,verify-peer=${verifyPeer},dir=${files.dir}`;
      return qemuNbd('--object', creds, '--tls-creds', 't', '--shared=8', image);
    };
    /** The same server over TCP: it must be found good for an address too. */
    const overTcp = (...args) =>
      start('nbdkit', ['-f', '-i', '127.0.0.1', '-p', String(port), ...args, 'file', image], port);

    const checksumsAreEqual = async (params) =>
      withClient(params, async (kit) => {
        assert.equal(await readAll(kit), digestOf(image, SIZE));
        writeImage(dir.file('other'), SIZE, 'something else');
        await writeAll(kit, readFileSync(dir.file('other')));
        assert.equal(digestOf(image, SIZE), digestOf(dir.file('other'), SIZE));
        assert.equal(await readAll(kit), digestOf(image, SIZE));
      });

    for (const [title, serve] of [
      ['nbdkit', () => secureNbdkit('--tls-verify-peer')],
      ['qemu-nbd', () => secureQemu('yes')],
    ]) {
      for (const ring of ['auto', 'threads']) {
        it(`${title} is read and written whole by a client with a certificate, ring: ${ring}`, async () => {
          server = await serve();
          await checksumsAreEqual({ tls: 'require', ...authority(files), ...client(files), ring });
        });
      }

      it(`${title} turns away a client without a certificate it knows`, async () => {
        server = await serve();
        for (const who of [{}, client(stranger)]) {
          const params = { tls: 'require', ...authority(files), ...who };
          await assert.rejects(
            withClient(params, () => {}),
            /TLS|ended|ECONNRESET|EPIPE/,
          );
        }
      });

      it(`${title} is killed under load and started again: TLS comes back too`, async () => {
        server = await serve();
        const params = { tls: 'require', ...authority(files), ...client(files), retryWrites: true };
        await withClient(params, async (kit) => {
          for (let round = 0; round < 3; round++) {
            const positions = Array.from({ length: 32 }, (_, i) => (round * 32 + i) * 4096);
            const answers = positions.map((posBytes) =>
              kit.answerOf({ op: 'write', posBytes, data: Buffer.alloc(4096, posBytes >> 12) }),
            );
            await server.kill();
            server = await serve();
            for (const { err } of await Promise.all(answers)) assert.equal(err, 0);
          }
          const expected = Buffer.concat(Array.from({ length: 96 }, (_, i) => Buffer.alloc(4096, i)));
          assert.equal(Buffer.compare(readFileSync(image).subarray(0, expected.length), expected), 0);
        });
      });
    }

    it('over TCP the certificate must be good for the address, or for the name that was asked for', async () => {
      server = await overTcp('--tls=require', `--tls-certificates=${files.dir}`);
      const to = { uri: `nbds://127.0.0.1:${port}/`, ...authority(files) };
      await checksumsAreEqual(to);
      await withClient({ ...to, tlsHostname: 'localhost' }, () => {});
      await assert.rejects(
        withClient({ ...to, tlsHostname: 'disks.example' }, () => {}),
        /TLS handshake failed.*disks\.example/s,
      );
    });

    it('a server of another authority is turned down, and so is one that does no TLS', async () => {
      server = await secureNbdkit();
      await assert.rejects(
        withClient({ tls: 'require', ...authority(stranger) }, () => {}),
        /TLS handshake failed/,
      );
      await assert.rejects(
        withClient({}, () => {}),
        /demands TLS|ended/,
      );
      await server.stop();
      server = await nbdkit('file', image);
      await assert.rejects(
        withClient({ tls: 'require', ...authority(files) }, () => {}),
        /does no TLS/,
      );
    });

    it('our own server and client understand each other, with certificates on both sides', async () => {
      const front = { listen: [socket], tls: 'require', tlsVerifyPeer: true, ...authority(files) };
      const own = await startOurs([{ ...front, tlsCert: pem(files, 'server-cert'), tlsKey: pem(files, 'server-key') }]);
      try {
        await withClient({ tls: 'require', ...authority(files), ...client(files) }, async (kit) => {
          const data = Buffer.alloc(PIECE, 'own');
          assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data, flags: F_FUA })).err, 0);
          const answer = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: PIECE });
          assert.equal(Buffer.compare(answer.data, data), 0);
        });
      } finally {
        await own.stop();
      }
    });
  });
});
