// TreeStore on links: the rules of symlink-tree.md 3, on the simulated machine and on this one.
import assert from 'node:assert/strict';
import {
  TOMBSTONE,
  collectTombstones,
  paths,
  publishProgress,
  publishSyncEnd,
  removeStaleTemporaries,
  snapshotText,
  switchToLog,
  takeOverOldTree,
} from '@mars/mars-tree';
import { DAY, HOUR, MACHINES, SECOND, TestTree } from './trees.kit.mjs';

/** The code of the error that is thrown. */
function codeOf(run) {
  try {
    run();
  } catch (error) {
    return error.code ?? error.name;
  }
  return 'nothing thrown';
}

for (const [machine, makeTree] of Object.entries(MACHINES)) {
  describe(`TreeStore on ${machine}`, () => {
    let tree;
    beforeEach(() => void (tree = makeTree()));
    afterEach(() => tree.close());

    it('writes a link with its own stamp, makes the directories above it, and leaves no temporary behind', () => {
      const store = tree.open();
      assert.equal(store.write('resource-r/todo-nodea/attach', '1'), 'written');
      assert.equal(tree.files.readLink(tree.at('resource-r/todo-nodea/attach')), '1');
      const { mtimeNs } = tree.files.lstat(tree.at('resource-r/todo-nodea/attach'));
      assert.equal(mtimeNs, store.snapshot.stampNs('resource-r/todo-nodea/attach'));
      assert.ok(mtimeNs >= tree.systemClock.ns);
      assert.deepEqual(tree.names('resource-r/todo-nodea'), ['attach']);
      assert.equal(tree.files.lstat(tree.at('resource-r')).mode & 0o777, 0o700);
      assert.ok(store.clock.peek() >= mtimeNs);
    });

    it('gives each write of a key a later stamp, also when the system clock goes back by an hour', () => {
      const store = tree.open();
      let last = 0n;
      for (let i = 0; i < 5; i++) {
        store.write('userspace/x', String(i));
        const stampNs = store.snapshot.stampNs('userspace/x');
        assert.ok(stampNs > last);
        last = stampNs;
        if (i === 2) tree.systemClock.ns -= HOUR;
      }
      const again = tree.open();
      again.write('userspace/y', '1');
      assert.ok(again.snapshot.stampNs('userspace/y') > last, 'after a restart, too');
    });

    it('rewrites an equal value only when it is asked to', () => {
      const store = tree.open();
      store.write('userspace/x', '1');
      const before = store.snapshot;
      assert.equal(store.writeIfChanged('userspace/x', '1'), 'unchanged');
      assert.equal(store.snapshot, before);
      assert.equal(store.writeIfChanged('userspace/x', '2'), 'written');
      assert.equal(store.write('userspace/x', '2'), 'written');
      assert.ok(store.snapshot.stampNs('userspace/x') > before.stampNs('userspace/x'));
    });

    it('writes a batch with one stamp, the last value of each path, and tells listeners once', () => {
      const store = tree.open();
      let told = 0;
      store.subscribe(() => told++);
      const facts = [
        { path: 'resource-r/primary', value: '(none)' },
        { path: 'userspace/x', value: '1' },
        { path: 'resource-r/primary', value: 'nodea' },
      ];
      assert.deepEqual(store.writeTogether(facts), []);
      assert.equal(told, 1);
      assert.equal(store.snapshot.value('resource-r/primary'), 'nodea');
      assert.equal(store.snapshot.stampNs('resource-r/primary'), store.snapshot.stampNs('userspace/x'));
    });

    it('refuses bad keys and bad values, and writes nothing before it has read the tree', () => {
      const store = tree.open();
      assert.equal(
        codeOf(() => store.write('../escape', '1')),
        'BAD_KEY',
      );
      assert.equal(
        codeOf(() => store.write('resource-r/size', 'big')),
        'BAD_FACT',
      );
      assert.equal(
        codeOf(() => store.write('userspace/x', '')),
        'BAD_FACT',
      );
      assert.equal(
        codeOf(() => tree.open({ load: false }).write('userspace/x', '1')),
        'InvariantError',
      );
      assert.deepEqual(tree.names(), []);
    });

    it('keeps a daemon from writing keys of other hosts', () => {
      const store = tree.open({ program: 'daemon' });
      assert.equal(store.write('actual-nodea/alive', '1'), 'written');
      assert.equal(store.write('actual-nodeb/read-stamp', '1.000000000'), 'written');
      assert.equal(
        codeOf(() => store.write('actual-nodeb/alive', '1')),
        'InvariantError',
      );
      assert.equal(
        codeOf(() => store.write('resource-r/primary', 'nodea')),
        'InvariantError',
      );
      assert.equal(
        codeOf(() => store.delete('actual-nodeb/read-stamp')),
        'nothing thrown',
      );
    });

    it('merges what is newer with the stamp of its writer, once', () => {
      const store = tree.open();
      const fact = { path: 'ips/ip-nodeb', value: '10.0.0.2', stampNs: tree.systemClock.ns - 5n * SECOND };
      assert.equal(store.merge(fact), 'taken');
      assert.equal(store.snapshot.stampNs(fact.path), fact.stampNs);
      const { snapshot } = store;
      assert.equal(store.merge(fact), 'same');
      assert.equal(store.merge({ ...fact, value: '9', stampNs: fact.stampNs - 1n }), 'older');
      assert.equal(store.merge({ ...fact, value: '10.0.0.1' }), 'older');
      assert.equal(store.snapshot, snapshot);
      assert.equal(store.merge({ ...fact, value: '10.0.0.3' }), 'taken', 'equal stamps: the greater value');
      store.write('userspace/x', '1');
      assert.ok(store.snapshot.stampNs('userspace/x') > fact.stampNs);
    });

    it('makes every later write later than anything merged', () => {
      const store = tree.open();
      const stampNs = tree.systemClock.ns + 3n * DAY;
      store.merge({ path: 'ips/ip-nodeb', value: '10.0.0.2', stampNs });
      store.write('userspace/x', '1');
      assert.ok(store.snapshot.stampNs('userspace/x') > stampNs);
    });

    it('deletes by a tombstone that keeps old values away and gives way to new ones', () => {
      const store = tree.open();
      const path = 'resource-r/size';
      store.merge({ path, value: '4096', stampNs: 5n });
      assert.equal(store.delete(path), 'written');
      assert.equal(tree.files.readLink(tree.at(path)), TOMBSTONE);
      assert.equal(store.snapshot.value(path), null);
      assert.equal(store.delete(path), 'unchanged');
      assert.equal(store.delete('resource-r/maxnr'), 'unchanged', 'nothing is there');
      assert.equal(store.merge({ path, value: '4096', stampNs: 5n }), 'older');
      assert.equal(store.merge({ path: 'resource-r/maxnr', value: TOMBSTONE, stampNs: 5n }), 'nothing-to-delete');
      assert.equal(store.write(path, '8192'), 'written');
      assert.equal(store.snapshot.value(path), '8192');
    });

    it('replaces log files by tombstones, own and merged, and frees them', () => {
      const store = tree.open();
      tree.files.makeDir(tree.at('resource-r'));
      for (const n of [1, 2, 3]) tree.files.writeFile(tree.at(`resource-r/log-00000000${n}-nodea`), 'record');
      store.refreshDirectory('', true);
      assert.deepEqual(
        store.snapshot.logs('r').map(({ sequence }) => sequence),
        [1, 2, 3],
      );
      assert.equal(store.delete('resource-r/log-000000001-nodea'), 'written');
      const late = store.snapshot.stampNs('resource-r/log-000000002-nodea') + 1n;
      tree.systemClock.ns = late + 1n;
      const path = 'resource-r/log-000000002-nodea';
      assert.equal(store.merge({ path, value: TOMBSTONE, stampNs: late - 2n }), 'older');
      assert.equal(store.merge({ path, value: TOMBSTONE, stampNs: late }), 'taken');
      assert.equal(
        store.merge({ path: 'resource-r/log-000000003-nodea', value: '/dev/zero', stampNs: late }),
        'kept-file',
      );
      assert.deepEqual(
        store.snapshot.logs('r').map(({ sequence }) => sequence),
        [3],
      );
      assert.equal(tree.files.lstat(tree.at(path)).kind, 'symlink');
    });

    it('never replaces a file with contents by a merge: it may be a disk', () => {
      tree.files.makeDir(tree.at('resource-r'));
      tree.files.writeFile(tree.at('resource-r/data-nodea'), 'all my data');
      const store = tree.open();
      const stampNs = store.clock.peek() + SECOND;
      assert.equal(store.merge({ path: 'resource-r/data-nodea', value: TOMBSTONE, stampNs }), 'kept-file');
      assert.equal(Buffer.from(tree.files.readFile(tree.at('resource-r/data-nodea'))).toString(), 'all my data');
    });

    it('removes an empty directory for a tombstone, leaves a full one, and makes it again when something newer needs it', () => {
      const store = tree.open();
      store.write('resource-r/todo-nodea/attach', '1');
      assert.equal(store.delete('resource-r/todo-nodea'), 'in-the-way');
      assert.deepEqual(tree.names('resource-r'), ['todo-nodea'], 'no temporary link stays');
      tree.files.unlink(tree.at('resource-r/todo-nodea/attach'));
      assert.equal(store.delete('resource-r/todo-nodea'), 'written');
      const old = { path: 'resource-r/todo-nodea/attach', value: '1', stampNs: 5n };
      assert.equal(store.merge(old), 'in-the-way');
      assert.equal(store.write('resource-r/todo-nodea/attach', '0'), 'written');
      assert.equal(store.snapshot.value('resource-r/todo-nodea/attach'), '0');
    });

    it('leaves a directory in the way of a link alone, and says so once', () => {
      const warnings = [];
      const log = {
        warn: (fields) => warnings.push(fields.problem),
        info() {},
        error() {},
        debug() {},
        child: () => log,
      };
      tree.files.makeDir(tree.at('resource-r/size'), { recursive: true });
      const store = tree.open({ log });
      for (let i = 0; i < 3; i++) assert.equal(store.write('resource-r/size', '4096'), 'in-the-way');
      assert.equal(store.merge({ path: 'resource-r/size', value: '4096', stampNs: 5n }), 'in-the-way');
      assert.deepEqual(warnings, ['directory in the way']);
      assert.deepEqual(tree.names('resource-r'), ['size']);
    });

    it('never walks through a link, so no path leads out of the tree', () => {
      tree.files.makeDir(tree.at('outside'));
      tree.link('resource-r', tree.at('outside'));
      const store = tree.open();
      const stampNs = store.clock.peek() + SECOND;
      assert.equal(store.merge({ path: 'resource-r/size', value: '1', stampNs }), 'in-the-way');
      assert.equal(store.write('resource-r/size', '1'), 'in-the-way');
      assert.deepEqual(tree.names('outside'), []);
    });

    it('refuses what no peer may name', () => {
      const store = tree.open();
      const stampNs = 5n;
      const bad = ['../x', '/etc/passwd', 'a//b', '', 'a/./b', '.tmp-x', 'resource-r/.trust', 'ignore-me', 'a/ignored/b', 'a\u0000b', 'x'.repeat(300), 'a/b/c/d/e/f/g']; // prettier-ignore
      for (const path of bad) assert.equal(store.merge({ path, value: '1', stampNs }), 'not-allowed', path);
      for (const value of ['', 'a\u0000b', 'a\nb', 'x'.repeat(5000), '\ufffd'])
        assert.equal(store.push({ path: 'userspace/x', value, stampNs }), 'not-allowed');
      assert.equal(store.merge({ path: 'userspace/x', value: '1', stampNs: -1n }), 'not-allowed');
      assert.deepEqual(tree.names(), []);
    });

    it('is not dragged by a stamp 31 days ahead, and repairs it so that newer values win', () => {
      for (let i = 0; i < 3; i++) tree.link(`userspace/good${i}`, '1', tree.systemClock.ns - 100n);
      tree.link('userspace/bad', 'x', tree.systemClock.ns + 31n * DAY);
      const store = tree.open();
      assert.ok(store.clock.peek() < tree.systemClock.ns + SECOND);
      assert.deepEqual(store.corruptPaths, ['userspace/bad']);
      assert.deepEqual(store.repair(), ['userspace/bad']);
      assert.equal(store.snapshot.value('userspace/bad'), 'x');
      const repairedNs = store.snapshot.stampNs('userspace/bad');
      // Without the addon stamps are rounded up to microseconds.
      assert.ok(repairedNs < tree.systemClock.ns + 2000n);
      assert.equal(store.merge({ path: 'userspace/bad', value: 'y', stampNs: tree.systemClock.ns + 5000n }), 'taken');
      const far = { path: 'userspace/bad', value: 'z', stampNs: tree.systemClock.ns + 31n * DAY };
      assert.equal(store.merge(far), 'too-far-ahead');
      assert.deepEqual(store.repair(), []);
    });

    it('believes the tree when nearly all of it is far ahead of the system clock', () => {
      for (let i = 0; i < 20; i++) tree.link(`userspace/x${i}`, '1', tree.systemClock.ns);
      tree.systemClock.ns = 1_000n * SECOND;
      const store = tree.open();
      assert.deepEqual(store.corruptPaths, []);
      store.write('userspace/x0', '2');
      assert.ok(store.snapshot.stampNs('userspace/x0') > 1_795_191_000n * SECOND);
    });

    it('steps over whole seconds of marsadm without a daemon', () => {
      const second = tree.systemClock.ns;
      tree.link('userspace/x', '1', second);
      tree.systemClock.ns += SECOND / 2n;
      const store = tree.open();
      store.write('userspace/x', '2');
      const step = store.stampResolution() === 'nanoseconds' ? 1n : 1000n;
      assert.equal(store.snapshot.stampNs('userspace/x'), second + SECOND + step);
    });

    it('sees what others changed when it is told to look', () => {
      const store = tree.open();
      tree.link('resource-r/size', '4096', 77n);
      assert.equal(store.refresh('resource-r'), true);
      assert.equal(store.snapshot.value('resource-r/size'), '4096');
      assert.equal(store.refresh('resource-r/size'), false);
      tree.files.unlink(tree.at('resource-r/size'));
      assert.equal(store.refresh('resource-r/size'), true);
      assert.equal(store.snapshot.entry('resource-r/size'), null);
      assert.equal(store.refreshDirectory('', true), false);
    });

    it("removes its own temporary links of a former life, and nobody else's", () => {
      tree.link('userspace/.tmp-x', 'half');
      tree.link('userspace/.tmp.4711.y', 'of marsadm');
      tree.files.makeDir(tree.at('.trust'));
      tree.open({ program: 'daemon' });
      assert.deepEqual(tree.names('userspace'), ['.tmp.4711.y']);
      assert.deepEqual(tree.names(), ['.trust', 'userspace']);
    });

    it('overwrites a stale temporary link of the same name', () => {
      const store = tree.open();
      tree.link('userspace/.tmp-x', 'stale');
      assert.equal(store.write('userspace/x', '1'), 'written');
      assert.deepEqual(tree.names('userspace'), ['x']);
    });

    it('collects tombstones when all peers have shown up since, and those of addresses only after a week', () => {
      const store = tree.open();
      const now = tree.systemClock.ns;
      const put = (path, value, stampNs) => tree.link(path, value, stampNs);
      put('ips/ip-nodea', '10.0.0.1', 5n);
      put('ips/ip-nodeb', '10.0.0.2', 5n);
      put('ips/ip-gone', TOMBSTONE, now - 10n * HOUR);
      put('ips/ip-older', TOMBSTONE, now - 169n * HOUR);
      put('resource-r/data-nodea', '/dev/sda', 5n);
      put('resource-r/data-nodeb', '/dev/sda', 5n);
      put('resource-r/skip-check-nodea', TOMBSTONE, now - 10n * HOUR);
      put('resource-r/todo-nodea/sync', TOMBSTONE, now - 200n * HOUR);
      put('resource-r/connect-nodea', TOMBSTONE, now - 1n * HOUR);
      put('resource-foreign/skip-check-nodeb', TOMBSTONE, now - 200n * HOUR);
      put('actual-nodeb/time', `${(now - 2n * HOUR) / SECOND}.000000000`, now - 2n * HOUR);
      store.refreshDirectory('', true);
      assert.deepEqual(collectTombstones(store, { confirmedNs: () => null }).sort(), [
        'ips/ip-older',
        'resource-r/todo-nodea/sync',
      ]);
      assert.deepEqual(collectTombstones(store), ['resource-r/skip-check-nodea']);
      assert.deepEqual(collectTombstones(store), []);
      assert.equal(store.snapshot.stampNs('resource-r/skip-check-nodea'), null);
      assert.deepEqual(collectTombstones(store, { force: true }).sort(), [
        'resource-foreign/skip-check-nodeb',
        'resource-r/connect-nodea',
      ]);
      assert.ok(store.snapshot.entry('ips/ip-gone').isTombstone);
    });

    it('removes temporary links that others left behind long ago, and no other hidden name', () => {
      const now = tree.systemClock.ns;
      tree.link('resource-r/.tmp.4711.size', '1', now - 2n * HOUR);
      tree.link('resource-r/.tmp.4712.size', '1', now - HOUR / 2n);
      tree.link('.deleted-ips', '1', now - 2n * HOUR);
      assert.deepEqual(removeStaleTemporaries(tree.open()), ['resource-r/.tmp.4711.size']);
      assert.deepEqual(tree.names('resource-r'), ['.tmp.4712.size']);
      assert.deepEqual(tree.names(), ['.deleted-ips', 'resource-r']);
    });

    it('does not collect a tombstone that has become a value meanwhile', () => {
      tree.link('userspace/x', TOMBSTONE, 5n);
      const store = tree.open();
      tree.files.unlink(tree.at('userspace/x'));
      tree.link('userspace/x', 'new', tree.systemClock.ns);
      assert.deepEqual(collectTombstones(store, { force: true }), []);
      assert.equal(tree.files.readLink(tree.at('userspace/x')), 'new');
    });

    it('ends the deletion protocol of an old tree', () => {
      const M = 50n * SECOND;
      tree.link('resource-r/size', '4096', M - 5n);
      tree.link('resource-r/primary', 'nodea', M + 5n);
      tree.link('todo-global/delete-000000001-nodeb', '/mars/resource-r/size', M);
      tree.link('todo-global/delete-000000002-nodeb', '/mars/resource-r/primary', M);
      tree.link('todo-global/delete-000000003-nodeb', '/etc/passwd', M);
      tree.link('todo-global/deleted-nodea', '000000001', M);
      tree.link('resource-r/.deleted-maxnr', '1', M);
      const store = tree.open();
      assert.equal(store.merge({ path: 'resource-r/maxnr', value: '7', stampNs: M - 1n }), 'older');
      const { deleted } = takeOverOldTree(store);
      assert.deepEqual(deleted, ['resource-r/size']);
      assert.equal(store.snapshot.stampNs('resource-r/size'), M);
      assert.equal(store.snapshot.value('resource-r/primary'), 'nodea');
      assert.deepEqual(tree.names('todo-global'), []);
      assert.deepEqual(tree.names('resource-r'), ['primary', 'size'], 'a marker of decades ago has gone');
    });

    it('honours a fresh marker of an old tree until something newer comes', () => {
      const M = tree.systemClock.ns - HOUR;
      tree.link('resource-r/.deleted-maxnr', '1', M);
      const store = tree.open();
      takeOverOldTree(store);
      assert.equal(store.merge({ path: 'resource-r/maxnr', value: '7', stampNs: M - 1n }), 'older');
      assert.equal(store.merge({ path: 'resource-r/maxnr', value: '8', stampNs: M + 1n }), 'taken');
      assert.deepEqual(tree.names('resource-r'), ['maxnr']);
    });

    it('publishes progress in the order of the specification: byte for byte, and nothing twice', async () => {
      const store = tree.open({ program: 'daemon' });
      const log = { sequence: 1, host: 'nodea' };
      const at = { resource: 'r', log, posBytes: 5000, dirtyBytes: 0, lengthBytes: 5000 };
      assert.equal(await tree.settle(publishProgress(store, at, 0)), true);
      assert.equal(await tree.settle(publishProgress(store, at, 1)), false);
      await tree.settle(switchToLog(store, 'r', { sequence: 2, host: 'nodea' }));
      assert.equal(
        store.snapshot.value(paths.version('r', 2, 'nodea')),
        'a240134cc9fc68af8da051cceaff0fd6,log-000000002-nodea,0:be01168da29be039c04594d4816e93fd,log-000000001-nodea,5000',
      );
      assert.equal(store.snapshot.value(paths.replay('r', 'nodea')), 'log-000000002-nodea,0,0');
      assert.ok(
        store.snapshot.stampNs(paths.replay('r', 'nodea')) < store.snapshot.stampNs(paths.version('r', 2, 'nodea')),
      );
      await tree.settle(
        publishSyncEnd(store, { resource: 'r', primaryPosition: { log, posBytes: 1, dirtyBytes: 0 }, sizeBytes: 4096 }),
      );
      assert.equal(store.snapshot.value(paths.syncStatus('r', 'nodea')), '4096');
    });

    it('takes a tombstone out of the way of a new log file', () => {
      const store = tree.open({ program: 'daemon' });
      const path = 'resource-r/log-000000001-nodea';
      tree.link(path, TOMBSTONE, 5n);
      store.refreshDirectory('', true);
      store.makeWayForFile(path);
      store.makeWayForFile('resource-s/log-000000001-nodea');
      assert.equal(tree.files.lstat(tree.at(path)), null);
      assert.equal(tree.files.lstat(tree.at('resource-s')).kind, 'directory');
      tree.files.writeFile(tree.at(path), '');
      store.makeWayForFile(path);
      assert.equal(tree.files.lstat(tree.at(path)).kind, 'file');
    });

    it('knows what the machine keeps of a stamp, and leaves nothing behind when it tries', () => {
      const store = tree.open();
      assert.ok(['nanoseconds', 'microseconds'].includes(store.stampResolution()));
      assert.deepEqual(tree.names(), []);
      const cutting = Object.create(tree.files);
      cutting.setLinkTime = (path, ns) => tree.files.setLinkTime(path, (ns / SECOND) * SECOND);
      const coarse = new TestTree(cutting, tree.systemClock, tree.root).open();
      assert.equal(coarse.stampResolution(), 'coarser');
      const fact = { path: 'userspace/x', value: '1', stampNs: 7n * SECOND + 5n };
      assert.equal(coarse.merge(fact), 'taken');
      assert.equal(coarse.merge(fact), 'same');
    });

    it('refuses listeners that change the tree', () => {
      const store = tree.open();
      store.subscribe(() => store.write('userspace/y', '1'));
      assert.equal(
        codeOf(() => store.write('userspace/x', '1')),
        'InvariantError',
      );
    });

    it('reads after a restart exactly what it had', () => {
      const store = tree.open();
      store.write('resource-r/size', '4096');
      store.write('resource-r/primary', 'nodea');
      store.delete('resource-r/size');
      store.merge({ path: 'ips/ip-nodeb', value: '10.0.0.2', stampNs: 123_456_789_123n });
      assert.equal(snapshotText(tree.open().snapshot), snapshotText(store.snapshot));
    });

    it('says what is wrong when the tree is not there', () => {
      tree.root += '/nowhere';
      assert.equal(
        codeOf(() => tree.open()),
        'FILE_IO',
      );
    });
  });
}
