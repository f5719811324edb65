// Trees that people and other programs have made: with ln -s, touch, mkdir, and worse.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { MarsError } from '@mars/brick-core';
import { ALL_KEYS, TreeSnapshot, TreeWatch, findKey, paths } from '@mars/mars-tree';
import { createPlatform } from '@mars/platform';
import { TestTree, realTree } from './trees.kit.mjs';

const isRoot = process.getuid?.() === 0;

/** `ln -s VALUE PATH`, as a person types it. */
function ln(tree, name, value) {
  mkdirSync(path.dirname(tree.at(name)), { recursive: true });
  execFileSync('ln', ['-sfn', '--', value, tree.at(name)]);
}

function touch(tree, name, time) {
  execFileSync('touch', ['-h', '-d', time, tree.at(name)]);
}

describe('a tree made by hand', () => {
  let tree;
  beforeEach(() => void (tree = realTree()));
  afterEach(() => tree.close());

  it('is read as the specification says: every example of every key', () => {
    const wanted = new Map();
    for (const key of ALL_KEYS) {
      for (const [name, value] of key.examples) {
        if (value === undefined || name.includes('/.') || key.kind === 'file') continue;
        // Two examples of one key: the second replaces the first.
        ln(tree, name, value);
        wanted.set(name, { key, value });
      }
    }
    assert.ok(wanted.size > 40, `${wanted.size} examples`);
    const { snapshot } = tree.open();
    for (const [name, { key, value }] of wanted) {
      assert.equal(snapshot.value(name), value);
      assert.equal(findKey(name).key, key);
      assert.deepEqual(snapshot.read(name, key.codec), key.codec.parse(value), name);
    }
    assert.deepEqual(snapshot.resources(), ['mydata']);
    assert.deepEqual(snapshot.members('mydata'), ['nodea']);
    assert.equal(snapshot.primary('mydata'), null);
    assert.ok(snapshot.isOn('mydata', 'nodea', 'attach'));
  });

  it('takes the time of the link itself, also where the link dangles or points into the tree', () => {
    ln(tree, 'resource-r/size', '4096');
    touch(tree, 'resource-r/size', '2026-11-20T10:00:00.123456789Z');
    ln(tree, 'resource-r/data-nodea', '/dev/vg00/nothing-there');
    ln(tree, 'userspace/loop', 'loop');
    ln(tree, 'userspace/dir', '..');
    const { snapshot } = tree.open();
    assert.equal(snapshot.stampNs('resource-r/size'), BigInt(Date.UTC(2026, 10, 20, 10)) * 1_000_000n + 123_456_789n);
    assert.equal(snapshot.value('userspace/loop'), 'loop');
    assert.equal(snapshot.value('userspace/dir'), '..');
    assert.equal(snapshot.directory('userspace/dir'), null);
  });

  it('survives everything that a directory can hold', () => {
    const store0 = tree.open();
    store0.write('resource-r/size', '4096');
    mkdirSync(tree.at('resource-r/primary'));
    mkdirSync(tree.at('a/b/c/d/e/f/g/h'), { recursive: true });
    writeFileSync(tree.at('resource-r/replay-nodea'), 'a file where a link belongs');
    writeFileSync(tree.at('resource-r/systemd-want'), '');
    mkdirSync(tree.at('userspace'));
    symlinkSync('x'.repeat(4000), tree.at('userspace/long'));
    symlinkSync('1', tree.at(`userspace/${'n'.repeat(255)}`));
    symlinkSync('two\nlines', tree.at('userspace/lines'));
    const broken = Buffer.concat([Buffer.from(tree.at('userspace/')), Buffer.from([0xff, 0xfe, 0x61])]);
    symlinkSync('1', broken);
    symlinkSync(Buffer.from([0x61, 0xff]), tree.at('userspace/value'));
    execFileSync('mkfifo', [tree.at('resource-r/data-nodea')]);
    const reported = [];
    const log = {
      warn: (fields) => reported.push(`${fields.problem}: ${fields.path}`),
      info() {},
      error() {},
      debug() {},
      child: () => log,
    };
    const store = tree.open({ log });
    const { snapshot } = store;
    assert.equal(snapshot.value('resource-r/size'), '4096');
    assert.equal(snapshot.primary('r'), null);
    assert.equal(snapshot.value('resource-r/replay-nodea'), null);
    assert.equal(snapshot.value('userspace/long').length, 4000);
    assert.equal(snapshot.value('userspace/lines'), '');
    assert.equal(snapshot.value('userspace/value'), '');
    assert.equal(snapshot.node('resource-r/data-nodea'), null);
    assert.equal(new Set(reported).size, reported.length, 'each is reported once');
    for (const what of [
      'too deep: a/b/c/d/e',
      'name is no UTF-8',
      'value is no plain text: userspace/value',
      'neither link',
    ]) {
      assert.ok(
        reported.some((line) => line.startsWith(what)),
        `${what} in ${reported.join('\n')}`,
      );
    }
    // And all of it can be replaced where that loses nothing.
    assert.equal(store.write('userspace/value', 'good'), 'written');
    assert.equal(store.write('resource-r/systemd-want', 'nodea'), 'written');
    assert.equal(store.write('resource-r/replay-nodea', 'log-000000001-nodea,0,0'), 'written');
    assert.equal(tree.files.readLink(tree.at('resource-r/systemd-want')), 'nodea');
  });

  it('does not mind owners and modes', () => {
    ln(tree, 'resource-r/size', '4096');
    if (isRoot) lchownSync(tree.at('resource-r/size'), 65534, 65534);
    chmodSync(tree.at('resource-r'), 0o500);
    const store = tree.open();
    assert.equal(store.snapshot.value('resource-r/size'), '4096');
    chmodSync(tree.at('resource-r'), 0o700);
    assert.equal(store.write('resource-r/size', '8192'), 'written');
  });

  it('keeps what it knows of things that cannot be read any more, and does not write blindly over them', () => {
    ln(tree, 'resource-r/size', '4096');
    ln(tree, 'resource-s/size', '4096');
    let isDefective = false;
    const files = Object.create(tree.files);
    const orDie = (name) => (where) => {
      if (isDefective && (where.endsWith('resource-r') || where.endsWith('resource-s/size'))) {
        throw new MarsError('FILE_IO', 'the disk is defective', { details: { errno: 5 } });
      }
      return tree.files[name](where);
    };
    Object.assign(files, { lstat: orDie('lstat'), readDir: orDie('readDir') });
    const store = new TestTree(files, tree.systemClock, tree.root).open();
    const before = store.snapshot;
    isDefective = true;
    store.refreshDirectory('', true);
    store.refresh('resource-s/size');
    assert.equal(store.snapshot, before);
    assert.throws(() => store.write('resource-s/size', '8192'), /cannot be read/);
    isDefective = false;
    assert.equal(store.write('resource-s/size', '8192'), 'written');
  });

  it('reads batches of marsadm: one stamp for many links, whole seconds, temporaries of its own', () => {
    for (const [name, value] of [['primary', '(none)'], ['size', '4096'], ['.tmp.4711.maxnr', '1']]) ln(tree, `resource-r/${name}`, value); // prettier-ignore
    for (const name of ['primary', 'size']) touch(tree, `resource-r/${name}`, '2026-11-20T10:00:00Z');
    const store = tree.open();
    assert.equal(store.snapshot.stampNs('resource-r/size'), store.snapshot.stampNs('resource-r/primary'));
    assert.equal(store.snapshot.node('resource-r/.tmp.4711.maxnr'), null);
    assert.equal(store.write(paths.primary('r'), 'nodea'), 'written');
    assert.ok(store.snapshot.stampNs('resource-r/primary') > store.snapshot.stampNs('resource-r/size'));
  });
});

