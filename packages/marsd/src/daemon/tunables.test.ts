import assert from 'node:assert/strict';
import { isMarsError } from '@mars/brick-core';
import { Tunables } from './tunables.js';

describe('tunables', () => {
  const make = () => {
    const seen: number[] = [];
    const all = new Tunables();
    const tunable = all.add('x', { initial: 5, min: 1, max: 10, unit: 's', about: '', changed: (v) => seen.push(v) });
    all.add('shown', { initial: 1, min: 0, max: 9, unit: '', about: '', mode: 'ro' });
    return { all, tunable, seen };
  };

  it('show their value on a line, and take one with or without newline', () => {
    const { tunable, seen } = make();
    assert.equal(tunable.read(), '5\n');
    tunable.write!('7\n');
    tunable.write!(' 8');
    assert.deepEqual([tunable.value, seen, tunable.isWritten], [8, [7, 8], true]);
  });

  it('refuse what is no number or out of range with EINVAL, and keep their value', () => {
    const { tunable } = make();
    for (const text of ['', 'x', '1.5', '0', '11', '7 8', '-1']) {
      assert.throws(
        () => tunable.write!(text),
        (e) => isMarsError(e) && e.details['errno'] === 22,
        text,
      );
    }
    assert.deepEqual([tunable.value, tunable.isWritten], [5, false]);
  });

  it('know whether somebody has written them, or the daemon follows something', () => {
    const { tunable } = make();
    tunable.put(6);
    assert.deepEqual([tunable.value, tunable.isWritten], [6, false]);
  });

  it('come from marsd.yaml, which may name only those that can be set', () => {
    const { all, tunable } = make();
    all.apply({ x: 9 });
    assert.equal(tunable.value, 9);
    for (const values of [{ y: 1 }, { shown: 1 }, { x: 100 }])
      assert.throws(() => all.apply(values as never), isMarsError);
  });
});
