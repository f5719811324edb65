import assert from 'node:assert/strict';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { DummyBrick } from './dummy.js';

describe('DummyBrick', () => {
  const kit = useBrickKit(DummyBrick);

  describeBrickConformance(kit);

  it('counts requests and errors', async () => {
    await kit.answerOf({ op: 'write', posBytes: 0, data: 'A' });
    kit.disk.failAt = 1;
    await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 1 });
    assert.deepEqual(kit.brick.stats.snapshot().counters, { requests: 2, errors: 1 });
  });

  it('stops counting when it is told to be quiet', async () => {
    kit.graph.setParam('brick', 'quiet', true);
    await kit.answerOf({ op: 'flush' });
    assert.equal(kit.brick.stats.snapshot().counters.requests, 0);
  });
});