describe('watching real files', () => {
  let tree;
  let platform;
  beforeEach(() => {
    tree = realTree();
    platform = createPlatform({ ring: 'threads', arenaBytes: 1 << 20, poolObjects: 16, log: { level: 'silent' } });
  });
  afterEach(async () => {
    await platform.close();
    tree.close();
  });

  it('notices links of other programs, in directories that are there and in new ones', async () => {
    ln(tree, 'resource-r/size', '4096');
    const store = tree.open();
    const watch = new TreeWatch({ store, files: tree.files, clock: platform.loop });
    watch.start();
    let arrived = () => {};
    store.subscribe(() => arrived());
    const until = async (isThere) => {
      while (!isThere(store.snapshot)) await new Promise((resolve) => (arrived = resolve));
    };
    while (watch.directories.watched < watch.directories.known) await platform.loop.sleep(1);
    ln(tree, 'resource-r/size', '8192');
    await until((snapshot) => snapshot.value('resource-r/size') === '8192');
    ln(tree, 'resource-s/todo-nodea/attach', '1');
    await until((snapshot) => snapshot.isOn('s', 'nodea', 'attach'));
    ln(tree, 'resource-s/todo-nodea/attach', '0');
    await until((snapshot) => !snapshot.isOn('s', 'nodea', 'attach'));
    execFileSync('rm', ['-r', tree.at('resource-s')]);
    await until((snapshot) => snapshot.directory('resource-s') === null);
    assert.notEqual(store.snapshot, TreeSnapshot.EMPTY);
    assert.equal(watch.counts.missed, 0);
    watch.stop();
    assert.deepEqual(watch.directories, { known: 0, watched: 0 });
  });
});
