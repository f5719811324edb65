import assert from 'node:assert/strict';
import { ENOSPC, EOPNOTSUPP, EXTENT_BYTES, F_FAST, type Files } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { RamBrick } from './ram.js';

interface Extent {
  posBytes: number;
  lenBytes: number;
  type: number;
}

function extentsOf(data: Uint8Array): Extent[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Array.from({ length: data.length / EXTENT_BYTES }, (_, i) => ({
    posBytes: view.getFloat64(i * EXTENT_BYTES, true),
    lenBytes: view.getFloat64(i * EXTENT_BYTES + 8, true),
    type: view.getUint32(i * EXTENT_BYTES + 16, true),
  }));
}

describe('RamBrick', () => {
  const kit = useBrickKit(RamBrick, { size: '1M' });

  describeBrickConformance(kit);
  describe('that grows', () => describeBrickConformance(useBrickKit(RamBrick, { size: '1M', grow: true })));
  describe('filled with the pattern', () =>
    describeBrickConformance(useBrickKit(RamBrick, { size: '1M', fill: 'pattern' })));

  it('keeps its contents while it is off', async () => {
    await kit.answerOf({ op: 'write', posBytes: 100, data: 'kept' });
    await kit.settle(kit.graph.release('probe'));
    await kit.settle(kit.graph.release('brick'));
    await kit.pressAll();
    const { data } = await kit.answerOf({ op: 'read', posBytes: 100, lenBytes: 4 });
    assert.equal(Buffer.from(data).toString(), 'kept');
  });

  it('behaves like an array of bytes under any mix of writes, zeroes and reads, at any alignment', async () => {
    for (const fill of ['zero', 'pattern']) await behavesLikeBytes({ size: '1M', fill });
  });

  describe('that is sparse', () => {
    const huge = useBrickKit(RamBrick, { size: '4T' });

    it('takes memory only for pages that were written, and gives it back at TRIM and ZERO', async () => {
      for (const posBytes of [0, 2 ** 31 + 4096, 2 ** 41]) await huge.answerOf({ op: 'write', posBytes, data: 'x' });
      assert.equal(huge.brick.allocatedBytes, 3 * 4096);
      await huge.answerOf({ op: 'trim', posBytes: 2 ** 41, lenBytes: 65_536 });
      assert.equal(huge.brick.allocatedBytes, 2 * 4096);
      await huge.answerOf({ op: 'zero', posBytes: 0, lenBytes: 2 ** 32 });
      assert.equal(huge.brick.allocatedBytes, 0);
      assert.deepEqual([...(await huge.answerOf({ op: 'read', posBytes: 0, lenBytes: 1 })).data], [0]);
    });

    it('reports as extents exactly the pages that are allocated', async () => {
      await huge.answerOf({ op: 'write', posBytes: 2 ** 40 + 8191, data: 'xy' });
      const { data } = await huge.answerOf({ op: 'extents', posBytes: 100, lenBytes: 2 ** 41 });
      assert.deepEqual(extentsOf(data), [
        { posBytes: 100, lenBytes: 2 ** 40 + 4096 - 100, type: 3 },
        { posBytes: 2 ** 40 + 4096, lenBytes: 8192, type: 0 },
        { posBytes: 2 ** 40 + 12_288, lenBytes: 2 ** 41 + 100 - (2 ** 40 + 12_288), type: 3 },
      ]);
    });

    it('stops at a full payload, and goes on from there when it is asked again', async () => {
      for (let i = 0; i < 200; i++) await huge.answerOf({ op: 'write', posBytes: i * 8192, data: 'x' });
      const found: Extent[] = [];
      for (let posBytes = 0; posBytes < 200 * 8192;) {
        const { data } = await huge.answerOf({ op: 'extents', posBytes, lenBytes: 200 * 8192 - posBytes });
        found.push(...extentsOf(data));
        posBytes = found.at(-1)!.posBytes + found.at(-1)!.lenBytes;
      }
      assert.equal(found.filter((e) => e.type === 0).length, 200);
      assert.equal(found.length, 400);
    });
  });

  describe('that grows by writes', () => {
    const file = useBrickKit(RamBrick, { size: '64K', grow: true });

    it('starts empty, serves short at the end, and nothing behind it', async () => {
      assert.equal((await file.answerOf({ op: 'read', posBytes: 0, lenBytes: 10 })).lenBytes, 0);
      await file.answerOf({ op: 'write', posBytes: 5, data: 'abc' });
      const short = await file.answerOf({ op: 'read', posBytes: 4, lenBytes: 100 });
      assert.equal(short.err, 0);
      assert.equal(Buffer.from(short.data).toString(), '\0abc');
      const behind = await file.answerOf({ op: 'read', posBytes: 8, lenBytes: 10 });
      assert.deepEqual([behind.err, behind.lenBytes], [0, 0]);
    });

    it('answers ENOSPC beyond its size and stays as it was', async () => {
      await file.answerOf({ op: 'write', posBytes: 65_530, data: '123456' });
      assert.equal((await file.answerOf({ op: 'write', posBytes: 65_530, data: '1234567' })).err, -ENOSPC);
      assert.equal((await file.answerOf({ op: 'read', posBytes: 65_530, lenBytes: 100 })).lenBytes, 6);
    });
  });

  describe('with a pattern', () => {
    const patterned = useBrickKit(RamBrick, { size: '1M', fill: 'pattern' });

    it('holds positions until something is written', async () => {
      const { data } = await patterned.answerOf({ op: 'read', posBytes: 65_536 * 3 + 16, lenBytes: 8 });
      assert.deepEqual([...data], [16, 0, 3, 0, 0, 0, 0, 0]);
    });

    it('refuses a fast ZERO, which would have to store zeroes', async () => {
      const fast = await patterned.answerOf({ op: 'zero', posBytes: 0, lenBytes: 4096, flags: F_FAST });
      assert.equal(fast.err, -EOPNOTSUPP);
    });
  });

  describe('with an image', () => {
    it('loads the file at the start and saves it at the stop', async () => {
      const files = new Map<string, Uint8Array>([['/disk.img', Uint8Array.of(1, 2, 3)]]);
      const kit = new BrickKit(RamBrick, { size: '16K', image: '/disk.img' }, { files: memoryFiles(files) });
      await kit.open();
      assert.deepEqual([...(await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4 })).data], [1, 2, 3, 0]);
      await kit.answerOf({ op: 'write', posBytes: 10_000, data: 'end' });
      await kit.close();
      const saved = files.get('/disk.img')!;
      assert.equal(saved.length, 16_384);
      assert.deepEqual([...saved.subarray(0, 4)], [1, 2, 3, 0]);
      assert.equal(Buffer.from(saved.subarray(10_000, 10_003)).toString(), 'end');
    });

    it('keeps the length of a growing file', async () => {
      const files = new Map<string, Uint8Array>();
      const kit = new BrickKit(RamBrick, { size: '16K', grow: true, image: '/log' }, { files: memoryFiles(files) });
      await kit.open();
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'one record' });
      await kit.settle(kit.graph.release('probe'));
      await kit.settle(kit.graph.release('brick'));
      assert.equal(files.get('/log')!.length, 10);
      await kit.pressAll();
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 100 })).lenBytes, 10);
      await kit.close();
    });

    it('does not start when the image is larger than its size', async () => {
      const files = new Map([['/disk.img', new Uint8Array(5000)]]);
      const kit = new BrickKit(RamBrick, { size: '4K', image: '/disk.img' }, { files: memoryFiles(files) });
      await assert.rejects(kit.open(), /image \/disk.img has 5000 bytes/);
      await kit.close();
    });

    it('says so when the host has no files', async () => {
      const kit = new BrickKit(RamBrick, { image: '/disk.img' });
      await assert.rejects(kit.open(), /this host has no files/);
      await kit.close();
    });
  });
});

