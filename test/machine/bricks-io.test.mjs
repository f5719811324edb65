// The storage ends on every machine that they can stand on: io_uring, the thread pool, the simulated disk, loop devices.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BrickKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { EIO, EROFS, F_FUA, OP_NAMES } from '@mars/brick-core';
import { AioBrick, BioBrick, FileBrick, SioBrick } from '@mars/bricks-io';
import * as native from '@mars/native';
import { realHost, simHost } from './hosts.mjs';

const SIZE = 2 ** 20;
const scratch = mkdtempSync(path.join(tmpdir(), 'mars-io-'));
const image = path.join(scratch, 'disk.img');

function makeImage(file = image) {
  const fd = openSync(file, 'w');
  ftruncateSync(fd, SIZE);
  closeSync(fd);
}

const hasUring = native.available && native.hasRing && native.kernelFeatures().ok !== false;
const machines = [
  ...(hasUring ? [['io_uring', realHost('io_uring')]] : []),
  ['thread pool', realHost('threads')],
];

after(() => rmSync(scratch, { recursive: true, force: true }));

describe('storage ends', function () {
  this.timeout(120_000);

  for (const [name, makeHost] of machines) {
    describe(`on ${name}`, () => {
      beforeEach(() => makeImage());
      for (const [type, cls, params] of [
        ['aio', AioBrick, {}],
        ['aio, direct', AioBrick, { direct: true }],
        ['aio, fixed size', AioBrick, { grow: false, sync: 'fsync' }],
        ['sio', SioBrick, {}],
        ['file', FileBrick, {}],
      ]) {
        describe(type, () => {
          // A promise per request is what "file" is about; the thread pool hands every result over in an object of its own.
          const allocationFree = type !== 'file' && name === 'io_uring';
          describeBrickConformance(useBrickKit(cls, { path: image, ...params }, { makeHost }), { allocationFree, requests: 100 });
        });
      }
    });
  }

  describe('in the simulated world', () => {
    const makeHost = simHost(async (host) => {
      const file = host.files.open('/disk.img', { write: true, create: true });
      await host.world.drive(file.then((f) => host.files.truncate(f, SIZE).then(() => host.files.close(f))));
      host.disk.addDevice('vda', SIZE);
    });
    for (const [type, cls, params] of [
      ['aio', AioBrick, { path: '/disk.img' }],
      ['aio on a device', AioBrick, { path: '/dev/vda' }],
      ['bio', BioBrick, { path: '/dev/vda' }],
      ['sio', SioBrick, { path: '/disk.img' }],
      ['file', FileBrick, { path: '/disk.img' }],
    ]) {
      describe(type, () => describeBrickConformance(useBrickKit(cls, params, { makeHost }), { allocationFree: false, requests: 100 }));
    }
  });

  describe('a growing file', () => {
    for (const [name, makeHost] of machines) {
      describe(`on ${name}`, () => {
        const log = path.join(scratch, 'log');
        beforeEach(() => rmSync(log, { force: true }));
        const kit = useBrickKitLater(AioBrick, { path: log, create: true }, { makeHost });

        it('is made with mode 0600, is empty, and a read of it is short', async () => {
          assert.equal(statSync(log).mode & 0o777, 0o600);
          const { err, lenBytes } = await kit().answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
          assert.deepEqual([err, lenBytes], [0, 0]);
        });

        it('grows with writes, and reads stop at its end', async () => {
          assert.equal((await kit().answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(700, 'a') })).err, 0);
          const answer = await kit().answerOf({ op: 'read', posBytes: 512, lenBytes: 512 });
          assert.deepEqual([answer.err, answer.lenBytes], [0, 188]);
          assert.equal(Buffer.from(answer.data).toString(), 'a'.repeat(188));
        });

        it('may be written beyond its end; the hole reads as zeroes', async () => {
          assert.equal((await kit().answerOf({ op: 'write', posBytes: 10_000, data: 'x' })).err, 0);
          const { data } = await kit().answerOf({ op: 'read', posBytes: 9_990, lenBytes: 100 });
          assert.equal(Buffer.from(data).toString('latin1'), `${'\0'.repeat(10)}x`);
        });

        it('sees what somebody else appended', async () => {
          writeFileSync(log, 'written by another program');
          const { data } = await kit().answerOf({ op: 'read', posBytes: 0, lenBytes: 7 });
          assert.equal(Buffer.from(data).toString(), 'written');
        });
      });
    }
  });

  describe('extents', () => {
    it('tell data from holes', async function () {
      if (!hasUring) this.skip();
      makeImage();
      const kit = new BrickKit(AioBrick, { path: image }, { makeHost: realHost('auto') });
      await kit.open();
      await kit.answerOf({ op: 'write', posBytes: 65536, data: Buffer.alloc(65536, 1), flags: F_FUA });
      const { data } = await kit.answerOf({ op: 'extents', posBytes: 0, lenBytes: SIZE });
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      const records = Array.from({ length: data.length / 24 }, (_, i) => [view.getFloat64(24 * i, true), view.getFloat64(24 * i + 8, true), view.getUint32(24 * i + 16, true)]);
      assert.deepEqual(records, [[0, 65536, 3], [65536, 65536, 0], [131072, SIZE - 131072, 3]]);
      await kit.close();
    });
  });

  describe('trouble', () => {
    const open = async (cls, params) => {
      const kit = new BrickKit(cls, params, { makeHost: realHost('auto') });
      try {
        await kit.open();
        return kit;
      } catch (error) {
        await kit.close();
        throw error;
      }
    };

    it('a missing file is an error with path and hint, and nothing is made', async () => {
      const missing = path.join(scratch, 'missing');
      await assert.rejects(open(AioBrick, { path: missing }), (error) => {
        assert.equal(error.code, 'START_FAILED');
        assert.match(error.message, /missing/);
        assert.ok(error.hint);
        return true;
      });
      assert.equal(existsSync(missing), false);
    });

    it('bio refuses what is no block device', async () => {
      makeImage();
      await assert.rejects(open(BioBrick, { path: image }), /no block device/);
    });

    it('a read-only end refuses every change', async () => {
      makeImage();
      const kit = await open(AioBrick, { path: image, readonly: true });
      assert.deepEqual(kit.advertised, ['read', 'extents', 'cache']);
      const { err } = await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' });
      assert.ok(err === -EROFS || err < 0);
      assert.equal(readFileSync(image)[0], 0);
      await kit.close();
    });

    it('a full file system is reported per request (ENOSPC), and what was written stays', async function () {
      if (process.getuid() !== 0) this.skip();
      const mount = path.join(scratch, 'full');
      mkdirSync(mount);
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status !== 0) this.skip();
      try {
        const kit = await open(AioBrick, { path: path.join(mount, 'f'), create: true });
        assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(4096, 7) })).err, 0);
        const answers = [];
        for (let i = 1; i < 300; i++) answers.push((await kit.answerOf({ op: 'write', posBytes: i * 4096, data: Buffer.alloc(4096, 7) })).err);
        assert.ok(answers.includes(-28), 'ENOSPC was never reported');
        const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
        assert.ok(data.every((byte) => byte === 7));
        await kit.close();
      } finally {
        spawnSync('umount', [mount]);
      }
    });

    it('after a failed sync every flush fails until the brick was off (simulated disk)', async () => {
      let host;
      const makeHost = simHost(async (h) => {
        host = h;
        h.disk.addDevice('vda', SIZE);
      });
      const kit = new BrickKit(AioBrick, { path: '/dev/vda' }, { makeHost });
      await kit.open();
      await kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(4096, 1) });
      const fault = host.disk.fault({ op: 'sync', errno: EIO, nth: 1 });
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
      fault.remove?.();
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO, 'the kernel has forgotten the error; we must not');
      const fua = await kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(512, 2), flags: F_FUA });
      assert.equal(fua.err, -EIO);
      kit.graph.get('probe').power.set('off');
      await kit.settle(kit.graph.release('brick'));
      await kit.settle(kit.graph.press('brick'));
      await kit.settle(kit.graph.press('probe'));
      assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
      await kit.close();
    });
  });

  describe('a loop device', () => {
    let device;
    before(function () {
      if (process.getuid() !== 0) this.skip();
      makeImage(path.join(scratch, 'loop.img'));
      const made = spawnSync('losetup', ['--find', '--show', '--sector-size', '4096', path.join(scratch, 'loop.img')], { encoding: 'utf8' });
      if (made.status !== 0) this.skip();
      device = made.stdout.trim();
    });
    after(() => device && spawnSync('losetup', ['-d', device]));

    for (const [name, makeHost] of machines) {
      it(`with 4 KiB sectors passes conformance of bio on ${name}`, async () => {
        const kit = new BrickKit(BioBrick, { path: device }, { makeHost });
        await kit.open();
        const { cached } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
        assert.deepEqual([cached.size, cached.align], [SIZE, 4096]);
        assert.ok((await kit.answerOf({ op: 'read', posBytes: 512, lenBytes: 512 })).err < 0, 'a misaligned read must be refused');
        const data = Buffer.alloc(8192, 0x5a);
        assert.equal((await kit.answerOf({ op: 'write', posBytes: 4096, data, flags: F_FUA })).err, 0);
        const answer = await kit.answerOf({ op: 'read', posBytes: 4096, lenBytes: 8192 });
        assert.equal(Buffer.compare(answer.data, data), 0);
        for (const op of OP_NAMES.filter((o) => ['zero', 'trim'].includes(o) && kit.advertised.includes(o))) {
          assert.equal((await kit.answerOf({ op, posBytes: 4096, lenBytes: 4096 })).err, 0, op);
        }
        await kit.close();
      });
    }

    it('is opened exclusively: a second opener is told who is in the way', async () => {
      const makeHost = machines[0][1];
      const first = new BrickKit(BioBrick, { path: device }, { makeHost });
      await first.open();
      const second = new BrickKit(BioBrick, { path: device }, { makeHost });
      await assert.rejects(second.open(), (error) => error.code === 'START_FAILED');
      await second.close();
      await first.close();
    });
  });
});

/** A kit whose file may be prepared by a `beforeEach` that stands above it. */
function useBrickKitLater(cls, params, options) {
  let kit;
  beforeEach(async () => {
    kit = new BrickKit(cls, params, options);
    await kit.open();
  });
  afterEach(() => kit.close());
  return () => kit;
}
