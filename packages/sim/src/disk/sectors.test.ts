import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createRandom } from '@mars/brick-core';
import { SECTOR, SectorStore, coinOf, type SyncToken } from './sectors.js';

const SECTORS = 24;

type Step =
  | { do: 'write'; first: number; count: number }
  | { do: 'zero'; first: number; count: number }
  | { do: 'begin' }
  | { do: 'end'; which: number }
  | { do: 'fail'; which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      first: fc.nat(SECTORS - 1),
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('zero' as const),
      first: fc.nat(SECTORS - 1),
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'begin' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), which: fc.nat(3) }) },
);

/** What a sector may hold after a crash, told without knowing how the store works. */
class Expectation {
  /** All values since the last one that is certainly durable; that one is the first. */
  values: number[] = [0];
  /** Number of the write of each value. */
  at: number[] = [0];

  write(value: number, at: number): void {
    this.values.push(value);
    this.at.push(at);
  }

  /** Everything written up to `upTo` is durable: older values than the last of those cannot come back. */
  synced(upTo: number): void {
    const last = this.at.findLastIndex((at) => at <= upTo);
    this.values.splice(0, last);
    this.at.splice(0, last);
  }
}

/** Runs the steps on a store and on the expectation; sectors hold the number of their write, repeated. */
function play(
  steps: readonly Step[],
  seed: number,
  options: { failures: boolean },
): { store: SectorStore; expected: Expectation[]; written: number[] } {
  const store = new SectorStore(coinOf(createRandom(seed), 0.25));
  const expected = Array.from({ length: SECTORS }, () => new Expectation());
  const written = new Array<number>(SECTORS).fill(0);
  const syncs: { token: SyncToken; upTo: number }[] = [];
  let number = 0;
  for (const s of steps) {
    if (s.do === 'write' || s.do === 'zero') {
      const count = Math.min(s.count, SECTORS - s.first);
      number++;
      const value = s.do === 'zero' ? 0 : 1 + (number % 255);
      if (s.do === 'zero') store.zero(s.first * SECTOR, count * SECTOR);
      else store.write(s.first * SECTOR, new Uint8Array(count * SECTOR).fill(value));
      for (let i = s.first; i < s.first + count; i++) {
        expected[i]!.write(value, number);
        written[i] = value;
      }
    } else if (s.do === 'begin') syncs.push({ token: store.beginSync(), upTo: number });
    else if (syncs.length > 0) {
      const [sync] = syncs.splice(s.which % syncs.length, 1);
      if (s.do === 'fail' && options.failures) store.abandonSync(sync!.token);
      else {
        store.endSync(sync!.token);
        for (const sector of expected) sector.synced(sync!.upTo);
      }
    }
  }
  return { store, expected, written };
}

function sectorValue(store: SectorStore, sector: number): number {
  const bytes = new Uint8Array(SECTOR);
  store.read(sector * SECTOR, bytes);
  assert.ok(
    bytes.every((byte) => byte === bytes[0]),
    `sector ${sector} is torn`,
  );
  return bytes[0]!;
}

