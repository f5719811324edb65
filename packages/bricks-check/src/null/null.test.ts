import assert from 'node:assert/strict';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { EXTENT_HOLE, EXTENT_ZERO } from '@mars/brick-core';
import { NullBrick } from './null.js';

describe('NullBrick', () => {
  const kit = useBrickKit(NullBrick, { size: '8G' });

  describeBrickConformance(kit, { data: 'none' });

  it('reads zeroes where something was written', async () => {
    await kit.answerOf({ op: 'write', posBytes: 2 ** 32, data: 'gone' });
    const { data } = await kit.answerOf({ op: 'read', posBytes: 2 ** 32, lenBytes: 4 });
    assert.deepEqual([...data], [0, 0, 0, 0]);
  });

  it('is one hole', async () => {
    const { data } = await kit.answerOf({ op: 'extents', posBytes: 4096, lenBytes: 2 ** 32 });
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    assert.equal(data.length, 24);
    assert.equal(view.getFloat64(0, true), 4096);
    assert.equal(view.getFloat64(8, true), 2 ** 32);
    assert.equal(view.getUint32(16, true), EXTENT_HOLE | EXTENT_ZERO);
  });

  it('takes as long as its latency says, which may change while it is on', () => {
    const order: string[] = [];
    kit.graph.setParam('brick', 'latency', '3ms');
    kit.flush(() => order.push('slow'));
    kit.clock.advanceMs(2.9);
    assert.equal(order.length, 0);
    kit.clock.advanceMs(0.2);
    kit.graph.setParam('brick', 'latency', 0);
    kit.flush(() => order.push('quick'));
    assert.deepEqual(order, ['slow', 'quick']);
  });
});

describe('NullBrick with latency', () => {
  const kit = useBrickKit(NullBrick, { size: '1M', latency: '2ms' });
  describeBrickConformance(kit, { data: 'none' });
});
