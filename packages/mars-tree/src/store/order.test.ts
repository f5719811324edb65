import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Clock } from '@mars/brick-core';
import { LamportClock } from '../lamport-clock.js';
import { TOMBSTONE } from '../names.js';
import { Entry } from '../snapshot/entry.js';
import { compareValues, decideMerge, decidePush, isCutCopy, localStamp } from './order.js';

const NOW = 1_795_191_000_000_000_000n;
const DAY = 86_400_000_000_000n;
const wall: Clock = { nowUs: 0, wallNs: () => NOW, after: () => {}, sleep: async () => {} };

function clockAt(): LamportClock {
  return new LamportClock(wall);
}

function link(value: string, stampNs: bigint): Entry {
  return new Entry('link', value, stampNs, 0, 1);
}

function merge(existing: Entry | null, value: string, stampNs: bigint, path = 'userspace/x'): string {
  return decideMerge(existing, { path, value, stampNs }, clockAt());
}

describe('the order of values', () => {
  it('takes what is newer, keeps what is newer or equal', () => {
    assert.equal(merge(link('a', 5n), 'b', 6n), 'take');
    assert.equal(merge(link('a', 5n), 'b', 4n), 'older');
    assert.equal(merge(link('a', 5n), 'a', 5n), 'same');
    assert.equal(merge(null, 'b', 1n), 'take');
  });

  it('recognizes a value whose stamp was cut to whole seconds', () => {
    const fact = { path: 'userspace/x', value: 'a', stampNs: 7_300_000_000n };
    assert.ok(isCutCopy(link('a', 7_000_000_000n), fact));
    assert.ok(!isCutCopy(link('b', 7_000_000_000n), fact));
    assert.ok(!isCutCopy(link('a', 6_000_000_000n), fact));
    assert.ok(!isCutCopy(link('a', 7_000_000_001n), fact));
  });

  it('decides equal stamps by the bytes of the value, so that all hosts choose alike', () => {
    assert.equal(merge(link('a', 5n), 'b', 5n), 'take');
    assert.equal(merge(link('b', 5n), 'a', 5n), 'older');
    // U+FF5E has the smaller bytes although its UTF-16 unit is greater than a surrogate.
    assert.ok(compareValues('\u{1F600}', '\uff5e') > 0);
    assert.equal(merge(link('(none)', 5n), TOMBSTONE, 5n), 'take');
  });

  it('never creates anything from a tombstone', () => {
    assert.equal(merge(null, TOMBSTONE, 9n), 'nothing-to-delete');
    assert.equal(merge(link('a', 5n), TOMBSTONE, 9n), 'take');
    assert.equal(merge(link(TOMBSTONE, 9n), 'a', 8n), 'older');
    assert.equal(merge(link(TOMBSTONE, 9n), 'a', 10n), 'take');
  });

  it('lets a tombstone remove a log file, and nothing else replace one', () => {
    const log = new Entry('file', '', 5n, 4096, 1);
    const path = 'resource-r/log-000000001-a';
    assert.equal(merge(log, TOMBSTONE, 6n, path), 'take');
    assert.equal(merge(log, TOMBSTONE, 5n, path), 'older');
    assert.equal(merge(log, '/dev/zero', 6n, path), 'kept-file');
    assert.equal(merge(null, '/dev/zero', 6n, path), 'kept-file');
  });

  it('never lets a peer replace a file with contents: it may be a disk', () => {
    const disk = new Entry('file', '', 5n, 1 << 30, 1);
    assert.equal(merge(disk, TOMBSTONE, 6n, 'resource-r/data-a'), 'kept-file');
    assert.equal(merge(disk, '/dev/sda', 6n, 'resource-r/data-a'), 'kept-file');
    const touched = new Entry('file', '', 5n, 0, 1);
    assert.equal(merge(touched, 'nodea', 6n, 'resource-r/systemd-want'), 'take');
  });

  it('refuses stamps of the far future, and lets anything replace one', () => {
    assert.equal(merge(link('a', 5n), 'b', NOW + 31n * DAY), 'too-far-ahead');
    assert.equal(merge(link('a', NOW + 31n * DAY), 'b', 5n), 'take');
    assert.equal(merge(link('a', NOW + 29n * DAY), 'b', NOW), 'older');
  });

  it('overwrites equal stamps by a push, but not newer ones', () => {
    const push = (existing: Entry | null, value: string, stampNs: bigint): string =>
      decidePush(existing, { path: 'ips/ip-a', value, stampNs }, clockAt());
    assert.equal(push(link('b', 5n), 'a', 5n), 'take');
    assert.equal(push(link('a', 5n), 'a', 5n), 'same');
    assert.equal(push(link('b', 6n), 'a', 5n), 'older');
    assert.equal(push(null, TOMBSTONE, 5n), 'take');
    assert.equal(push(link('a', NOW + 31n * DAY), 'b', 5n), 'take');
  });

  it('gives the same result for any order of lists', () => {
    const value = fc.constantFrom('a', 'b', '(none)', TOMBSTONE, '-1');
    const fact = fc.record({ value, stampNs: fc.bigInt(1n, 4n) });
    const play = (facts: readonly { value: string; stampNs: bigint }[]): string => {
      // Lists come again and again: what a tombstone could not delete the first time, it deletes the second time.
      let there: Entry | null = null;
      for (const { value: text, stampNs } of [...facts, ...facts]) {
        if (merge(there, text, stampNs) === 'take') there = link(text, stampNs);
      }
      return there === null || there.isTombstone ? 'nothing' : `${there.value}@${there.stampNs}`;
    };
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 6 }), fc.infiniteStream(fc.nat()), (facts, order) => {
        const shuffled = facts
          .map((one) => ({ one, key: order.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ one }) => one);
        assert.equal(play(shuffled), play(facts));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the stamp of a local write', () => {
  it('is later than everything seen and than the value it replaces', () => {
    const clock = clockAt();
    assert.equal(localStamp(null, clock), NOW);
    assert.equal(localStamp(link('a', NOW - 5n), clock), NOW + 1n);
    assert.equal(localStamp(link('a', NOW + DAY), clock), NOW + DAY + 1_000_000_001n);
    assert.equal(localStamp(link('a', NOW + DAY + 7n), clock), NOW + DAY + 8n);
  });

  it('steps over a value of whole seconds in the same second, for coarse file systems', () => {
    assert.equal(localStamp(link('a', NOW), clockAt()), NOW + 1_000_000_001n);
  });

  it('does not follow a corrupt stamp', () => {
    assert.equal(localStamp(link('a', NOW + 40n * DAY), clockAt()), NOW);
  });
});
