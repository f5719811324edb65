import assert from 'node:assert/strict';
import { link, treeOf } from './trees.kit.test.js';
import { MAX_DIRTY_PATHS, MAX_MESSAGE_FACTS } from './limits.js';
import { Outbox, type Portion } from './outbox.js';

const TREE = treeOf({
  'userspace/x': link('1', 5n),
  'userspace/y': link('2', 6n),
  'actual-a/time': link('7.000000000', 7n),
  'actual-a/alive': link('1', 8n),
  'actual-b/alive': link('1', 3n),
});

function paths(portion: Portion | null): string[] {
  return portion === null ? [] : portion.facts.map(({ path }) => path);
}

/** An outbox whose peer has everything. */
function complete(): Outbox {
  const outbox = new Outbox();
  outbox.compared(treeOf({}), 1n);
  return outbox;
}

describe('Outbox', () => {
  it('sends several changes of one path as one, with the value of now', () => {
    const outbox = new Outbox();
    for (let i = 0; i < 5; i++) outbox.add('userspace/x', 'usual');
    const portion = outbox.take(TREE, 9n)!;
    assert.deepEqual(portion, { facts: [{ path: 'userspace/x', value: '1', stampNs: 5n }], completeNs: 0n });
    assert.equal(outbox.take(TREE, 9n), null);
    assert.ok(outbox.isEmpty);
  });

  it('keeps time and alive back until the peer has compared, and then sends those of that moment', () => {
    const outbox = new Outbox();
    outbox.add('actual-a/alive', 'last');
    assert.equal(outbox.take(TREE, 9n), null);
    outbox.compared(TREE, 4n);
    const portion = outbox.take(TREE.with('actual-a/alive', link('0', 99n)), 100n)!;
    assert.deepEqual(paths(portion).sort(), ['actual-a/alive', 'actual-a/time', 'actual-b/alive']);
    assert.equal(portion.facts.find(({ path }) => path === 'actual-a/alive')!.stampNs, 8n);
    assert.equal(portion.completeNs, 4n);
  });

  it('passes time and alive of other hosts on only after a comparison that began later', () => {
    const outbox = complete();
    outbox.addForeign();
    assert.ok(outbox.needsRound);
    assert.equal(outbox.take(TREE, 9n), null);
    outbox.roundBegins();
    assert.ok(!outbox.needsRound);
    // Another one has come meanwhile: it waits for the next comparison.
    outbox.addForeign();
    outbox.compared(TREE, 9n);
    assert.equal(outbox.take(TREE, 9n), null);
    outbox.roundBegins();
    outbox.compared(TREE, 10n);
    assert.ok(paths(outbox.take(TREE, 11n)).includes('actual-b/alive'));
    outbox.compared(TREE, 12n);
    assert.equal(outbox.take(TREE, 12n), null);
  });

  it('sends time and alive behind everything else of their moment, in the last portion', () => {
    const outbox = complete();
    let tree = TREE;
    for (let i = 0; i < MAX_MESSAGE_FACTS + 10; i++) {
      tree = tree.with(`userspace/${i}`, link('1', 9n));
      outbox.add(`userspace/${i}`, 'usual');
    }
    outbox.add('actual-a/time', 'last');
    const first = outbox.take(tree, 10n)!;
    // Meanwhile more happens: it belongs to the next batch, and so does the newer time.
    const later = tree.with('userspace/late', link('1', 11n)).with('actual-a/time', link('8.000000000', 12n));
    outbox.add('userspace/late', 'usual');
    outbox.add('actual-a/time', 'last');
    const second = outbox.take(later, 13n)!;
    const third = outbox.take(later, 13n)!;
    assert.equal(first.facts.length, MAX_MESSAGE_FACTS);
    assert.equal(first.completeNs, 0n);
    assert.deepEqual(second.facts.at(-1), { path: 'actual-a/time', value: '7.000000000', stampNs: 7n });
    assert.equal(second.completeNs, 10n);
    assert.deepEqual(paths(third), ['userspace/late', 'actual-a/time']);
    assert.equal(third.completeNs, 13n);
  });

  it('forgets what is too much, says so, and promises nothing until the peer has compared again', () => {
    const outbox = complete();
    outbox.add('actual-a/alive', 'last');
    let isFull = false;
    for (let i = 0; i <= MAX_DIRTY_PATHS; i++) isFull = !outbox.add(`userspace/${i}`, 'usual');
    assert.ok(isFull);
    assert.equal(outbox.take(TREE, 9n), null);
    outbox.compared(TREE, 5n);
    assert.ok(paths(outbox.take(TREE, 9n)).includes('actual-a/alive'));
  });

  it('says nothing about links that have gone without a trace, files, and values that nobody can read', () => {
    const outbox = complete();
    const tree = TREE.with('userspace/empty', link('', 5n));
    for (const path of ['userspace/gone', 'userspace/empty', 'userspace']) outbox.add(path, 'usual');
    assert.equal(outbox.take(tree, 9n), null);
  });
});
