import assert from 'node:assert/strict';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { LatencyBrick } from './latency.js';

describe('LatencyBrick', () => {
  const kit = useBrickKit(LatencyBrick, { slow: '10ms' });

  describeBrickConformance(kit);

  it('counts a request as slow when it takes longer than "slow"', () => {
    kit.disk.hold = true;
    kit.read({ posBytes: 0, lenBytes: 512 });
    kit.clock.advanceMs(11);
    kit.disk.letGo();
    kit.run();
    kit.read({ posBytes: 0, lenBytes: 512 });
    assert.equal(kit.brick.stats.fact('slow'), 1);
  });

  it('takes a new limit while it runs', () => {
    kit.graph.setParam('brick', 'slow', '1h');
    kit.disk.hold = true;
    kit.read({ posBytes: 0, lenBytes: 512 });
    kit.clock.advanceMs(60_000);
    kit.disk.letGo();
    kit.run();
    assert.equal(kit.brick.stats.fact('slow'), 0);
  });
});
