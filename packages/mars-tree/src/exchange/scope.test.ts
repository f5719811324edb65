import assert from 'node:assert/strict';
import { ALL_KEYS, findKey } from '../keys.js';
import { exchangeLane } from './scope.js';

describe('lanes of the exchange', () => {
  it('agree with the table of keys: what is local stays here, everything else travels', () => {
    let local = 0;
    for (const key of ALL_KEYS) {
      for (const [path] of key.examples) {
        if (key.kind === 'directory') continue;
        const found = findKey(path);
        const wanted = found!.key.replication === 'local' ? 'none' : 'travels';
        const lane = exchangeLane(path);
        assert.equal(lane === 'none' ? 'none' : 'travels', /read-stamp$/.test(path) ? 'none' : wanted, path);
        if (lane === 'none') local++;
      }
    }
    assert.ok(local > 5, `${local} local examples`);
  });

  it('put time and alive of hosts last, and nothing else of these names', () => {
    assert.equal(exchangeLane('actual-nodea/time'), 'last');
    assert.equal(exchangeLane('actual-nodea/alive'), 'last');
    assert.equal(exchangeLane('userspace/time'), 'usual');
    assert.equal(exchangeLane('resource-r/actual-nodea/alive'), 'usual');
    assert.equal(exchangeLane('actual-nodea/timeless'), 'usual');
  });

  it('keep private what stands in private directories, is hidden or ignored, at any depth', () => {
    for (const path of [
      'cache-nodea/anything',
      'probe-nodea/mars/resource-r/size',
      'backups-1795190987/uuid',
      'resource-r/local-nodea/connection-x',
      'resource-r/.deleted-size',
      '.trust/ca.key',
      '.trust',
      'userspace/ignored',
      'ignore-this/x',
      'resource-r/systemd-trigger',
      'userspace/systemd-trigger',
      'actual-nodeb/read-stamp',
      '5.total.log',
    ]) {
      assert.equal(exchangeLane(path), 'none', path);
    }
    for (const path of ['uuid', 'resource-r/systemd-want', 'somebody/else', 'resource-r/local', 'userspace/5.x'])
      assert.equal(exchangeLane(path), 'usual', path);
  });
});
