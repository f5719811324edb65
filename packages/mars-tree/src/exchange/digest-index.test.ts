import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Entry } from '../snapshot/entry.js';
import { TreeSnapshot } from '../snapshot/snapshot.js';
import { DigestIndex, ROOT } from './digest-index.js';
import { ZERO, plus, sameSum } from './hash.js';
import { LEAF_ITEMS } from './limits.js';
import { link, treeOf } from './trees.kit.test.js';

const NAMES = [
  'uuid',
  'ips/ip-a',
  'userspace/x',
  'resource-r/size',
  'resource-r/todo-a/attach',
  'resource-r/actual-a/if-on',
];
const PRIVATE = [
  'actual-a/time',
  'actual-a/alive',
  'actual-b/read-stamp',
  'cache-a/invalid',
  'probe-a/mars/uuid',
  'userspace/ignore-me',
];

const change = fc.record({
  path: fc.constantFrom(...NAMES),
  value: fc.option(fc.constantFrom('1', '2', '.deleted'), { nil: null }),
  stampNs: fc.bigInt(1n, 4n),
});

describe('DigestIndex', () => {
  it('has the same sums after any changes as one that was built anew, in every directory', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        let tree = TreeSnapshot.EMPTY;
        const index = new DigestIndex(tree);
        for (const { path, value, stampNs } of changes) {
          const next = tree.with(path, value === null ? null : link(value, stampNs));
          index.update(next, tree.changesTo(next));
          tree = next;
        }
        const fresh = new DigestIndex(tree);
        for (const path of ['', 'ips', 'userspace', 'resource-r', 'resource-r/todo-a', 'resource-r/actual-a']) {
          const node = { path, depth: 0, bucket: 0 };
          assert.ok(sameSum(index.sumOf(node), fresh.sumOf(node)), path);
        }
      }),
    );
  });

  it('differs when a value, a stamp, a name or a directory differs, and not when only inodes do', () => {
    const sums = [
      treeOf({ 'a/x': link('1', 5n) }),
      treeOf({ 'a/x': link('2', 5n) }),
      treeOf({ 'a/x': link('1', 6n) }),
      treeOf({ 'a/y': link('1', 5n) }),
      treeOf({ 'b/x': link('1', 5n) }),
      treeOf({ 'a/x': link('1', 5n), 'b/x': link('1', 5n) }),
    ].map((tree) => new DigestIndex(tree).root);
    assert.equal(new Set(sums.map(({ hi, lo }) => `${hi} ${lo}`)).size, sums.length);
    const other = new DigestIndex(treeOf({ 'a/x': new Entry('link', '1', 5n, 0, 99) })).root;
    assert.ok(sameSum(other, sums[0]!));
  });

  it('leaves out what is not compared: time, alive, private keys, hidden and ignored names, files', () => {
    const facts = Object.fromEntries(PRIVATE.map((path) => [path, link('1', 5n)]));
    const index = new DigestIndex(treeOf({ ...facts, 'resource-r/log-000000001-a': new Entry('file', '', 5n, 10, 1) }));
    assert.ok(sameSum(index.root, ZERO));
    assert.deepEqual(index.itemsOf(ROOT), []);
  });

  it('divides a directory into buckets that add up to it, at every depth', () => {
    const facts = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`resource-r/version-${i}-a`, link('1', 7n)]),
    );
    const index = new DigestIndex(treeOf(facts));
    const node = { path: 'resource-r', depth: 0, bucket: 0 };
    const buckets = index.bucketsOf(node);
    assert.ok(sameSum(buckets.reduce(plus, ZERO), index.sumOf(node)));
    let names = 0;
    for (const [bucket, sum] of buckets.entries()) {
      const part = { path: 'resource-r', depth: 1, bucket };
      assert.ok(sameSum(index.sumOf(part), sum));
      const items = index.itemsOf(part);
      assert.ok(items.length < LEAF_ITEMS);
      names += items.length;
      const deeper = index.bucketsOf(part);
      assert.ok(sameSum(deeper.reduce(plus, ZERO), sum));
    }
    assert.equal(names, 500);
  });

  it('knows nothing of directories that are gone', () => {
    const tree = treeOf({ 'resource-r/todo-a/attach': link('1', 5n), uuid: link('u', 1n) });
    const index = new DigestIndex(tree);
    const next = tree.with('resource-r', null);
    index.update(next, tree.changesTo(next));
    assert.ok(sameSum(index.sumOf({ path: 'resource-r', depth: 0, bucket: 0 }), ZERO));
    assert.ok(sameSum(index.root, new DigestIndex(treeOf({ uuid: link('u', 1n) })).root));
    assert.deepEqual(index.itemsOf({ path: 'no/such', depth: 0, bucket: 0 }), []);
  });
});