type Step = { op: 'write' | 'zero' | 'read'; posBytes: number; lenBytes: number; byte: number };

async function behavesLikeBytes(params: Record<string, unknown>): Promise<void> {
  const sizeBytes = 2 ** 20;
  const step = fc
    .record({
      op: fc.constantFrom<Step['op'][]>('write', 'zero', 'read'),
      posBytes: fc.integer({ min: 0, max: 300_000 }),
      lenBytes: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 300_000 })),
      byte: fc.integer({ min: 1, max: 255 }),
      isAligned: fc.boolean(),
    })
    .map(({ isAligned, ...s }) =>
      isAligned ? { ...s, posBytes: s.posBytes & -4096, lenBytes: (s.lenBytes & -4096) + 4096 } : s,
    );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const kit = new BrickKit(RamBrick, params);
      await kit.open();
      const model = (await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: sizeBytes })).data;
      for (const { op, posBytes, lenBytes, byte } of steps) {
        const data = new Uint8Array(lenBytes).fill(byte);
        if (op === 'write') {
          await kit.answerOf({ op, posBytes, data });
          model.set(data, posBytes);
        } else if (op === 'zero') {
          await kit.answerOf({ op, posBytes, lenBytes });
          model.fill(0, posBytes, posBytes + lenBytes);
        } else {
          const answer = await kit.answerOf({ op, posBytes, lenBytes });
          assert.ok(Buffer.compare(answer.data, model.subarray(posBytes, posBytes + lenBytes)) === 0, 'bytes differ');
        }
      }
      const all = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: sizeBytes });
      assert.ok(Buffer.compare(all.data, model) === 0, 'bytes differ at the end');
      await kit.close();
    }),
    { numRuns: 40 },
  );
}

function memoryFiles(files: Map<string, Uint8Array>): Files {
  return {
    readFile: (path: string) => files.get(path) ?? null,
    writeFile: (path: string, data: Uint8Array) => void files.set(path, data),
  } as unknown as Files;
}
