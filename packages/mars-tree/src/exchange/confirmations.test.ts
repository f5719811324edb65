import assert from 'node:assert/strict';
import { Confirmations } from './confirmations.js';
import { CONFIRM_AGE_MS } from './limits.js';
import { TombstoneWatch } from './tombstone-watch.js';
import { link, treeOf } from './trees.kit.test.js';

describe('Confirmations', () => {
  it('count when they are a minute old, however many follow', () => {
    const peer = new Confirmations();
    for (let ms = 0; ms < CONFIRM_AGE_MS; ms += 1000) {
      peer.confirmed(ms, ms + 10);
      assert.equal(peer.aged(ms + 10), null);
    }
    assert.equal(peer.aged(CONFIRM_AGE_MS + 10), 0);
    peer.confirmed(CONFIRM_AGE_MS + 20, CONFIRM_AGE_MS + 30);
    assert.equal(peer.aged(2 * CONFIRM_AGE_MS), 0);
    assert.equal(peer.aged(2 * CONFIRM_AGE_MS + 30), CONFIRM_AGE_MS + 20);
    assert.equal(peer.latestMs, CONFIRM_AGE_MS + 20);
  });

  it('that are young are worth nothing when the peer was started anew, old ones still are', () => {
    const peer = new Confirmations();
    peer.confirmed(0, 0);
    assert.equal(peer.aged(CONFIRM_AGE_MS), 0);
    peer.confirmed(CONFIRM_AGE_MS, CONFIRM_AGE_MS);
    peer.forgetRecent();
    assert.equal(peer.latestMs, null);
    assert.equal(peer.aged(10 * CONFIRM_AGE_MS), 0);
  });
});

describe('TombstoneWatch', () => {
  const HOUR = 3_600_000;
  const DELETED = link('.deleted', 5n);
  const TREE = treeOf({ 'userspace/x': DELETED, 'userspace/y': link('1', 6n) });

  it('lets a tombstone go when all hosts have compared since it stands here, whatever its stamp', () => {
    const watch = new TombstoneWatch(TREE, 1000);
    assert.equal(watch.size, 1);
    assert.ok(!watch.mayGo('userspace/x', DELETED, [2000, null], 3000));
    assert.ok(!watch.mayGo('userspace/x', DELETED, [2000, 1000], 3000));
    assert.ok(watch.mayGo('userspace/x', DELETED, [2000, 1001], 3000));
    assert.ok(watch.mayGo('userspace/x', DELETED, [], 3000));
  });

  it('counts anew when the tombstone is replaced by another one, and forgets it when it is no more', () => {
    const watch = new TombstoneWatch(TREE, 1000);
    const newer = link('.deleted', 9n);
    watch.update([{ path: 'userspace/x', before: DELETED, after: newer }], 5000);
    assert.ok(!watch.mayGo('userspace/x', newer, [2000], 6000));
    assert.ok(!watch.mayGo('userspace/x', DELETED, [9000], 9000));
    assert.ok(watch.mayGo('userspace/x', newer, [5001], 6000));
    watch.update([{ path: 'userspace/x', before: newer, after: link('1', 10n) }], 7000);
    assert.equal(watch.size, 0);
  });

  it('does not wait longer than 168 hours for anybody', () => {
    const watch = new TombstoneWatch(TREE, 0);
    assert.ok(!watch.mayGo('userspace/x', DELETED, [null], 168 * HOUR));
    assert.ok(watch.mayGo('userspace/x', DELETED, [null], 168 * HOUR + 1));
  });
});
