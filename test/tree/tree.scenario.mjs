// Stories of the tree in the seeded world: `npm run sim -- --scenario trees-converge --seed 7`.
import assert from 'node:assert/strict';
import {
  TOMBSTONE,
  TreeWatch,
  checkFact,
  collectTombstones,
  paths,
  publishProgress,
  snapshotText,
  switchToLog,
} from '@mars/mars-tree';
import { defineScenario } from '@mars/sim';
import { openStore } from './stores.kit.mjs';

/** What a power cut may not take, and what must hold for anything it leaves. */
class Witness {
  /** path → every [value, stamp] that was ever put there, oldest first; values of the durable prefix cannot be lost. */
  written = new Map();
  durable = new Map();

  note(store, path) {
    const entry = store.snapshot.entry(path);
    if (!this.written.has(path)) this.written.set(path, []);
    this.written.get(path).push(entry);
  }

  /** Everything up to now is durable. */
  synced() {
    for (const [path, entries] of this.written) this.durable.set(path, entries.length - 1);
  }

  check(store) {
    for (const [path, entries] of this.written) {
      const there = store.snapshot.entry(path);
      const oldest = this.durable.get(path) ?? -1;
      const at = there === null ? -1 : entries.findLastIndex((entry) => entry.equals(there));
      assert.ok(
        there === null || at >= 0,
        `${path} holds something that nobody wrote: ${there?.value} @ ${there?.stampNs}`,
      );
      assert.ok(at >= oldest, `${path} has lost a durable value`);
      if (there?.kind === 'link') checkFact(path, there.value);
    }
    const leftOver = store.disk.names('').hidden.concat(store.disk.names('resource-r')?.hidden ?? []);
    assert.deepEqual(leftOver, [], 'temporary links');
  }
}

/** A secondary's life: publishes progress, switches logs, ends a sync; dies somewhere in it. */
async function live(host, witness, random, state) {
  const store = openStore(host);
  state.store = store;
  for (;;) {
    const { log } = state;
    const at = {
      resource: 'r',
      log,
      posBytes: state.pos,
      dirtyBytes: random.int(3) * 512,
      lengthBytes: state.pos + 4096,
    };
    const noteAll = () => {
      for (const path of [paths.replay('r', host.name), paths.version('r', log.sequence, host.name)])
        witness.note(store, path);
    };
    const before = state.published;
    const done = publishProgress(store, at, before);
    noteAll();
    await done;
    if (log.sequence > before) witness.synced();
    state.published = log.sequence;
    state.pos += random.int(5) * 4096;
    if (random.int(4) === 0) {
      state.log = { sequence: log.sequence + 1, host: log.host };
      state.pos = 0;
      const switching = switchToLog(store, 'r', state.log);
      for (const path of [paths.replay('r', host.name), paths.version('r', state.log.sequence, host.name)])
        witness.note(store, path);
      await switching;
      witness.synced();
      state.published = state.log.sequence;
    }
    await host.loop.sleep(random.float() * 3);
  }
}

export const afterCrash = defineScenario(
  'tree-after-a-crash',
  'a crash leaves of each link a value that was written and none older than the last sync',
  { hosts: 0, seeds: 50 },
  async (world) => {
    const { random } = world;
    const witness = new Witness();
    const state = { log: { sequence: 1, host: 'a' }, pos: 0, published: 0, store: null };
    const host = world.addHost('a', {
      // Skewed, and jumping backwards at every crash.
      skewMs: random.int(2 * 86_400_000) - 86_400_000,
      boot: (self) => live(self, witness, random, state),
    });
    host.files.makeDir('/mars');
    await world.drive(host.files.syncDir('/'));
    let newestNs = 0n;
    for (let crash = 0; crash < 6; crash++) {
      await world.advance(1 + random.float() * 30);
      if (state.store !== null) newestNs = state.store.clock.peek();
      host.crash(random.int(4) === 0 ? 'process' : 'power');
      host.clock.jumpMs(-random.int(3_600_000));
      // Look at what is left before the next life changes it; a daemon would do the same as its first act.
      host.restart();
      const store = openStore(host);
      witness.check(store);
      checkOrder(store, host.name);
      // What a crash has taken was perhaps never seen by anybody: from here on it counts as not written.
      witness.written.clear();
      witness.durable.clear();
      for (const { path } of store.snapshot.walk()) witness.note(store, path);
      resume(store, host.name, state);
    }
    assert.ok(newestNs > 0n);
  },
);

/** Rule 4 of 5.6: the version link of a log never survives without the replay link that was written before it. */
function checkOrder(store, me) {
  const newest = store.snapshot.versions('r', me).at(-1);
  if (newest === undefined) return;
  const replay = store.snapshot.value(paths.replay('r', me));
  assert.ok(replay !== null, 'a version link without a replay link');
  assert.ok(Number(replay.slice(4, 13)) >= newest, `version ${newest} is ahead of ${replay}`);
}

function resume(store, me, state) {
  const replay = store.snapshot.value(paths.replay('r', me));
  const sequence = replay === null ? 1 : Number(replay.slice(4, 13));
  Object.assign(state, {
    log: { sequence, host: me },
    pos: replay === null ? 0 : Number(replay.split(',')[1]),
    published: 0,
    store: null,
  });
}

