// The storage ends on every machine that they can stand on: io_uring, the thread pool, the simulated disk, loop devices.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BrickKit, describeBrickConformance } from '@mars/brick-core/testing';
import { EIO, ENOSPC, EOPNOTSUPP, F_FUA, F_MAY_TRIM } from '@mars/brick-core';
import { AioBrick, BioBrick, FileBrick, SioBrick } from '@mars/bricks-io';
import * as native from '@mars/native';
import { realHost, simHost } from './hosts.mjs';

const SIZE = 2 ** 20;
const COMMAND_MS = 10_000;
const scratch = mkdtempSync(path.join(tmpdir(), 'mars-io-'));
const image = path.join(scratch, 'disk.img');

function makeImage(file = image, sizeBytes = SIZE) {
  const fd = openSync(file, 'w');
  ftruncateSync(fd, sizeBytes);
  closeSync(fd);
}

/** Output of a command that may be missing or forbidden here; null then. */
function tryCommand(program, ...args) {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: COMMAND_MS });
  return status === 0 ? stdout.trim() : null;
}

const hasUring = native.available && native.hasRing && native.kernelFeatures().ok !== false;
const machines = [...(hasUring ? [['io_uring', realHost('io_uring')]] : []), ['thread pool', realHost('threads')]];

/**
 * Conformance. That nothing is allocated per request is measured where nothing else allocates: beside the code, on a scripted
 * ring; here the event loop and the file calls make objects of their own.
 */
function conforms(cls, params, makeHost) {
  describeBrickConformance(new BrickKit(cls, params, { makeHost }), { allocationFree: false, requests: 100 });
}

after(() => rmSync(scratch, { recursive: true, force: true }));