describe('SectorStore', () => {
  it('reads back what was written last, synced or not', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(1e6), (steps, seed) => {
        const { store, written } = play(steps, seed, { failures: true });
        for (let i = 0; i < SECTORS; i++) assert.equal(sectorValue(store, i), written[i]);
      }),
    );
  });

  it('leaves each sector, after a crash, as it was synced or as one of the values written since', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.nat(1e6),
        fc.float({ min: 0, max: 1, noNaN: true }),
        (steps, seed, share) => {
          const { store, expected } = play(steps, seed, { failures: true });
          store.crash(coinOf(createRandom(seed + 1), share), SECTORS * SECTOR);
          expected.forEach(({ values }, i) => assert.ok(values.includes(sectorValue(store, i)), `sector ${i}`));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('never loses what a finished sync has covered', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(1e6), (steps, seed) => {
        const { store, written } = play(steps, seed, { failures: false });
        store.endSync(store.beginSync());
        assert.equal(store.unsyncedSectors, 0);
        store.crash(() => false, SECTORS * SECTOR);
        for (let i = 0; i < SECTORS; i++) assert.equal(sectorValue(store, i), written[i]);
      }),
    );
  });

  it('can bring back every one of the values that were written since the last sync', () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 200; seed++) {
      const writes: Step[] = [1, 2, 3, 4].map(() => ({ do: 'write', first: 0, count: 1 }));
      const { store } = play(writes, seed, { failures: false });
      store.crash(coinOf(createRandom(seed + 5000), 0.5), SECTOR);
      seen.add(sectorValue(store, 0));
    }
    assert.deepEqual([...seen].sort(), [0, 2, 3, 4, 5]);
  });

  it('tears a write that spans sectors', () => {
    let torn = 0;
    for (let seed = 0; seed < 100; seed++) {
      const { store } = play([{ do: 'write', first: 0, count: 8 }], seed, { failures: false });
      store.crash(coinOf(createRandom(seed), 0.5), 8 * SECTOR);
      const kept = Array.from({ length: 8 }, (_, i) => sectorValue(store, i)).filter((value) => value > 0).length;
      if (kept > 0 && kept < 8) torn++;
    }
    assert.ok(torn > 90, `${torn} of 100`);
  });

  it('keeps what a sync under way has promised, even when it is overwritten before the sync ends', () => {
    for (let seed = 0; seed < 50; seed++) {
      const store = new SectorStore(() => false);
      store.write(0, new Uint8Array(SECTOR).fill(1));
      const token = store.beginSync();
      store.write(0, new Uint8Array(SECTOR).fill(2));
      store.endSync(token);
      store.crash(() => false, SECTOR);
      assert.equal(sectorValue(store, 0), 1);
    }
  });

  it('does not count a write that came after the beginning of a sync as synced', () => {
    const store = new SectorStore(() => false);
    const token = store.beginSync();
    store.write(0, new Uint8Array(SECTOR).fill(1));
    store.endSync(token);
    store.crash(() => false, SECTOR);
    assert.equal(sectorValue(store, 0), 0);
  });

  it('forgets, after a failed sync, data that later syncs report as safe (fsyncgate)', () => {
    const store = new SectorStore(() => false);
    store.write(0, new Uint8Array(SECTOR).fill(1));
    store.failSync(store.beginSync());
    assert.equal(store.unsyncedSectors, 0);
    store.endSync(store.beginSync());
    assert.equal(sectorValue(store, 0), 1, 'readers still see it');
    store.crash(() => true, SECTOR);
    assert.equal(sectorValue(store, 0), 0, 'the disk never had it');
  });

  it('shows lost data as gone when the page cache lets go of it', () => {
    const store = new SectorStore(() => false);
    store.write(0, new Uint8Array(SECTOR).fill(1));
    store.failSync(store.beginSync());
    store.evict();
    assert.equal(sectorValue(store, 0), 0);
  });

  it('brings back the old contents when a truncation did not reach the journal', () => {
    const store = new SectorStore(() => true);
    store.write(0, new Uint8Array(4 * SECTOR).fill(1));
    store.endSync(store.beginSync());
    store.cut(0);
    store.write(0, new Uint8Array(2 * SECTOR).fill(2));
    store.crash(() => true, 4 * SECTOR);
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => sectorValue(store, i)),
      [1, 1, 1, 1],
    );
  });

  it('shows zeroes, never old contents, behind a truncation that did', () => {
    for (const survives of [true, false]) {
      const store = new SectorStore(() => false);
      store.write(0, new Uint8Array(20 * SECTOR).fill(1));
      store.endSync(store.beginSync());
      store.cutIsDurable(store.cut(SECTOR), SECTOR);
      store.write(18 * SECTOR, new Uint8Array(SECTOR).fill(2));
      store.crash(() => survives, 20 * SECTOR);
      assert.equal(sectorValue(store, 0), 1);
      for (let i = 1; i < 18; i++) assert.equal(sectorValue(store, i), 0);
      assert.equal(sectorValue(store, 18), survives ? 2 : 0);
    }
  });

  it('gives room back when pages are cut or zeroed, and takes none for holes', () => {
    const store = new SectorStore(() => false);
    store.write(0, new Uint8Array(4 * 4096));
    store.write(100 * 4096, new Uint8Array(1));
    assert.equal(store.usedBytes, 5 * 4096);
    store.zero(0, 2 * 4096);
    assert.equal(store.usedBytes, 3 * 4096);
    store.cut(4096);
    assert.equal(store.usedBytes, 0);
    store.endSync(store.beginSync());
    assert.equal(store.usedBytes, 0);
    store.write(0, new Uint8Array(1));
    assert.equal(store.usedBytes, 4096);
  });

  it('rots one bit of both images', () => {
    const store = new SectorStore(() => false);
    store.write(0, new Uint8Array(SECTOR).fill(8));
    store.rot(3, 0);
    const bytes = new Uint8Array(4);
    store.read(0, bytes);
    assert.deepEqual([...bytes], [8, 8, 8, 9]);
  });
});
