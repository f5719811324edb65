import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MarsError } from '@mars/brick-core';
import type { LamportClock } from '../lamport-clock.js';
import { TOMBSTONE } from '../names.js';
import { TreeSnapshot } from '../snapshot/snapshot.js';
import { decideMerge } from '../store/order.js';
import { answerNodes } from './answer.js';
import { DigestIndex } from './digest-index.js';
import { ASK_WINDOW, LEAF_ITEMS, MAX_ASK_NODES, MAX_MESSAGE_FACTS } from './limits.js';
import type { AskNode, FactMessage } from './messages.js';
import { Round, type Settled } from './round.js';
import { link, treeOf } from './trees.kit.test.js';

const CLOCK = { isFarFuture: () => false } as unknown as LamportClock;

/** A tree that merges, without a disk. */
class Side {
  readonly index: DigestIndex;
  settled: Settled = new Map();
  questions = 0;
  facts = 0;

  constructor(public tree: TreeSnapshot) {
    this.index = new DigestIndex(tree);
  }

  merge(facts: readonly FactMessage[]): string[] {
    this.facts += facts.length;
    return facts.map((fact) => {
      const decision = decideMerge(this.tree.entry(fact.path), fact, CLOCK);
      if (decision === 'take') this.put(fact);
      return decision === 'take' ? 'taken' : decision;
    });
  }

  put({ path, value, stampNs }: FactMessage): void {
    const next = this.tree.with(path, link(value, stampNs));
    this.index.update(next, this.tree.changesTo(next));
    this.tree = next;
  }

  /** One round against another side. @returns facts that were new */
  pull(from: Side): number {
    const waiting: AskNode[][] = [];
    let open = 0;
    const round = new Round({
      index: this.index,
      settled: this.settled,
      ask: (nodes) => {
        assert.ok(nodes.length <= MAX_ASK_NODES && ++open <= ASK_WINDOW);
        waiting.push(nodes);
      },
      merge: (facts) => this.merge(facts),
    });
    round.start();
    for (let nodes = waiting.shift(); nodes !== undefined; nodes = waiting.shift()) {
      this.questions++;
      open--;
      const answers = answerNodes(from.index, nodes);
      assert.ok(answers.reduce((sum, { facts }) => sum + facts.length, 0) <= MAX_MESSAGE_FACTS);
      round.answer(answers, 1n);
    }
    assert.ok(round.isOver);
    this.settled = round.settled(this.settled);
    return round.taken;
  }

  get content(): string[] {
    return [...this.tree.walk()]
      .filter(({ entry }) => entry.value !== TOMBSTONE)
      .map(({ path, entry }) => `${path} ${entry.value} ${entry.stampNs}`);
  }
}

const PATHS = [
  'uuid',
  'ips/ip-a',
  'userspace/x',
  'userspace/y',
  'resource-r/size',
  'resource-r/todo-a/attach',
  'resource-s/x/y/z',
];
const facts = fc.dictionary(
  fc.constantFrom(...PATHS),
  fc.record({ value: fc.constantFrom('1', '2', TOMBSTONE), stampNs: fc.bigInt(1n, 4n) }),
);
const sideOf = (of: Record<string, { value: string; stampNs: bigint }>): Side =>
  new Side(treeOf(Object.fromEntries(Object.entries(of).map(([path, f]) => [path, link(f.value, f.stampNs)]))));

/** A resource with so many version links. */
function bigTree(links: number, value = '1'): TreeSnapshot {
  let tree = treeOf({ uuid: link('u', 1n) });
  for (let i = 0; i < links; i++) tree = tree.with(`resource-r${i % 50}/version-${i}-a`, link(value, BigInt(i + 2)));
  return tree;
}