describe('storage ends', () => {
  for (const [name, makeHost] of machines) {
    describe(`on ${name}`, () => {
      beforeEach(() => makeImage());
      for (const [title, cls, params] of [
        ['aio', AioBrick, {}],
        ['aio, direct', AioBrick, { direct: true }],
        ['aio, fixed size, fsync', AioBrick, { grow: false, sync: 'fsync' }],
        ['sio', SioBrick, {}],
        ['file', FileBrick, {}],
      ]) {
        describe(title, () => conforms(cls, { path: image, ...params }, makeHost));
      }
    });
  }

  describe('in the simulated world', () => {
    const makeHost = simHost(async (host) => {
      const file = host.files.open('/disk.img', { write: true, create: true });
      await host.world.drive(file.then((f) => host.files.truncate(f, SIZE).then(() => host.files.close(f))));
      host.disk.addDevice('vda', SIZE);
    });
    for (const [title, cls, params] of [
      ['aio', AioBrick, { path: '/disk.img' }],
      ['aio on a device', AioBrick, { path: '/dev/vda' }],
      ['bio', BioBrick, { path: '/dev/vda' }],
      ['sio', SioBrick, { path: '/disk.img' }],
      ['file', FileBrick, { path: '/disk.img' }],
    ]) {
      describe(title, () => conforms(cls, params, makeHost));
    }
  });

  describe('a growing file', () => {
    const log = path.join(scratch, 'log');
    for (const [name, makeHost] of machines) {
      for (const cls of [AioBrick, SioBrick, FileBrick]) {
        describe(`of ${cls.name} on ${name}`, () => {
          let kit;
          beforeEach(async () => {
            rmSync(log, { force: true });
            kit = new BrickKit(cls, cls === SioBrick ? { path: log } : { path: log, create: true }, { makeHost });
            await kit.open();
          });
          afterEach(() => kit.close());

          it('is made with mode 0600, is empty, and a read of it is short', async () => {
            assert.equal(statSync(log).mode & 0o777, 0o600);
            const { err, lenBytes } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
            assert.deepEqual([err, lenBytes], [0, 0]);
          });

          it('grows with writes, and reads stop at its end', async () => {
            assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(700, 'a') })).err, 0);
            const answer = await kit.answerOf({ op: 'read', posBytes: 512, lenBytes: 512 });
            assert.deepEqual([answer.err, answer.lenBytes], [0, 188]);
            assert.equal(Buffer.from(answer.data).toString(), 'a'.repeat(188));
          });

          it('may be written beyond its end; the hole reads as zeroes', async () => {
            assert.equal((await kit.answerOf({ op: 'write', posBytes: 10_000, data: 'x' })).err, 0);
            const { data } = await kit.answerOf({ op: 'read', posBytes: 9_990, lenBytes: 100 });
            assert.equal(Buffer.from(data).toString('latin1'), `${'\0'.repeat(10)}x`);
          });

          it('shows what somebody else appended', async () => {
            writeFileSync(log, 'written by another program');
            const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 7 });
            assert.equal(Buffer.from(data).toString(), 'written');
          });
        });
      }

      it(`is read to its last byte with direct I/O on ${name}`, async () => {
        writeFileSync(image, Buffer.alloc(5000, 'z'));
        const kit = await open(AioBrick, { path: image, direct: true }, makeHost);
        const { align } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached;
        const posBytes = Math.floor(5000 / align) * align;
        const { err, data } = await kit.answerOf({ op: 'read', posBytes, lenBytes: 2 * align });
        assert.deepEqual([err, data.length], [0, 5000 - posBytes]);
        await kit.close();
      });
    }
  });

  describe('holes', () => {
    for (const [name, makeHost] of machines) {
      it(`are told from data, and made by trim and zero, on ${name}`, async () => {
        makeImage();
        const kit = await open(AioBrick, { path: image }, makeHost);
        await kit.answerOf({ op: 'write', posBytes: 65536, data: Buffer.alloc(131072, 1), flags: F_FUA });
        assert.deepEqual(await extents(kit), [
          [0, 65536, 3],
          [65536, 131072, 0],
          [196608, SIZE - 196608, 3],
        ]);
        await kit.answerOf({ op: 'trim', posBytes: 65536, lenBytes: 65536, flags: F_FUA });
        await kit.answerOf({ op: 'zero', posBytes: 131072, lenBytes: 65536, flags: F_MAY_TRIM | F_FUA });
        assert.deepEqual(await extents(kit), [[0, SIZE, 3]]);
        assert.ok(readFileSync(image).every((byte) => byte === 0));
        assert.equal(statSync(image).size, SIZE);
        await kit.close();
      });
    }
  });

  describe('trouble', () => {
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

    it('a read-only end offers no change', async () => {
      makeImage();
      const kit = await open(AioBrick, { path: image, readonly: true });
      assert.deepEqual(kit.advertised, ['read', 'extents', 'cache']);
      assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' })).err, -EOPNOTSUPP);
      assert.equal(readFileSync(image)[0], 0);
      await kit.close();
    });

    for (const [name, makeHost] of machines) {
      it(`a full file system is reported per request (ENOSPC) on ${name}, and ends when there is space again`, async function () {
        const mount = mkdtempSync(path.join(scratch, 'full-'));
        if (tryCommand('mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', mount) === null) this.skip();
        try {
          writeFileSync(path.join(mount, 'ballast'), Buffer.alloc(65536));
          const kit = await open(AioBrick, { path: path.join(mount, 'f'), create: true }, makeHost);
          const write = async (i, flags) =>
            (await kit.answerOf({ op: 'write', posBytes: i * 4096, data: Buffer.alloc(4096, 7), flags })).err;
          const answers = [];
          for (let i = 0; i < 64; i++) answers.push(await write(i, i % 2 ? F_FUA : 0));
          assert.deepEqual([...new Set(answers)], [0, -ENOSPC]);
          const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
          assert.ok(data.every((byte) => byte === 7));
          rmSync(path.join(mount, 'ballast'));
          assert.equal(await write(answers.indexOf(-ENOSPC), F_FUA), 0);
          assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
          await kit.close();
        } finally {
          spawnSync('umount', [mount]);
        }
      });
    }

    describe('of the simulated disk', () => {
      let host;
      const makeHost = simHost(async (h) => {
        host = h;
        h.disk.addDevice('vda', SIZE);
      });
      const write = (kit, flags = 0) => kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(4096, 1), flags });

      for (const cls of [AioBrick, BioBrick, SioBrick, FileBrick]) {
        it(`after a failed sync every flush of ${cls.name} fails until the brick was off`, async () => {
          const kit = await open(cls, { path: '/dev/vda' }, makeHost);
          await write(kit);
          host.disk.fault({ on: 'sync', errno: EIO, nth: 1, loses: true });
          assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
          assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO, 'the kernel has forgotten it; we must not');
          assert.equal((await write(kit, F_FUA)).err, -EIO);
          for (const step of ['release', 'press'])
            for (const name of step === 'press' ? ['brick', 'probe'] : ['probe', 'brick'])
              await kit.settle(kit.graph[step](name));
          assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
          await kit.close();
        });
      }

      it('errors of reads and writes are told per request, short transfers go on', async () => {
        const kit = await open(AioBrick, { path: '/dev/vda' }, makeHost);
        host.disk.fault({ on: ['read', 'write'], errno: EIO, nth: 1, times: 2 });
        assert.equal((await write(kit)).err, -EIO);
        assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 })).err, -EIO);
        // Once each, and of many sectors: a part of few may be none at all, and that is the end of the device.
        const faults = ['read', 'write'].map((on) => host.disk.fault({ on, short: true, nth: 1 }));
        const data = Buffer.alloc(65536, 9);
        assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data })).err, 0);
        const answer = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: data.length });
        assert.equal(Buffer.compare(answer.data, data), 0);
        assert.deepEqual(
          faults.map((fault) => fault.hits),
          [1, 1],
        );
        await kit.close();
      });
    });
  });

  describe('a loop device with 4 KiB sectors', () => {
    const backing = path.join(scratch, 'loop.img');
    let device = null;
    beforeEach(function () {
      makeImage(backing);
      device = tryCommand('losetup', '--find', '--show', '--sector-size', '4096', backing);
      if (device === null) this.skip();
    });
    afterEach(() => device && spawnSync('losetup', ['-d', device]));

    for (const [name, makeHost] of machines) {
      it(`is read, written, zeroed and trimmed by bio in whole sectors on ${name}`, async () => {
        const kit = await open(BioBrick, { path: device }, makeHost);
        const { cached } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
        assert.deepEqual([cached.size, cached.align], [SIZE, 4096]);
        assert.ok((await kit.answerOf({ op: 'read', posBytes: 512, lenBytes: 512 })).err < 0, 'misaligned');
        await readsBackAndZeroes(kit, 4096);
        await kit.close();
      });

      it(`takes any position through the page cache (aio) on ${name}`, async () => {
        const kit = await open(AioBrick, { path: device }, makeHost);
        await readsBackAndZeroes(kit, 4096);
        await readsBackAndZeroes(kit, 1000);
        await kit.close();
      });

      it(`is opened exclusively on ${name}: a second opener is told that it is in use`, async () => {
        const first = await open(BioBrick, { path: device }, makeHost);
        await assert.rejects(open(BioBrick, { path: device }, makeHost), /EBUSY/);
        await first.close();
        await (await open(BioBrick, { path: device }, makeHost)).close();
      });

      it(`shows its new size when somebody asks, on ${name}`, async () => {
        const kit = await open(BioBrick, { path: device }, makeHost);
        truncateSync(backing, 2 * SIZE);
        assert.notEqual(tryCommand('losetup', '-c', device), null);
        kit.brick.recheckSize();
        assert.equal(kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached.size, 2 * SIZE);
        const answer = await kit.answerOf({ op: 'write', posBytes: 2 * SIZE - 4096, data: Buffer.alloc(4096, 3) });
        assert.equal(answer.err, 0);
        await kit.close();
      });
    }
  });
});

