import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CAP_GROW, EXTENT_BYTES, XioInfo, type MarsError } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { OffsetBrick } from './offset.js';

async function failing(params: Record<string, unknown>, disk: Record<string, unknown>): Promise<MarsError> {
  const kit = new BrickKit(OffsetBrick, params, { disk });
  try {
    await kit.open();
  } catch (error) {
    return error as MarsError;
  }
  assert.fail('it started');
}

describe('OffsetBrick', () => {
  const kit = useBrickKit(OffsetBrick, { offset: '64K', size: '128K' }, { disk: { size: '256K' } });
  // A second window within the window would not fit.
  describeBrickConformance(kit, { insertable: false });

  it('touches nothing outside its window, whatever is written where', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(128 * 1024 - 1), fc.integer({ min: 1, max: 4096 }), async (posBytes, lenBytes) => {
        kit.disk.store.fill(0);
        const { err } = await kit.answerOf({ op: 'write', posBytes, data: new Uint8Array(lenBytes).fill(1) });
        const fits = posBytes + lenBytes <= 128 * 1024;
        assert.equal(err === 0, fits);
        const written = kit.disk.store.reduce((sum, byte) => sum + byte, 0);
        assert.equal(written, fits ? lenBytes : 0);
        if (fits) assert.equal(kit.disk.store[64 * 1024 + posBytes], 1);
      }),
      { numRuns: 100 },
    );
  });

  it('gives positions of extents as seen from above, cut at the end of the window', async () => {
    const { data } = await kit.answerOf({ op: 'extents', posBytes: 4096, lenBytes: 8192 });
    assert.equal(data.length, EXTENT_BYTES);
    const view = new DataView(data.buffer, data.byteOffset);
    assert.equal(view.getFloat64(0, true), 4096);
    assert.equal(view.getFloat64(8, true), 8192);
  });

  it('passes FLUSH on without a position', async () => {
    await kit.answerOf({ op: 'flush' });
    assert.deepEqual(kit.disk.seen.at(-1), { op: 'flush', posBytes: 0, lenBytes: 0, isFua: false });
  });

  it('offers the rest of the provider when no size is given, in whole blocks, and no better granularity than it has', async () => {
    const rest = new BrickKit(OffsetBrick, { offset: '1K' }, { disk: { size: 10 * 1024 + 100, align: 512 } });
    await rest.open();
    const info = new XioInfo();
    assert.equal(rest.brick.info(info), 0);
    assert.deepEqual([info.size, info.align, info.preferred], [9 * 1024, 512, 1024]);
    await rest.close();
  });

  it('does not let a window with a size grow', () => {
    const info = new XioInfo();
    kit.brick.info(info);
    assert.equal(info.caps & CAP_GROW, 0);
  });

  it('refuses an offset that no aligned request can reach', async () => {
    const error = await failing({ offset: 512 }, { align: 4096 });
    assert.match(error.message, /no multiple of 4096/);
  });

  it('refuses a window that does not fit', async () => {
    assert.match((await failing({ offset: '512K', size: '1M' }, {})).message, /does not fit/);
    assert.match((await failing({ offset: '2M' }, {})).message, /does not fit/);
  });

  it('follows a change of its size while requests pass through it', async () => {
    const kit = new BrickKit(OffsetBrick, { offset: '64K', size: '128K' }, { disk: { size: '1M' } });
    await kit.open();
    assert.notEqual((await kit.answerOf({ op: 'write', posBytes: 128 * 1024, data: 'x' })).err, 0);
    kit.graph.setParam('brick', 'size', 256 * 1024);
    assert.equal((await kit.answerOf({ op: 'write', posBytes: 128 * 1024, data: 'x' })).err, 0);
    assert.equal(kit.disk.store[192 * 1024], 'x'.charCodeAt(0));
    await kit.close();
  });
});
