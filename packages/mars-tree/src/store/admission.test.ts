import assert from 'node:assert/strict';
import { UUID } from '../keys/hosts.js';
import { admitList, fitsTrigger, newClusterId, whyNoPush } from './admission.js';

describe('admission of what others send', () => {
  it('makes identities of the grammar', () => {
    const id = newClusterId('nodea', 1_795_190_987_123_456_789n);
    assert.equal(id, 'nodea_1795190987.123456789');
    assert.deepEqual(UUID.parse(id), { kind: 'stamped', host: 'nodea', stampNs: 1_795_190_987_123_456_789n });
  });

  it('drops lists of another cluster and lists without identity; (any) fits both ways', () => {
    assert.equal(admitList('a_1.000000000', 'a_1.000000000'), 'ok');
    assert.equal(admitList('a_1.000000000', 'b_1.000000000'), 'other cluster');
    assert.equal(admitList('a Thu Nov 20', 'a Thu Nov 20'), 'ok');
    assert.equal(admitList('a_1.000000000', '(any)'), 'ok');
    assert.equal(admitList('(any)', 'b_1.000000000'), 'ok');
    assert.equal(admitList(null, 'b_1.000000000'), 'ok');
    assert.equal(admitList('a_1.000000000', null), 'list without uuid');
    assert.equal(admitList(null, null), 'list without uuid');
  });

  it('refuses pushes to paths outside of /mars/, and absolute values outside of /mars/ and /dev/', () => {
    assert.equal(whyNoPush('/mars/ips/ip-nodea', '10.1.0.1'), null);
    assert.equal(whyNoPush('/mars/resource-r/data-nodea', '/dev/vg00/lv-0'), null);
    assert.equal(whyNoPush('/mars/ips/ip-nodea', '.deleted'), null);
    assert.match(whyNoPush('/etc/passwd', 'x')!, /does not begin with \/mars\//);
    assert.match(whyNoPush('/mars/../etc/passwd', 'x')!, /leads elsewhere/);
    assert.match(whyNoPush('/mars/.trust/ca.key', 'x')!, /private/);
    assert.match(whyNoPush('/marsupial/x', 'x')!, /does not begin/);
    assert.match(whyNoPush('/mars/resource-r/data-nodea', '/etc/shadow')!, /outside/);
    assert.match(whyNoPush('/mars/resource-r/data-nodea', '/dev/../etc/shadow')!, /outside/);
    assert.match(whyNoPush('/mars/userspace/x', '')!, /empty/);
  });

  it('knows which words a trigger command can carry', () => {
    assert.ok(fitsTrigger('10.1.0.1') && fitsTrigger('(none)'));
    assert.ok(!fitsTrigger('two words') && !fitsTrigger('') && !fitsTrigger('a\n'));
  });
});
