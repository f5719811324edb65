// Rules of the exchange, broken one by one: the judge of the scenario must notice each of them.
import assert from 'node:assert/strict';
import { TOMBSTONE } from '@mars/mars-tree';
import { World } from '@mars/sim';
import { playExchange } from './exchange.scenario.mjs';
import { comingBack, lateDeletion, twoWays } from './exchange-stories.kit.mjs';

/** Seeds until a broken rule must have been noticed. */
const MOST_SEEDS = 30;

const MUTATIONS = {
  'what is merged gets a new stamp': ({ store }) => {
    const merge = store.merge.bind(store);
    store.merge = (fact) => merge({ ...fact, stampNs: store.clock.now() });
  },
  'any value replaces an older or newer one': ({ store }) => {
    const merge = store.merge.bind(store);
    store.merge = (fact) => {
      const there = store.snapshot.entry(fact.path);
      if (there !== null && there.stampNs > fact.stampNs && !there.isTombstone) store.forget(fact.path, there);
      return merge(fact);
    };
  },
  'at equal stamps everybody keeps his own value': ({ store }) => {
    const merge = store.merge.bind(store);
    store.merge = (fact) => (store.snapshot.stampNs(fact.path) === fact.stampNs ? 'older' : merge(fact));
  },
  'deletions of others are ignored': ({ store }) => {
    const merge = store.merge.bind(store);
    store.merge = (fact) => (fact.value === TOMBSTONE ? 'older' : merge(fact));
  },
  'tombstones go at once': ({ store, exchange }) => {
    exchange.collect = () => {
      for (const { path, entry } of [...store.snapshot.walk()]) if (entry.isTombstone) store.forget(path, entry);
    };
  },
  'nobody compares': ({ exchange }) => {
    const use = exchange.peers.use.bind(exchange.peers);
    exchange.peers.use = (session) => {
      session.compareIfDue = () => {};
      use(session);
    };
  },
  'comparisons overlook deletions': ({ exchange }) => {
    const { index } = exchange;
    const change = index.change.bind(index);
    index.change = (path, before, after) => {
      if (!after?.isTombstone) change(path, before, after);
    };
  },
  'comparisons overlook an eighth of all names': ({ exchange }) => {
    const { index } = exchange;
    const listOf = index.listOf.bind(index);
    index.listOf = (...args) => listOf(...args).filter(({ hash }) => hash % 8 !== 0);
  },
};

/** Rules that decide so seldom that only a story made for them shows it. */
const IN_STORIES = {
  'a tombstone goes when everybody has confirmed anything': [
    lateDeletion,
    ({ exchange }) => {
      exchange.tombstones.mayGo = (_path, _entry, confirmedMs) => confirmedMs.every((ms) => ms !== null);
    },
  ],
  'a tombstone goes by its stamp alone': [
    lateDeletion,
    ({ exchange }) => {
      exchange.tombstones.mayGo = () => true;
    },
  ],
  'time and alive do not wait for the rest': [
    comingBack,
    ({ exchange }) => {
      const use = exchange.peers.use.bind(exchange.peers);
      exchange.peers.use = (session) => {
        use(session);
        session.outbox.isComplete = true;
      };
    },
  ],
  'alive of others is passed on at once': [
    twoWays,
    ({ exchange }) => {
      const use = exchange.peers.use.bind(exchange.peers);
      exchange.peers.use = (session) => {
        use(session);
        session.addForeignPulse = () => {
          for (const { path } of exchange.snapshot.walk())
            if (/^actual-[^/]+\/alive$/.test(path)) session.add(path, 'last');
        };
      };
    },
  ],
};

describe('the judge of the exchange', () => {
  for (const [rule, mutate] of Object.entries(MUTATIONS)) {
    it(`notices when ${rule}`, async function () {
      this.timeout(0);
      const found = await firstFailure((world) => playExchange(world, { mutate }));
      assert.ok(found !== null, `nothing noticed within ${MOST_SEEDS} seeds`);
      if (process.env.MARS_SHOW) console.log(`      seed ${found.seed}: ${found.error.message.split('\n')[0]}`);
    });
  }

  for (const [rule, [story, mutate]] of Object.entries(IN_STORIES)) {
    it(`notices in a story when ${rule}`, async function () {
      this.timeout(0);
      const found = await firstFailure((world) => story(world, mutate));
      assert.ok(found !== null, `nothing noticed within ${MOST_SEEDS} seeds`);
      if (process.env.MARS_SHOW) console.log(`      seed ${found.seed}: ${found.error.message.split('\n')[0]}`);
    });
  }
});

async function firstFailure(play) {
  for (let seed = 1; seed <= MOST_SEEDS; seed++) {
    const world = new World({ seed });
    try {
      await play(world);
    } catch (error) {
      return { seed, error };
    } finally {
      world.close();
    }
  }
  return null;
}
