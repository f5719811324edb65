import assert from 'node:assert/strict';
import { Entry } from '../snapshot/entry.js';
import { addressOf } from './addresses.js';
import { sameSum } from './hash.js';
import { MAX_PEER_LOGS } from './limits.js';
import { PeerLogs, localLog, localLogs, sumOfLogs } from './peer-logs.js';
import { link, treeOf } from './trees.kit.test.js';

const LOG1 = 'log-000000001-a';
const LOG2 = 'log-000000002-b';

describe('PeerLogs', () => {
  it('knows sizes by number, replaces whole lists, and takes changes', () => {
    const logs = new PeerLogs();
    assert.ok(
      logs.take(
        'r',
        [
          { name: LOG2, durableBytes: 0 },
          { name: LOG1, durableBytes: 100 },
        ],
        true,
      ),
    );
    assert.deepEqual(logs.list('r'), [
      { sequence: 1, host: 'a', durableBytes: 100 },
      { sequence: 2, host: 'b', durableBytes: 0 },
    ]);
    assert.ok(!logs.take('r', [{ name: LOG1, durableBytes: 100 }], false), 'that was known');
    logs.take(
      'r',
      [
        { name: LOG1, durableBytes: -1 },
        { name: LOG2, durableBytes: 7 },
      ],
      false,
    );
    assert.deepEqual(logs.list('r'), [{ sequence: 2, host: 'b', durableBytes: 7 }]);
    logs.take('r', [], true);
    assert.deepEqual(logs.list('r'), []);
  });

  it('has the sum of the list that its host has, in any order', () => {
    const list = [
      { name: LOG1, durableBytes: 100 },
      { name: LOG2, durableBytes: 0 },
    ];
    const logs = new PeerLogs();
    logs.take('r', [...list].reverse(), true);
    assert.ok(sameSum(logs.sum('r'), sumOfLogs(list)));
    logs.take('r', [{ name: LOG1, durableBytes: 101 }], false);
    assert.ok(!sameSum(logs.sum('r'), sumOfLogs(list)));
  });

  it('ignores names that are no logs, forgets what nobody wants, and is bounded', () => {
    const logs = new PeerLogs();
    logs.take(
      'r',
      [
        { name: '../x', durableBytes: 1 },
        { name: 'log-1-a', durableBytes: 1 },
      ],
      true,
    );
    assert.deepEqual(logs.list('r'), []);
    logs.take('r', [{ name: LOG1, durableBytes: 1 }], true);
    logs.keepOnly(new Set(['s']));
    assert.deepEqual(logs.list('r'), []);
    const many = Array.from({ length: MAX_PEER_LOGS + 5 }, (_, i) => ({
      name: `log-${String(i).padStart(9, '0')}-a`,
      durableBytes: 1,
    }));
    logs.take('s', many, true);
    assert.equal(logs.dropped, 5);
    assert.equal(logs.list('s').length, MAX_PEER_LOGS);
  });

  it('announces files that are logs with their durable sizes, and no others', () => {
    const tree = treeOf({
      [`resource-r/${LOG1}`]: new Entry('file', '', 1n, 500, 1),
      [`resource-r/${LOG2}`]: new Entry('file', '', 1n, 500, 1),
      'resource-r/log-000000003-a': link('.deleted', 5n),
      'resource-r/log-x': new Entry('file', '', 1n, 500, 1),
      'resource-r/data-a': new Entry('file', '', 1n, 500, 1),
    });
    const sizes = { durableBytes: (_: string, { sequence }: { sequence: number }) => (sequence === 1 ? 400 : null) };
    assert.deepEqual(localLogs(tree, 'r', sizes), [{ name: LOG1, durableBytes: 400 }]);
    assert.deepEqual(localLog(tree, 'r', LOG1, sizes), { name: LOG1, durableBytes: 400 });
    assert.deepEqual(localLog(tree, 'r', 'log-000000003-a', sizes), { name: 'log-000000003-a', durableBytes: -1 });
    assert.deepEqual(localLogs(tree, 'none', sizes), []);
  });
});

describe('addressOf', () => {
  it('follows names of other hosts, at most three times', () => {
    const tree = treeOf({
      'ips/ip-a': link('10.0.0.1', 1n),
      'ips/ip-b': link('a', 1n),
      'ips/ip-c': link('b', 1n),
      'ips/ip-d': link('c', 1n),
      'ips/ip-e': link('d', 1n),
      'ips/ip-f': link('f', 1n),
      'ips/ip-g': link('.deleted', 1n),
      'ips/ip-h': link('g', 1n),
    });
    assert.deepEqual(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'z'].map((host) => addressOf(tree, host)),
      ['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1', null, null, null, null, null],
    );
  });
});
