import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { isMarsError, type MarsError } from '@mars/brick-core';
import { native } from '../native.js';
import { sandbox } from '../testing/index.js';
import { RealFiles } from './real-files.js';
import { ceilToUs, setLinkTimeUs, splitNs } from './stamps.js';
import { devNumbers } from './sys-block.js';

const isRoot = process.getuid?.() === 0;

/** The MarsError that `run` throws. */
async function failureOf(run: () => unknown): Promise<MarsError> {
  try {
    await run();
  } catch (error) {
    assert.ok(isMarsError(error), String(error));
    return error;
  }
  return assert.fail('nothing was thrown');
}

describe('RealFiles', () => {
  const dir = sandbox();
  const files = new RealFiles();
  after(() => files.shutDown());

  it('opens, sizes, cuts and syncs a file', async () => {
    const path = dir.file();
    const file = await files.open(path, { write: true, create: true, exclusive: true });
    assert.deepEqual(
      [file.path, file.isBlockDevice, file.sizeBytes, file.alignBytes, file.isReadOnly],
      [path, false, 0, 1, false],
    );
    await files.truncate(file, 5 * 2 ** 30);
    assert.equal(files.size(file), 5 * 2 ** 30);
    await files.sync(file);
    await files.sync(file, { metadata: true });
    await files.syncDir(dir.path);
    assert.equal(files.stat(path)!.mode, 0o600);
    await files.close(file);
    const again = await files.open(path, {});
    assert.deepEqual([again.isReadOnly, again.canDiscard], [true, false]);
    await files.close(again);
  });

  it('reads and writes at a position, short only at the end, and tells data from holes', async () => {
    const file = await files.open(dir.file(), { write: true, create: true });
    const data = Buffer.alloc(100_000, 'd');
    await files.writeAt(file, data, 1 << 20);
    await files.truncate(file, 2 << 20);
    const into = Buffer.alloc(150_000);
    assert.equal(await files.readAt(file, into, 1 << 20), 150_000);
    assert.ok(into.subarray(0, 100_000).equals(data));
    assert.equal(await files.readAt(file, into, (2 << 20) - 10), 10);
    const extents = files.extents(file, 0, 2 << 20, 100);
    let pos = 0;
    for (const { posBytes, lenBytes } of extents) {
      assert.equal(posBytes, pos, 'no gaps');
      pos += lenBytes;
    }
    assert.equal(pos, 2 << 20);
    const isData = (at: number): boolean =>
      extents.find((e) => e.posBytes <= at && at < e.posBytes + e.lenBytes)!.type === 0;
    assert.ok(isData((1 << 20) + 50_000));
    assert.equal(files.extents(file, 0, 2 << 20, 1).length, 1);
    await files.close(file);
    assert.equal((await failureOf(() => files.readAt({ ...file, fd: 1 << 19 }, into, 0))).details['errno'], 9);
  });

  it('says what was tried, why it failed and what to do', async () => {
    const missing = await failureOf(() => files.open(dir.file('no'), {}));
    assert.equal(missing.code, 'FILE_OPEN');
    assert.equal(missing.details['errno'], 2);
    assert.match(missing.message, /^cannot open .* for reading: ENOENT/);
    assert.match(missing.hint!, /spelling/);
    fs.symlinkSync('/etc/passwd', dir.path + '/link');
    const link = await failureOf(() => files.open(dir.path + '/link', { noFollow: true }));
    assert.equal(link.details['errno'], 40);
    const directory = await failureOf(() => files.open(dir.path, {}));
    assert.match(directory.message, /neither a file nor a block device/);
    fs.writeFileSync(dir.path + '/there', '');
    const there = await failureOf(() =>
      files.open(dir.path + '/there', { write: true, create: true, exclusive: true }),
    );
    assert.equal(there.details['errno'], 17);
  });

  it('does not hang on a pipe in place of a file', async function () {
    const path = dir.file('fifo');
    const { execFileSync } = await import('node:child_process');
    execFileSync('mkfifo', [path]);
    assert.match((await failureOf(() => files.open(path, {}))).message, /neither a file/);
  });

  it('answers null for what is not there, and throws for what is broken', async () => {
    const none = dir.file('none');
    assert.deepEqual(
      [files.stat(none), files.lstat(none), files.readDir(none), files.readLink(none), files.readFile(none)],
      [null, null, null, null, null],
    );
    fs.writeFileSync(dir.path + '/plain', 'x');
    assert.equal(files.stat(dir.path + '/plain/below'), null);
    assert.equal((await failureOf(() => files.readLink(dir.path + '/plain'))).details['errno'], 22);
    assert.equal((await failureOf(() => files.readFile(dir.path))).details['errno'], 21);
    assert.equal((await failureOf(() => files.unlink(none))).details['errno'], 2);
  });

  it('makes, lists, renames and removes', () => {
    const at = dir.file('tree');
    files.makeDir(join(at, 'a/b'), { recursive: true, mode: 0o700 });
    files.symlink('target', join(at, 'l'));
    files.writeFile(join(at, 'f'), 'data');
    const list = files.readDir(at)!.sort((x, y) => x.name.localeCompare(y.name));
    assert.deepEqual(list, [
      { name: 'a', kind: 'directory' },
      { name: 'f', kind: 'file' },
      { name: 'l', kind: 'symlink' },
    ]);
    assert.equal(files.readLink(join(at, 'l')), 'target');
    assert.equal(files.lstat(join(at, 'l'))!.kind, 'symlink');
    files.rename(join(at, 'f'), join(at, 'g'));
    files.unlink(join(at, 'g'));
    files.unlink(join(at, 'l'));
    files.removeDir(join(at, 'a/b'));
    assert.equal(files.readDir(join(at, 'a'))!.length, 0);
  });

  it('replaces a file in one step, keeps its mode, and leaves no temporary file behind', async () => {
    const at = dir.file('atomic');
    files.makeDir(at);
    const path = join(at, 'state');
    files.writeFile(path, 'one', { mode: 0o640 });
    const reader = fs.openSync(path, 'r');
    files.writeFile(path, Buffer.from('two'));
    assert.equal(fs.readFileSync(reader, 'latin1'), 'one', 'an old reader keeps the old contents');
    fs.closeSync(reader);
    assert.equal(Buffer.from(files.readFile(path)!).toString(), 'two');
    assert.equal(files.stat(path)!.mode, 0o640);
    files.makeDir(join(at, 'busy'));
    await failureOf(() => files.writeFile(join(at, 'busy'), 'not over a directory'));
    assert.deepEqual(fs.readdirSync(at).sort(), ['busy', 'state']);
  });

  it('sets link times to the nanosecond where the addon is, far from today as well', function () {
    if (!native) return this.skip();
    const path = dir.file('stamp');
    files.symlink('x', path);
    for (const ns of [1_700_000_000_123_456_789n, 1n, -1n, 4_000_000_000_999_999_999n]) {
      files.setLinkTime(path, ns);
      assert.equal(files.lstat(path)!.mtimeNs, ns);
    }
  });

  it('rounds link times up to whole microseconds without the addon', () => {
    const path = dir.file('stamp');
    files.symlink('x', path);
    for (const ns of [
      1_700_000_000_123_456_789n,
      1_700_000_000_123_456_000n,
      1_699_999_999_999_999_999n,
      1_923_456_789_000_001_001n,
    ]) {
      setLinkTimeUs(path, ns);
      assert.equal(files.lstat(path)!.mtimeNs, ceilToUs(ns), String(ns));
    }
    assert.equal(ceilToUs(-1n), 0n);
    assert.deepEqual(splitNs(-1n), { sec: -1, nsec: 999_999_999 });
  });

  it('knows the free space', async () => {
    const space = files.space(dir.path);
    assert.ok(
      space.totalBytes >= space.freeBytes && space.freeBytes >= space.availableBytes && space.availableBytes > 0,
    );
  });

  it('tells about changes of a directory, and about its return after it was removed', async () => {
    const at = dir.file('watched');
    files.makeDir(at);
    const names: (string | null)[] = [];
    let arrived = (): void => {};
    const unwatch = files.watch(at, (name) => {
      names.push(name);
      arrived();
    });
    const until = async (name: string | null): Promise<void> => {
      while (!names.includes(name)) await new Promise<void>((resolve) => (arrived = resolve));
    };
    files.writeFile(join(at, 'new'), 'x');
    await until('new');
    fs.rmSync(at, { recursive: true });
    const back = setInterval(() => fs.existsSync(at) || files.makeDir(at), 100);
    await until(null);
    clearInterval(back);
    unwatch();
    unwatch();
  });

  it('splits device numbers as the C library joins them', () => {
    const join = (major: bigint, minor: bigint): bigint =>
      ((major & 0xfffn) << 8n) | ((major & 0xfffff000n) << 32n) | (minor & 0xffn) | ((minor & 0xffffff00n) << 12n);
    for (const [major, minor] of [
      [8, 1],
      [259, 1_048_575],
      [0x12345, 0x6789a],
    ] as const) {
      assert.deepEqual(devNumbers(join(BigInt(major), BigInt(minor))), { major, minor });
    }
  });

  it('refuses a directory that can never be made, at once', async () => {
    assert.equal((await failureOf(() => files.makeDir('/proc/no/where', { recursive: true }))).details['errno'], 2);
    fs.writeFileSync(dir.path + '/in-the-way', '');
    const error = await failureOf(() => files.makeDir(dir.path + '/in-the-way/below', { recursive: true }));
    assert.equal(error.details['errno'], 20);
    files.makeDir(dir.path, { recursive: true });
    assert.equal((await failureOf(() => files.makeDir(dir.path))).details['errno'], 17);
  });

  it('reports a full disk as ENOSPC with a hint, and keeps the old contents', async function () {
    if (!isRoot) return skip(this, 'mounting a tmpfs needs root');
    const { execFileSync } = await import('node:child_process');
    const at = dir.file('full');
    files.makeDir(at);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', at]);
    try {
      files.writeFile(join(at, 'state'), 'good');
      const error = await failureOf(() => files.writeFile(join(at, 'state'), new Uint8Array(1 << 20)));
      assert.equal(error.details['errno'], 28);
      assert.match(error.hint!, /space/);
      assert.equal(fs.readFileSync(join(at, 'state'), 'latin1'), 'good');
      assert.deepEqual(fs.readdirSync(at), ['state']);
    } finally {
      execFileSync('umount', [at]);
    }
  });
});

