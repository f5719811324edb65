import assert from 'node:assert/strict';
import {
  EAGAIN,
  EINVAL,
  EIO,
  ENOSPC,
  EOPNOTSUPP,
  EXTENT_BYTES,
  F_FAST,
  F_FUA,
  F_MAY_TRIM,
  RING_DSYNC,
  RING_FALLOCATE,
  RING_FSYNC,
  RING_INLINE,
  RING_READ,
  RING_WRITE,
  type Files,
} from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit, type ProbeRequest } from '@mars/brick-core/testing';
import { AioBrick } from '../aio/aio.js';
import { INLINE_WRITE_BYTES, PIECE_BYTES } from '../limits.js';
import { MemoryFile, fileOf, scriptedHost } from '../testing/scripted-machine.test.kit.js';

const SIZE = 2 ** 20;
const block = (byte: number, lenBytes = 4096): Uint8Array => new Uint8Array(lenBytes).fill(byte);

/** An `aio` over the scripted ring, open for one test. */
async function open(
  params: Record<string, unknown> = {},
  { sizeBytes = SIZE, tags = 1024, ...facts }: Partial<MemoryFile> & { sizeBytes?: number; tags?: number } = {},
) {
  const host = scriptedHost({ tags }, fileOf(sizeBytes, facts));
  const kit = new BrickKit(AioBrick, { path: '/f', ...params }, { makeHost: host.makeHost });
  await kit.open();
  const { ring, files } = host.machine();
  opened.push(kit);
  return {
    kit,
    ring,
    files,
    file: files.byPath.get('/f')!,
    errOf: async (r: ProbeRequest) => (await kit.answerOf(r)).err,
  };
}

const opened: BrickKit[] = [];
afterEach(async () => {
  for (const kit of opened.splice(0)) await kit.close();
});

