import assert from 'node:assert/strict';
import { EIO, ENOSPC, ETIME } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit, type ProbeRequest } from '@mars/brick-core/testing';
import fc from 'fast-check';
import { RamBrick } from '../ram/ram.js';
import { ErrorBrick } from './error.js';

describe('ErrorBrick', () => {
  describe('with nothing to inject', () => {
    const kit = useBrickKit(ErrorBrick);
    describeBrickConformance(kit);
  });

  describe('with errors of all kinds', () => {
    const often = { rate: 0.05, errno: 'EIO' };
    const all = { read: often, write: often, flush: often, trim: often, zero: often, torn: 0.05, seed: 3 };
    const kit = useBrickKit(ErrorBrick, all);

    describeBrickConformance(kit, { toleratedErrors: [-EIO] });
  });

  describe('with silent corruption', () => {
    const kit = useBrickKit(ErrorBrick, { flip: 0.5 });
    // A corrupted write borrows a block, and the debug arena makes a record per block; see below for flips without borrowing.
    describeBrickConformance(kit, { data: 'none', allocationFree: false });

    it('flips exactly one bit of what is stored and leaves the payload of the writer alone', async () => {
      kit.graph.setParam('brick', 'flip', 1);
      const data = new Uint8Array(5000).fill(0x5a);
      // The probe checks that its payload came back as it was.
      await kit.answerOf({ op: 'write', posBytes: 100, data });
      assert.equal(bitsThatDiffer(kit.disk.store.subarray(100, 5100), data), 1);
      assert.equal(kit.brick.stats.snapshot().counters.flipped, 1);
    });

    it('flips one bit of what is read and leaves the disk alone', async () => {
      kit.graph.setParam('brick', 'flip', 1);
      const { data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
      assert.equal(bitsThatDiffer(data, new Uint8Array(512)), 1);
      assert.ok(kit.disk.store.every((byte) => byte === 0));
    });
  });

  describe('with flips of reads only', () => {
    const kit = useBrickKit(ErrorBrick, { flip: 1, flipOn: 'read' });
    describeBrickConformance(kit, { data: 'none' });

    it('stores what was written', async () => {
      await kit.answerOf({ op: 'write', posBytes: 0, data: 'intact' });
      assert.equal(Buffer.from(kit.disk.store.subarray(0, 6)).toString(), 'intact');
    });
  });

  describe('with an error of its own for each operation', () => {
    const kit = useBrickKit(ErrorBrick, {
      write: { rate: 1, errno: 'ENOSPC', after: 2, count: 3 },
      flush: { rate: 1, errno: 'ETIME', applied: true },
      read: { rate: 1, range: '4K-8K' },
    });

    it('lets the first ones pass, fails as many as it was told, and then lets pass again', async () => {
      const errs: number[] = [];
      for (let i = 0; i < 7; i++) errs.push((await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' })).err);
      assert.deepEqual(errs, [0, 0, -ENOSPC, -ENOSPC, -ENOSPC, 0, 0]);
      assert.equal(kit.disk.seen.length, 4, 'a failed write must not reach the disk');
      assert.equal(kit.brick.stats.snapshot().counters.writeErrors, 3);
    });

    it('carries a request out and fails it nevertheless when the error is "applied"', async () => {
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -ETIME);
      assert.deepEqual(
        kit.disk.seen.map((seen) => seen.op),
        ['flush'],
      );
    });

    it('fails only requests that touch the range', async () => {
      const errOf = async (posBytes: number, lenBytes: number): Promise<number> =>
        (await kit.answerOf({ op: 'read', posBytes, lenBytes })).err;
      assert.deepEqual([await errOf(0, 4096), await errOf(8192, 512)], [0, 0]);
      assert.deepEqual([await errOf(0, 4097), await errOf(8191, 1), await errOf(5000, 1)], [-EIO, -EIO, -EIO]);
    });

    it('injects nothing while it is not armed', async () => {
      kit.graph.setParam('brick', 'armed', false);
      assert.equal((await kit.answerOf({ op: 'flush' })).err, 0);
    });

    it('refuses an empty range', () => {
      assert.throws(() => kit.graph.setParam('brick', 'read', { rate: 1, range: '8K-4K' }), /range "8K-4K" is empty/);
    });
  });

  describe('told to fail the Nth request', () => {
    const kit = useBrickKit(ErrorBrick);

    it('fails exactly that one, of whatever kind, counted from the moment when it was told', async () => {
      const work: ProbeRequest[] = [
        { op: 'write', posBytes: 0, data: 'x' },
        { op: 'flush' },
        { op: 'read', posBytes: 0, lenBytes: 1 },
        { op: 'trim', posBytes: 0, lenBytes: 4096 },
      ];
      for (let nth = 1; nth <= work.length; nth++) {
        kit.graph.setParam('brick', 'nth', nth);
        const errs: number[] = [];
        for (const request of work) errs.push((await kit.answerOf(request)).err);
        assert.deepEqual(
          errs,
          work.map((_, i) => (i + 1 === nth ? -EIO : 0)),
        );
      }
    });
  });

  describe('with torn writes', () => {
    const kit = useBrickKit(ErrorBrick, { torn: 1, errno: 'ETIME' });

    it('writes a prefix of whole sectors, then answers an error', async () => {
      const lengths = new Set<number>();
      const range = fc.record({
        posBytes: fc.integer({ min: 0, max: 5000 }),
        lenBytes: fc.integer({ min: 1, max: 5000 }),
      });
      await fc.assert(
        fc.asyncProperty(range, async ({ posBytes, lenBytes }) => {
          kit.disk.store.fill(0);
          const data = new Uint8Array(lenBytes).fill(1);
          const { err } = await kit.answerOf({ op: 'write', posBytes, data });
          const written = kit.disk.store.reduce((sum, byte) => sum + byte, 0);
          assert.ok(
            kit.disk.store.subarray(posBytes, posBytes + written).every((byte) => byte === 1),
            'not a prefix',
          );
          const isWithinOneSector = Math.floor(posBytes / 512) === Math.floor((posBytes + lenBytes - 1) / 512);
          if (isWithinOneSector) assert.deepEqual([err, written], [0, lenBytes]);
          else {
            assert.equal(err, -ETIME);
            assert.ok(written < lenBytes);
            assert.ok(written === 0 || (posBytes + written) % 512 === 0, 'a sector was torn');
            lengths.add(written);
          }
        }),
        { numRuns: 200 },
      );
      assert.ok(lengths.has(0) && lengths.size > 5, 'the tears should differ');
    });
  });

  describe('with short reads', () => {
    const params = { short: 1 };

    it('leaves reads of a device alone', async () => {
      const kit = new BrickKit(ErrorBrick, params);
      await kit.open();
      assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 })).lenBytes, 4096);
      await kit.close();
    });

    it('shortens reads of a growing file, never to nothing', async () => {
      const kit = new BrickKit(ErrorBrick, params, { bricks: [RamBrick] });
      await kit.open();
      await onGrowingFile(kit);
      await kit.answerOf({ op: 'write', posBytes: 0, data: new Uint8Array(4096).fill(7) });
      const lengths = new Set<number>();
      for (let i = 0; i < 20; i++) {
        const { err, data } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
        assert.equal(err, 0);
        assert.ok(data.length > 0 && data.length < 4096);
        assert.ok(data.every((byte) => byte === 7));
        lengths.add(data.length);
      }
      assert.ok(lengths.size > 10);
      await kit.close();
    });

    it('shortens reads of a device when it is told to break the contract', async () => {
      const kit = new BrickKit(ErrorBrick, { ...params, shortOn: 'any' }, { disk: { align: 512 } });
      await kit.open();
      const { err, lenBytes } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 4096 });
      assert.equal(err, 0);
      assert.ok(lenBytes > 0 && lenBytes < 4096 && lenBytes % 512 === 0);
      await kit.close();
    });
  });

  it('gives the same faults for the same seed, and others for another', async () => {
    const run = async (seed: number): Promise<string> => {
      const kit = new BrickKit(ErrorBrick, { read: { rate: 0.3 }, seed });
      await kit.open();
      let errs = '';
      for (let i = 0; i < 64; i++) {
        const { err } = await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 1 });
        errs += err < 0 ? 'x' : '.';
      }
      await kit.close();
      return errs;
    };
    assert.equal(await run(1), await run(1));
    assert.notEqual(await run(1), await run(2));
  });
});

function bitsThatDiffer(a: Uint8Array, b: Uint8Array): number {
  let n = 0;
  for (let i = 0; i < a.length; i++) for (let x = a[i]! ^ b[i]!; x !== 0; x &= x - 1) n++;
  return n;
}

/** Puts a growing file below the brick of a kit instead of the memory disk. */
async function onGrowingFile(kit: BrickKit<ErrorBrick>): Promise<void> {
  kit.graph.add('file', 'ram', { grow: true });
  await kit.settle(kit.graph.press('file'));
  await kit.settle(kit.graph.swap({ consumer: 'brick', input: 'next', nr: 0 }, 'file'));
}