describe('Round', () => {
  it('makes any two trees alike, whoever asks first, but for tombstones of what the other never had', () => {
    fc.assert(
      fc.property(facts, facts, fc.boolean(), (one, other, isFirst) => {
        const a = sideOf(one);
        const b = sideOf(other);
        for (let i = 0; i < 2; i++) {
          if (isFirst) a.pull(b);
          b.pull(a);
          if (!isFirst) a.pull(b);
        }
        assert.deepEqual(a.content, b.content);
        assert.equal(a.pull(b) + b.pull(a), 0, 'the same lists again change nothing');
      }),
      { numRuns: 500 },
    );
  });

  it('asks one question when nothing differs, and one when it is known that the difference does not matter', () => {
    const a = new Side(bigTree(1000));
    const b = new Side(bigTree(1000).with('resource-r7/version-7-gone', link(TOMBSTONE, 5n)));
    a.pull(new Side(bigTree(1000)));
    assert.equal(a.questions, 1);
    a.questions = 0;
    a.pull(b);
    assert.ok(a.questions > 1);
    a.questions = 0;
    a.pull(b);
    assert.equal(a.questions, 1);
    // Something moves: only that is looked at, and found.
    b.put({ path: 'resource-r8/size', value: '4096', stampNs: 9n });
    a.facts = 0;
    assert.equal(a.pull(b), 1);
    assert.ok(a.facts <= 2 * LEAF_ITEMS, `${a.facts} facts for one change`);
  });

  it('finds one change among 20,000 links with a few questions and a few dozen facts', () => {
    const a = new Side(bigTree(20_000));
    const b = new Side(bigTree(20_000));
    b.put({ path: 'resource-r3/version-1003-a', value: '2', stampNs: 50_000n });
    assert.equal(a.pull(b), 1);
    assert.ok(a.questions <= 5, `${a.questions} questions`);
    assert.ok(a.facts <= 64, `${a.facts} facts`);
  });

  it('fills an empty tree, in portions', () => {
    const a = new Side(TreeSnapshot.EMPTY);
    const b = new Side(bigTree(5_000));
    assert.equal(a.pull(b), 5_001);
    assert.deepEqual(a.content, b.content);
    assert.equal(a.facts, 5_001, 'nothing is sent twice');
  });

  it('refuses answers that make no sense', () => {
    const odd = [
      { kind: 'buckets', sums: [1, 2] },
      { kind: 'what', sums: [] },
    ];
    for (const { kind, sums } of odd) {
      const a = new Side(treeOf({ uuid: link('u', 1n) }));
      const round = new Round({ index: a.index, settled: new Map(), ask: () => {}, merge: () => [] });
      round.start();
      const node = { kind, hi: 1, lo: 1, sums, facts: [], directories: [] };
      assert.throws(
        () => round.answer([node], 1n),
        (e) => e instanceof MarsError && e.code === 'WIRE_PROTOCOL',
      );
    }
    const a = new Side(TreeSnapshot.EMPTY);
    const round = new Round({ index: a.index, settled: new Map(), ask: () => {}, merge: () => [] });
    assert.throws(() => round.answer([], 1n), /not asked/);
    assert.throws(
      () => answerNodes(a.index, [{ path: '', depth: 9, bucket: 0, hi: 0, lo: 0, knownHi: 0, knownLo: 0 }]),
      /depth 9/,
    );
  });

  it('does not follow directories whose names cannot be names', () => {
    const a = new Side(TreeSnapshot.EMPTY);
    const asked: string[] = [];
    const round = new Round({
      index: a.index,
      settled: new Map(),
      ask: (nodes) => asked.push(...nodes.map(({ path }) => path)),
      merge: () => [],
    });
    round.start();
    const directories = ['..', '.trust', 'a/../b', 'x'.repeat(300), '', 'good'].map((name) => ({ name, hi: 1, lo: 1 }));
    round.answer([{ kind: 'items', hi: 1, lo: 1, sums: [], facts: [], directories }], 1n);
    assert.deepEqual(asked, ['', 'good']);
  });
});
