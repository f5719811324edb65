import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FactMap } from './fact-map.js';

function differences(a: FactMap<number>, b: FactMap<number>): Map<string, [number | undefined, number | undefined]> {
  const found = new Map<string, [number | undefined, number | undefined]>();
  a.compare(b, (name, mine, theirs) => {
    assert.ok(!found.has(name), `${name} was reported twice`);
    found.set(name, [mine, theirs]);
  });
  return found;
}

describe('FactMap', () => {
  // Few names, so that they are put, changed and dropped again and again.
  const name = fc.nat({ max: 200 }).map((n) => `version-${String(n).padStart(9, '0')}-nodea`);
  const step = fc.tuple(name, fc.option(fc.nat({ max: 5 }), { nil: null }));

  it('behaves as a Map under any sequence of changes, and never changes an older version', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        let map = FactMap.empty<number>();
        const model = new Map<string, number>();
        const half = { map, model: new Map(model) };
        steps.forEach(([key, value], i) => {
          map = value === null ? map.without(key) : map.with(key, value);
          if (value === null) model.delete(key);
          else model.set(key, value);
          assert.equal(map.size, model.size);
          if (i === steps.length >> 1) Object.assign(half, { map, model: new Map(model) });
        });
        assert.deepEqual(new Map(map.entries()), model);
        assert.deepEqual(map.names(), [...model.keys()].sort());
        assert.deepEqual(new Map(half.map.entries()), half.model);
        for (const [key, [mine, theirs]] of differences(half.map, map)) {
          assert.equal(mine, half.model.get(key));
          assert.equal(theirs, model.get(key));
          assert.notEqual(mine, theirs);
        }
        for (const key of new Set([...model.keys(), ...half.model.keys()])) {
          assert.equal(differences(half.map, map).has(key), model.get(key) !== half.model.get(key));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('is the same object when nothing changes', () => {
    const map = FactMap.from<number>([['a', 1]]);
    assert.equal(map.with('a', 1), map);
    assert.equal(map.without('b'), map);
    assert.equal(FactMap.empty(), FactMap.empty());
  });

  it('finds one change among 100,000 names without looking at most of them', () => {
    const entries = Array.from({ length: 100_000 }, (_, i) => [`log-${String(i).padStart(9, '0')}-a`, i] as const);
    const before = FactMap.from(entries);
    const after = before.with('log-000050000-a', -1);
    assert.deepEqual([...differences(before, after)], [['log-000050000-a', [50_000, -1]]]);
    assert.equal(sharedArrays(before, after), true);
  });

  it('works when hashes are alike', () => {
    // Names of one character repeat the low bits often enough to fill leaves; 40,000 names fill every level.
    let map = FactMap.empty<number>();
    for (let i = 0; i < 40_000; i++) map = map.with(String.fromCodePoint(0x4e00 + (i % 20_000)), i);
    assert.equal(map.size, 20_000);
    for (let i = 0; i < 20_000; i++) map = map.without(String.fromCodePoint(0x4e00 + i));
    assert.equal(map.size, 0);
    assert.deepEqual([...map.entries()], []);
  });
});

/** True when all but a few of the entries are the same pair in both. */
function sharedArrays(a: FactMap<number>, b: FactMap<number>): boolean {
  const pairs = new Set(a.entries());
  let strange = 0;
  for (const pair of b.entries()) if (!pairs.has(pair)) strange++;
  return strange <= 12;
}
