// The store in the seeded world: crashes that roll back recent links, watches that lose news, hosts whose lists meet in any order.
import assert from 'node:assert/strict';
import { setCrashHook } from '@mars/brick-core';
import {
  LamportClock,
  NS_PER_SECOND,
  TOMBSTONE,
  TreeStore,
  TreeWatch,
  checkFact,
  collectTombstones,
  paths,
  publishProgress,
  publishSyncEnd,
  snapshotText,
  switchToLog,
} from '@mars/mars-tree';
import { World, forEachNth, simulate } from '@mars/sim';

/** The daemon of one life of a host: it reads the tree first. */
function openStore(host, options = {}) {
  const clock = new LamportClock(host.loop);
  const store = new TreeStore({ files: host.files, clock, root: '/mars', me: host.name, ...options });
  store.load();
  return store;
}

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

describe('the store in the seeded world', () => {
  simulate(
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

  it("holds the order of a sync's end whichever step the host dies at", async () => {
    const found = new Set();
    let steps = 0;
    for (let seed = 1; seed <= 12; seed++) steps = await forEachNth((nth) => endOfSync(seed * 1000 + nth, nth));
    async function endOfSync(seed, nth) {
      const world = new World({ seed });
      // A file system that keeps any subset of what was not synced: here the syncs alone must give the order.
      const host = world.addHost('a', { disk: { journal: 'posix' } });
      host.files.makeDir('/mars');
      await world.drive(host.files.syncDir('/'));
      const first = openStore(host);
      first.write('resource-r/syncstatus-a', '0');
      await world.drive(first.sync(['resource-r/syncstatus-a']));
      const fault = host.disk.fault({ on: ['meta', 'sync-dir'], nth, crash: 'power' });
      const position = { log: { sequence: 3, host: 'b' }, posBytes: 81_920, dirtyBytes: 0 };
      host.run(() => publishSyncEnd(first, { resource: 'r', primaryPosition: position, sizeBytes: 4096 }));
      await world.run();
      if (host.isUp) host.crash('power');
      host.restart();
      const { snapshot } = openStore(host);
      const status = snapshot.value('resource-r/syncstatus-a');
      const pos = snapshot.value('resource-r/syncpos-a');
      if (status === '4096') assert.equal(pos, 'log-000000003-b,81920,0', 'complete, but nobody knows since when');
      found.add(`${status} ${pos}`);
      if (fault.hits === 0) assert.equal(status, '4096', 'it was synced');
      world.close();
      return fault.hits > 0;
    }
    assert.ok(steps >= 8, `${steps} steps`);
    assert.ok(found.has('0 null') && found.has('4096 log-000000003-b,81920,0'), [...found].join());
  });

  it('leaves the old value or the new one whichever step of a write the host dies at, and no temporary link', async () => {
    const found = new Set();
    await forEachNth(async (nth) => {
      const world = new World({ seed: nth });
      const host = world.addHost('a');
      host.files.makeDir('/mars');
      const store = openStore(host);
      store.write('actual-a/emergency', '1');
      const fault = host.disk.fault({ on: ['meta'], nth, crash: 'process' });
      host.run(() => void store.write('actual-a/emergency', '2'));
      await world.run();
      if (host.isUp) host.crash('process');
      host.restart();
      const again = openStore(host);
      found.add(again.snapshot.value('actual-a/emergency'));
      assert.deepEqual(again.disk.names('actual-a').hidden, []);
      world.close();
      return fault.hits > 0;
    });
    assert.deepEqual([...found].sort(), ['1', '2']);
  });

  simulate(
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

  it('finds by its slow scan what no watch and no time of a directory tells', async () => {
    const world = new World({ seed: 5 });
    const host = world.addHost('a', { disk: { watch: { lossRate: 1 } } });
    host.files.makeDir('/mars');
    const store = openStore(host, { program: 'marsadm' });
    for (let r = 0; r < 5; r++) store.write(`resource-r${r}/size`, '4096');
    const watch = new TreeWatch({
      store,
      files: host.files,
      clock: host.loop,
      glancePeriodS: 1,
      scanPeriodS: 20,
      sweepStepMs: 100,
    });
    host.run(() => watch.start());
    await world.advance(5_000);
    const before = watch.counts.missed;
    const stampNs = store.snapshot.stampNs('resource-r3/size') + 5n;
    host.files.setLinkTime('/mars/resource-r3/size', stampNs);
    await world.advance(25_000);
    assert.equal(store.snapshot.stampNs('resource-r3/size'), stampNs);
    assert.equal(watch.counts.missed, before + 1);
    assert.ok(watch.counts.scans >= 5 && watch.counts.glances > 100, JSON.stringify(watch.counts));
    watch.stop();
    world.close();
  });

  it('looks at a log that grows a few times a second, whatever its writer does, and at a new one at once', async () => {
    const world = new World({ seed: 6 });
    const host = world.addHost('a', { disk: { watch: { delay: { minUs: 50, maxUs: 200 } } } });
    host.files.makeDir('/mars');
    const store = openStore(host);
    const watch = new TreeWatch({ store, files: host.files, clock: host.loop });
    host.run(() => watch.start());
    host.files.makeDir('/mars/resource-r');
    await world.advance(50);
    host.files.writeFile('/mars/resource-r/log-000000001-a', '');
    await world.advance(10);
    assert.equal(store.snapshot.logs('r').length, 1);
    const { looks } = watch.counts;
    const startNs = host.clock.wallNs();
    for (let i = 1n; i <= 500n; i++) {
      host.files.setLinkTime('/mars/resource-r/log-000000001-a', startNs + i);
      await world.advance(2);
    }
    await world.advance(300);
    assert.equal(store.snapshot.stampNs('resource-r/log-000000001-a'), startNs + 500n);
    assert.ok(watch.counts.events >= 500);
    assert.ok(watch.counts.looks - looks < 20, JSON.stringify(watch.counts));
    watch.stop();
    world.close();
  });

  it('sees a change within milliseconds when no news is lost, and never scans for it', async () => {
    const world = new World({ seed: 3 });
    const host = world.addHost('a', { disk: { watch: { delay: { minUs: 50, maxUs: 200 } } } });
    host.files.makeDir('/mars');
    const store = openStore(host);
    const other = openStore(host, { program: 'marsadm', temporaryPrefix: '.tmp.4711.' });
    for (let r = 0; r < 20; r++) other.write(`resource-r${r}/size`, '4096');
    const watch = new TreeWatch({ store, files: host.files, clock: host.loop });
    host.run(() => watch.start());
    await world.advance(100);
    const { rereads } = watch.counts;
    for (let i = 0; i < 50; i++) {
      other.write('resource-r7/size', String(4096 * (i + 1)));
      await world.advance(10);
      assert.equal(store.snapshot.value('resource-r7/size'), String(4096 * (i + 1)));
    }
    assert.equal(watch.counts.rereads, rereads);
    assert.equal(watch.counts.scans, 0);
    assert.ok(watch.counts.looks <= 100, JSON.stringify(watch.counts));
    watch.stop();
    world.close();
  });

  simulate(
    'trees that exchange lists in any order end alike, and what was deleted stays so',
    { hosts: 4, seeds: 50 },
    async (world) => {
      const { random } = world;
      const hosts = world.hosts;
      for (const host of hosts) {
        host.files.makeDir('/mars');
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

  it('passes its crash points in the order of the specification', () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a');
    host.files.makeDir('/mars');
    const store = openStore(host);
    const passed = [];
    const before = setCrashHook((name) => passed.push(name));
    void publishProgress(
      store,
      { resource: 'r', log: { sequence: 1, host: 'a' }, posBytes: 0, dirtyBytes: 0, lengthBytes: 0 },
      1,
    );
    setCrashHook(before);
    const write = ['tree.before-stamp', 'tree.before-rename'];
    assert.deepEqual(passed, [...write, 'tree.between-replay-and-version', ...write]);
    assert.ok(store.clock.peek() > NS_PER_SECOND);
    world.close();
  });
});

function shuffled(list, random) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}
