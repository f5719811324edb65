import assert from 'node:assert/strict';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { {{CLASS}} } from './{{BRICK}}.js';

describe('{{CLASS}}', () => {
  const kit = useBrickKit({{CLASS}});

  describeBrickConformance(kit);

  it('counts every request, and those that fail', () => {
    kit.read({ posBytes: 0, lenBytes: 512 });
    kit.disk.failAt = 1;
    kit.read({ posBytes: 0, lenBytes: 512 });
    assert.equal(kit.brick.stats.fact('requests'), 2);
    assert.equal(kit.brick.stats.fact('failed'), 1);
  });
});
