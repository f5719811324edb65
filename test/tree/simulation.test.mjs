// The store in the seeded world: crashes that roll back recent links, watches that lose news, hosts whose lists meet in any order.
import assert from 'node:assert/strict';
import { setCrashHook } from '@mars/brick-core';
import { NS_PER_SECOND, TreeWatch, publishHole, publishProgress, publishSyncEnd } from '@mars/mars-tree';
import { World, forEachNth, simulateScenario } from '@mars/sim';
import { openStore } from './stores.kit.mjs';
import { afterCrash, converging, losingNews } from './tree.scenario.mjs';

describe('the store in the seeded world', () => {
  for (const scenario of [afterCrash, losingNews, converging]) simulateScenario(scenario);

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

  it('leaves the old value, no temporary link, and an error that says why, whichever step of a write the machine refuses', async () => {
    const codes = new Set();
    const steps = await forEachNth(async (nth) => {
      const world = new World({ seed: nth });
      const host = world.addHost('a');
      host.files.makeDir('/mars');
      const store = openStore(host);
      store.write('actual-a/emergency', '1');
      const before = store.snapshot;
      const fault = host.disk.fault({ on: ['meta'], nth, errno: 28 });
      try {
        store.write('actual-a/emergency', '2');
      } catch (error) {
        codes.add(`${error.code} ${error.details.errno}`);
        assert.equal(store.snapshot, before);
        assert.equal(host.files.readLink('/mars/actual-a/emergency'), '1');
      }
      const failed = fault.hits > 0;
      if (failed) assert.deepEqual(store.disk.names('actual-a').hidden, []);
      world.close();
      return failed;
    });
    assert.equal(steps, 3, 'symlink, time, rename');
    assert.deepEqual([...codes], ['FILE_IO 28']);
  });

  it('takes a value that this file system cannot hold for not allowed, not for a reason to stop', async () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a');
    host.files.makeDir('/mars');
    const store = openStore(host);
    host.disk.fault({ on: ['meta'], nth: 1, errno: 36 });
    const fact = { path: 'uuid', value: 'x'.repeat(2000), stampNs: 5n };
    assert.equal(store.merge(fact), 'not-allowed');
    assert.equal(store.merge(fact), 'taken');
    world.close();
  });

  it('publishes a hole before the log behind it can exist, and looks at everything when it is told to', async () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a');
    host.files.makeDir('/mars');
    const store = openStore(host);
    await world.drive(publishHole(store, 'r', 13));
    host.crash('power');
    host.restart();
    const again = openStore(host);
    assert.equal(again.snapshot.value('resource-r/version-000000013-a'), `${'0'.repeat(32)},log-000000013-a,0:`);
    const watch = new TreeWatch({ store: again, files: host.files, clock: host.loop });
    openStore(host, { program: 'marsadm' }).write('resource-r/size', '4096');
    assert.equal(watch.scanNow(), true);
    assert.equal(watch.scanNow(), false);
    assert.equal(again.snapshot.value('resource-r/size'), '4096');
    world.close();
  });

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