async function open(cls, params, makeHost = realHost('auto')) {
  const kit = new BrickKit(cls, params, { makeHost });
  try {
    await kit.open();
    return kit;
  } catch (error) {
    await kit.close();
    throw error;
  }
}

/** `[position, length, type]` of every extent of the image. */
async function extents(kit) {
  const { data } = await kit.answerOf({ op: 'extents', posBytes: 0, lenBytes: SIZE });
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Array.from({ length: data.length / 24 }, (_, i) => [
    view.getFloat64(24 * i, true),
    view.getFloat64(24 * i + 8, true),
    view.getUint32(24 * i + 16, true),
  ]);
}

/** Writes four units, zeroes the second, trims the third; the others stay. */
async function readsBackAndZeroes(kit, unit) {
  const byteOf = (data, nr) => new Set(data.subarray(nr * unit, (nr + 1) * unit));
  const data = Buffer.alloc(4 * unit, 0x5a);
  assert.equal((await kit.answerOf({ op: 'write', posBytes: unit, data, flags: F_FUA })).err, 0);
  for (const [op, nr] of [
    ['zero', 1],
    ['trim', 2],
  ]) {
    const answer = await kit.answerOf({ op, posBytes: (1 + nr) * unit, lenBytes: unit, flags: F_FUA });
    assert.equal(answer.err, 0, op);
  }
  const answer = await kit.answerOf({ op: 'read', posBytes: unit, lenBytes: 4 * unit });
  assert.equal(answer.err, 0);
  assert.deepEqual(
    [0, 1, 3].map((nr) => [...byteOf(answer.data, nr)]),
    [[0x5a], [0], [0x5a]],
  );
}