describe('RealFiles on a block device', () => {
  const dir = sandbox();
  const files = new RealFiles();
  let device = '';
  let run: (file: string, ...args: string[]) => string;

  before(async function () {
    const { execFileSync } = await import('node:child_process');
    run = (file, ...args) => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
    if (!isRoot) return skip(this, 'loop devices need root');
    const image = dir.file('image');
    fs.writeFileSync(image, '');
    fs.truncateSync(image, 32 << 20);
    try {
      device = run('losetup', '-f', '--show', '--sector-size', '4096', image);
    } catch (error) {
      skip(this, `no loop device: ${(error as Error).message.split('\n').at(-1)}`);
    }
  });
  after(() => {
    if (device !== '') run('losetup', '-d', device);
    files.shutDown();
  });

  it('tells size and alignment of a device with blocks of 4 KiB', async () => {
    const file = await files.open(device, { write: true, direct: true, exclusive: true });
    assert.deepEqual(
      [file.isBlockDevice, file.sizeBytes, file.alignBytes, file.isReadOnly],
      [true, 32 << 20, 4096, false],
    );
    assert.equal(files.size(file), 32 << 20);
    await files.sync(file);
    await files.close(file);
  });

  it('refuses a second exclusive open, and names who is in the way', async () => {
    const file = await files.open(device, { write: true, exclusive: true });
    const error = await failureOf(() => files.open(device, { write: true, exclusive: true }));
    assert.deepEqual([error.code, error.details['errno']], ['DEVICE_IN_USE', 16]);
    assert.match(error.hint!, new RegExp(`lsof ${device}`));
    await files.close(file);
  });

  it('names the mount point of a mounted device', async function () {
    const at = dir.file('mnt');
    files.makeDir(at);
    try {
      run('mkfs.ext4', '-q', '-F', device);
      run('mount', device, at);
    } catch (error) {
      return skip(this, `cannot mount: ${(error as Error).message.split('\n').at(-1)}`);
    }
    try {
      const error = await failureOf(() => files.open(device, { write: true, exclusive: true }));
      assert.ok(error.hint!.includes(`is mounted on ${at}`), error.hint);
    } finally {
      run('umount', at);
    }
  });

  it('never creates or cuts a device', async () => {
    const file = await files.open(device, { write: true, create: true, truncate: true });
    assert.equal(file.sizeBytes, 32 << 20);
    await files.close(file);
  });
});

function skip(context: Mocha.Context, reason: string): void {
  console.log(`      skipped: ${reason}`);
  context.skip();
}