describe('RingEnd, on a scripted ring', () => {
  const { makeHost } = scriptedHost({}, fileOf(SIZE));
  describeBrickConformance(useBrickKit(AioBrick, { path: '/f' }, { makeHost }), { requests: 100 });

  describe('transfers', () => {
    it('a short read goes on with the rest', async () => {
      const { kit, ring, file } = await open();
      file.store.set(block(7));
      const seen = ring.record();
      ring.script(RING_READ, 1000, 96);
      const { err, data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
      assert.deepEqual([err, data], [0, block(7)]);
      assert.deepEqual(
        seen.map((op) => [op.posBytes, op.lenBytes]),
        [
          [0, 4096],
          [1000, 3096],
          [1096, 3000],
        ],
      );
    });

    it('a short write goes on with the rest', async () => {
      const { ring, file, errOf } = await open();
      ring.script(RING_WRITE, 512, 1);
      assert.equal(await errOf({ op: 'write', posBytes: 8192, data: block(3) }), 0);
      assert.deepEqual(file.store.slice(8192, 8192 + 4096), block(3));
    });

    it('an error is answered to its own request, and changes nothing for others', async () => {
      const { ring, errOf } = await open();
      ring.script(RING_READ, -EIO);
      ring.script(RING_WRITE, -ENOSPC);
      assert.equal(await errOf({ op: 'read', posBytes: 0, lenBytes: 512 }), -EIO);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x' }), -ENOSPC);
      assert.equal(await errOf({ op: 'read', posBytes: 0, lenBytes: 512 }), 0);
      assert.equal(await errOf({ op: 'flush' }), 0);
    });

    it('a fixed file that lost its tail is an error, not a short read', async () => {
      const { file, errOf } = await open({ grow: false });
      file.resize(SIZE - 4096);
      assert.equal(await errOf({ op: 'read', posBytes: SIZE - 4096, lenBytes: 4096 }), -EIO);
    });

    it('a request of no bytes succeeds', async () => {
      const { errOf } = await open();
      for (const op of ['read', 'write', 'trim', 'zero', 'cache'] as const)
        assert.equal(await errOf({ op, posBytes: 512, lenBytes: 0 }), 0, op);
    });

    it('what the kernel has no means for now (EAGAIN) is tried again', async () => {
      const { kit, ring, errOf } = await open();
      ring.script(RING_WRITE, -EAGAIN, -EAGAIN);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x' }), 0);
      assert.equal(kit.brick.stats.counter('tried_again').n, 2);
    });

    it('with room for two operations in the ring, fifty requests and a flush are served, in order', async () => {
      const { kit, ring, errOf } = await open({}, { tags: 2 });
      const seen = ring.record();
      let answered = 0;
      for (let i = 0; i < 50; i++)
        kit.probe.send({ op: 'write', posBytes: i * 4096, data: block(i) }, () => answered++);
      assert.equal(await errOf({ op: 'flush' }), 0);
      await kit.runFor(1);
      assert.equal(answered, 50);
      const writes = seen.filter((op) => op.code === RING_WRITE).map((op) => op.posBytes / 4096);
      assert.deepEqual(
        writes,
        Array.from({ length: 50 }, (_, i) => i),
      );
    });
  });

  describe('growing', () => {
    it('a read at the end is short, beyond it empty', async () => {
      const { kit } = await open({}, { sizeBytes: 700 });
      const lens = [];
      for (const posBytes of [512, 700, 5000])
        lens.push((await kit.answerOf({ op: 'read', posBytes, lenBytes: 512 })).lenBytes);
      assert.deepEqual(lens, [188, 0, 0]);
    });

    it('with direct I/O too, where only whole blocks are asked for', async () => {
      const { kit, ring } = await open({ direct: true }, { sizeBytes: 700, alignBytes: 512 });
      const seen = ring.record();
      const { err, lenBytes } = await kit.answerOf({ op: 'read', posBytes: 512, lenBytes: 1024 });
      assert.deepEqual([err, lenBytes], [0, 188]);
      assert.ok(seen.every((op) => (op.posBytes | op.lenBytes) % 512 === 0));
    });

    it('a failed write beyond the end leaves the size as it is', async () => {
      const { kit, ring, errOf } = await open({}, { sizeBytes: 512 });
      ring.script(RING_WRITE, -ENOSPC);
      assert.equal(await errOf({ op: 'write', posBytes: 100_000, data: 'x' }), -ENOSPC);
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 600, lenBytes: 10 })).lenBytes, 0);
    });

    it('consumers are told the new size', async () => {
      const { kit, errOf } = await open({}, { sizeBytes: 512 });
      await errOf({ op: 'write', posBytes: 512, data: block(1) });
      await kit.runFor(1);
      assert.equal(kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 }).cached.size, 4608);
    });

    it('a new file gets the size that was asked for, and is durable with its name before it is used', async () => {
      const host = scriptedHost();
      const kit = new BrickKit(AioBrick, { path: '/new', create: true, size: '64K' }, { makeHost: host.makeHost });
      await kit.open();
      assert.equal(host.machine().files.byPath.get('/new')!.store.length, 65536);
      assert.ok(host.machine().files.syncs >= 2);
      await kit.close();
      assert.equal(host.machine().files.byPath.get('/new')!.opened, 0);
    });
  });

  describe('durability', () => {
    it('flushes that wait share one sync; one that comes while it runs waits for the next', async () => {
      const { kit, ring } = await open();
      const seen = ring.record();
      const order: string[] = [];
      ring.hold();
      for (const name of ['a', 'b']) kit.probe.send({ op: 'flush' }, () => order.push(name));
      kit.run();
      kit.probe.send({ op: 'flush' }, () => order.push('late'));
      kit.run();
      assert.equal(seen.length, 1);
      ring.letGo();
      kit.run();
      assert.deepEqual(order, ['a', 'b', 'late']);
      assert.equal(seen.filter((op) => op.code === RING_FSYNC).length, 2);
    });

    it('a FUA write is durable by itself with fdatasync, by a sync with fsync', async () => {
      for (const [sync, flags, syncs] of [
        ['fdatasync', RING_DSYNC, 0],
        ['fsync', RING_INLINE, 1],
      ]) {
        const { ring, file, errOf } = await open({ sync });
        const seen = ring.record();
        assert.equal(await errOf({ op: 'write', posBytes: 0, data: block(9), flags: F_FUA }), 0);
        assert.deepEqual(file.durable.slice(0, 4096), block(9));
        assert.equal(seen[0]!.flags, flags);
        assert.equal(seen.filter((op) => op.code === RING_FSYNC).length, syncs);
      }
    });

    it('only short writes through the page cache may be done by the thread of the ring', async () => {
      for (const [params, lenBytes, flags] of [
        [{}, 4096, RING_INLINE],
        [{}, INLINE_WRITE_BYTES + 4096, 0],
        [{ direct: true }, 4096, 0],
      ] as const) {
        const { ring, errOf } = await open(params);
        const seen = ring.record();
        assert.equal(await errOf({ op: 'write', posBytes: 0, data: block(1, lenBytes) }), 0);
        assert.equal(seen[0]!.flags, flags);
      }
    });

    it('FUA zeroes and trims are durable when they are answered, also when zeroes must be written', async () => {
      for (const refused of [false, true]) {
        const { ring, file, errOf } = await open({}, { sizeBytes: 65536 });
        await errOf({ op: 'write', posBytes: 0, data: block(1), flags: F_FUA });
        if (refused) ring.script(RING_FALLOCATE, -EOPNOTSUPP);
        assert.equal(await errOf({ op: 'zero', posBytes: 0, lenBytes: 4096, flags: F_FUA }), 0);
        assert.deepEqual(file.durable.slice(0, 4096), block(0));
      }
    });

    it('after a failed sync every flush and FUA fails, until the brick was off', async () => {
      const { kit, ring, errOf } = await open();
      ring.script(RING_FSYNC, -EIO);
      assert.equal(await errOf({ op: 'flush' }), -EIO);
      assert.equal(await errOf({ op: 'flush' }), -EIO);
      for (const op of ['write', 'zero', 'trim'] as const)
        assert.equal(await errOf({ op, posBytes: 0, lenBytes: 512, flags: F_FUA }), -EIO, op);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x' }), 0, 'a plain write promises nothing');
      await kit.settle(kit.graph.release('probe'));
      await kit.settle(kit.graph.release('brick'));
      await kit.settle(kit.graph.press('brick'));
      await kit.settle(kit.graph.press('probe'));
      assert.equal(await errOf({ op: 'flush' }), 0);
    });

    it('flushes that waited behind a failed sync fail with it', async () => {
      const { kit, ring } = await open();
      const errors: number[] = [];
      ring.script(RING_FSYNC, -EIO);
      ring.hold();
      kit.probe.send({ op: 'flush' }, (a) => errors.push(a.err));
      kit.run();
      kit.probe.send({ op: 'flush' }, (a) => errors.push(a.err));
      kit.run();
      ring.letGo();
      kit.run();
      assert.deepEqual(errors, [-EIO, -EIO]);
    });

    it('a durable write that fails counts as a failed sync: it may have been told about older data', async () => {
      const { ring, errOf } = await open();
      ring.script(RING_WRITE, -EIO);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA }), -EIO);
      assert.equal(await errOf({ op: 'flush' }), -EIO);
    });

    it('a durable write without space does not, when the plain write has none either', async () => {
      const { ring, errOf } = await open();
      ring.script(RING_WRITE, -ENOSPC, -ENOSPC);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA }), -ENOSPC);
      assert.equal(await errOf({ op: 'flush' }), 0);
      ring.script(RING_WRITE, -ENOSPC);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA }), -ENOSPC);
      assert.equal(
        await errOf({ op: 'flush' }),
        -ENOSPC,
        'the plain write worked, so it was older data that had no space',
      );
    });

    it('without sync a flush does nothing', async () => {
      const { ring, errOf } = await open({ sync: 'none' });
      const seen = ring.record();
      assert.equal(await errOf({ op: 'flush' }), 0);
      assert.equal(await errOf({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA }), 0);
      assert.deepEqual(
        seen.map((op) => [op.code, op.flags]),
        [[RING_WRITE, RING_INLINE]],
      );
    });
  });

  describe('trim, zero, extents, cache', () => {
    it('a file system without holes: the trim is a hint, and is not advertised any more', async () => {
      const { kit, ring, errOf } = await open();
      ring.script(RING_FALLOCATE, -EOPNOTSUPP);
      assert.equal(await errOf({ op: 'trim', posBytes: 0, lenBytes: 4096 }), 0);
      assert.equal(kit.advertised.includes('trim'), false);
      assert.equal(kit.advertised.includes('zero'), true);
    });

    it('a file system that cannot zero: zeroes are written, in pieces, and never what was read ahead', async () => {
      const { ring, file, errOf } = await open();
      file.store.fill(0xee);
      await errOf({ op: 'cache', posBytes: 0, lenBytes: 200_000 });
      ring.script(RING_FALLOCATE, -EOPNOTSUPP);
      const seen = ring.record();
      assert.equal(await errOf({ op: 'zero', posBytes: 4096, lenBytes: 2 * PIECE_BYTES + 512 }), 0);
      assert.ok(file.store.subarray(4096, 4096 + 2 * PIECE_BYTES + 512).every((byte) => byte === 0));
      assert.equal(file.store[4095], 0xee);
      assert.equal(file.store[4096 + 2 * PIECE_BYTES + 512], 0xee);
      assert.equal(seen.filter((op) => op.code === RING_WRITE).length, 3);
    });

    it('then a fast zero is refused', async () => {
      const { ring, errOf } = await open();
      ring.script(RING_FALLOCATE, -EOPNOTSUPP);
      assert.equal(await errOf({ op: 'zero', posBytes: 0, lenBytes: 512, flags: F_FAST }), -EOPNOTSUPP);
      assert.equal(await errOf({ op: 'zero', posBytes: 0, lenBytes: 512, flags: F_FAST }), -EOPNOTSUPP);
    });

    it('zero with leave to trim punches, and falls back twice', async () => {
      const { ring, file, errOf } = await open();
      file.store.fill(1);
      const seen = ring.record();
      ring.script(RING_FALLOCATE, -EOPNOTSUPP, -EOPNOTSUPP);
      assert.equal(await errOf({ op: 'zero', posBytes: 0, lenBytes: 512, flags: F_MAY_TRIM }), 0);
      assert.deepEqual(
        seen.map((op) => op.code),
        [RING_FALLOCATE, RING_FALLOCATE, RING_WRITE],
      );
      assert.equal(file.store[511], 0);
    });

    it('a device that does not zero a part of a sector gets zeroes written, and keeps the fast way for others', async () => {
      const { kit, ring, file, errOf } = await open({}, { isBlockDevice: true });
      file.store.fill(1);
      ring.script(RING_FALLOCATE, -EINVAL);
      assert.equal(await errOf({ op: 'zero', posBytes: 100, lenBytes: 100 }), 0);
      assert.deepEqual([file.store[99], file.store[100], file.store[199], file.store[200]], [1, 0, 0, 1]);
      ring.script(RING_FALLOCATE, -EINVAL);
      assert.equal(await errOf({ op: 'trim', posBytes: 100, lenBytes: 100 }), 0);
      assert.ok(kit.advertised.includes('trim') && kit.advertised.includes('zero'));
    });

    it('a device without discard zeroes, but not fast', async () => {
      const { kit, errOf } = await open({}, { isBlockDevice: true, canDiscard: false });
      assert.equal(kit.advertised.includes('trim'), false);
      assert.equal(await errOf({ op: 'zero', posBytes: 0, lenBytes: 512, flags: F_FAST }), -EOPNOTSUPP);
      assert.equal(await errOf({ op: 'zero', posBytes: 0, lenBytes: 512 }), 0);
    });

    it('extents are those of the file', async () => {
      const { kit } = await open();
      const { data } = await kit.answerOf({ op: 'extents', posBytes: 4096, lenBytes: 8192 });
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      assert.equal(data.length, 2 * EXTENT_BYTES);
      assert.deepEqual(
        [0, 8, EXTENT_BYTES, EXTENT_BYTES + 8].map((at) => view.getFloat64(at, true)),
        [4096, 4096, 8192, 4096],
      );
      assert.deepEqual([view.getUint32(16, true), view.getUint32(EXTENT_BYTES + 16, true)], [0, 3]);
    });

    it('reading ahead that fails is no error', async () => {
      const { ring, errOf } = await open();
      ring.script(RING_READ, -EIO);
      assert.equal(await errOf({ op: 'cache', posBytes: 0, lenBytes: 4096 }), 0);
    });
  });

  describe('size', () => {
    it('of a device is looked at again in every round', async () => {
      const { kit, file } = await open({}, { isBlockDevice: true });
      file.resize(2 * SIZE);
      const { cached } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
      assert.equal(cached.size, SIZE);
      kit.graph.round();
      assert.equal(cached.size, 2 * SIZE);
    });

    it('a read-only end offers no change', async () => {
      const { kit } = await open({ readonly: true });
      assert.deepEqual(kit.advertised, ['read', 'extents', 'cache']);
    });
  });

  it('refuses a loop without a ring, and says which brick needs none', async () => {
    const kit = new BrickKit(AioBrick, { path: '/f' }, { files: {} as Files });
    await assert.rejects(
      kit.open(),
      (error: Error & { hint?: string }) => /needs a ring/.test(error.message) && /"file"/.test(error.hint!),
    );
    await kit.close();
  });
});