export const losingNews = defineScenario(
  'tree-watch-that-loses-news',
  'a watch that loses news still sees everything in the end, and costs looks in proportion to changes',
  { hosts: 0, seeds: 20 },
  async (world) => {
    const { random } = world;
    const host = world.addHost('a', { disk: { watch: { lossRate: 0.3, overflowRate: 0.1 } } });
    host.files.makeDir('/mars');
    const store = openStore(host);
    const other = openStore(host, { program: 'marsadm', temporaryPrefix: '.tmp.4711.' });
    const watch = new TreeWatch({
      store,
      files: host.files,
      clock: host.loop,
      glancePeriodS: 2,
      scanPeriodS: 4,
      sweepStepMs: 100,
    });
    host.run(() => watch.start());
    for (let i = 0; i < 150; i++) {
      const path = `resource-r${random.int(5)}/todo-h${random.int(3)}/${['attach', 'sync'][random.int(2)]}`;
      if (random.int(6) === 0) other.delete(path);
      else other.write(path, String(random.int(2)));
      if (random.int(10) === 0) await world.advance(random.float() * 40);
    }
    await world.advance(9_000);
    other.refreshDirectory('', true);
    assert.equal(snapshotText(store.snapshot), snapshotText(other.snapshot));
    assert.deepEqual(store.snapshot.changesTo(other.snapshot), []);
    assert.ok(watch.counts.looks <= watch.counts.events, JSON.stringify(watch.counts));
    watch.stop();
  },
);

export const converging = defineScenario(
  'trees-converge',
  'trees that exchange lists in any order end alike, and what was deleted stays so',
  { hosts: 4, seeds: 50 },
  async (world) => {
    const { random } = world;
    const hosts = world.hosts;
    for (const host of hosts) {
      host.files.makeDir('/mars');
      await world.drive(host.files.syncDir('/'));
      host.clock.jumpMs(random.int(6 * 86_400_000) - 3 * 86_400_000);
    }
    const stores = hosts.map((host) => openStore(host, { program: 'marsadm' }));
    const keys = ['resource-r/primary', 'resource-r/size', 'ips/ip-a', 'resource-r/todo-b/attach', 'userspace/x'];
    const values = { 'resource-r/primary': ['a', 'b', '(none)'], 'ips/ip-a': ['10.0.0.1', '10.0.0.2'] };
    const exchange = (to, from) => {
      // Lists may be old: keep a few and deliver them late.
      const list = [...from.snapshot.walk()].filter(({ entry }) => entry.kind === 'link');
      to.batch(() => {
        for (const { path, entry } of shuffled(list, random))
          to.merge({ path, value: entry.value, stampNs: entry.stampNs });
      });
      return list;
    };
    const late = [];
    const newest = stores.map(() => new Map());
    for (let i = 0; i < 60; i++) {
      const at = random.int(stores.length);
      const store = stores[at];
      const path = keys[random.int(keys.length)];
      const choice = random.int(4);
      if (choice === 0) store.delete(path);
      else if (choice < 3)
        store.write(path, (values[path] ?? ['0', '1'])[random.int((values[path] ?? ['0', '1']).length)]);
      else late.push([random.int(stores.length), exchange(store, stores[random.int(stores.length)])]);
      if (late.length > 0 && random.int(3) === 0) {
        const [to, list] = late.splice(random.int(late.length), 1)[0];
        for (const { path: p, entry } of list)
          stores[to].merge({ path: p, value: entry.value, stampNs: entry.stampNs });
      }
      stampsOnlyGrow(store, newest[at]);
      if (random.int(12) === 0) {
        // Recent links are rolled back, and what was merged comes again from the others.
        const host = hosts[at];
        host.crash('power');
        host.restart();
        stores[at] = openStore(host, { program: 'marsadm' });
        newest[at].clear();
      }
      if (random.int(8) === 0) await world.advance(random.float() * 1000);
    }
    for (let round = 0; round < 2; round++) for (const to of stores) for (const from of stores) exchange(to, from);
    const texts = stores.map((store) => withoutTombstones(store));
    for (const text of texts) assert.equal(text, texts[0]);
    for (const store of stores) {
      const before = store.snapshot;
      for (const from of stores) exchange(store, from);
      assert.equal(store.snapshot, before, 'the same lists again change nothing');
      for (const path of collectTombstones(store, { confirmedNs: () => store.clock.peek() }))
        assert.equal(store.snapshot.entry(path), null);
    }
  },
);

function stampsOnlyGrow(store, newest) {
  for (const { path, entry } of store.snapshot.walk()) {
    assert.ok(entry.stampNs >= (newest.get(path) ?? 0n), path);
    newest.set(path, entry.stampNs);
  }
}

function withoutTombstones(store) {
  return snapshotText(store.snapshot)
    .split('\n')
    .filter((line) => !line.includes(`-> ${TOMBSTONE} `))
    .join('\n');
}

function shuffled(list, random) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}
