import assert from 'node:assert/strict';
import { EBADF, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, MarsError } from '@mars/brick-core';
import { World, type HostOptions, type SimFiles } from './index.js';

const errnoOf = (error: unknown): unknown => (error instanceof MarsError ? error.details.errno : error);
const withErrno =
  (errno: number) =>
  (error: unknown): boolean => {
    assert.equal(errnoOf(error), errno);
    return true;
  };

function files(options: HostOptions = {}): { world: World; files: SimFiles } {
  const world = new World({ seed: 1 });
  return { world, files: world.addHost('a', options).files };
}

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : new TextDecoder().decode(bytes));

describe('SimFiles', () => {
  it('keeps directories, files and symlinks, with nanoseconds', () => {
    const { files: f } = files();
    f.makeDir('/mars/resource-r', { recursive: true });
    f.writeFile('/mars/resource-r/x', 'hello');
    f.symlink('a value', '/mars/resource-r/key');
    f.setLinkTime('/mars/resource-r/key', 1_234_567_890_123_456_789n);
    assert.equal(f.lstat('/mars/resource-r/key')?.mtimeNs, 1_234_567_890_123_456_789n);
    assert.equal(f.readLink('/mars/resource-r/key'), 'a value');
    assert.equal(text(f.readFile('/mars/resource-r/x')), 'hello');
    assert.deepEqual(
      f.readDir('/mars/resource-r')?.map(({ name, kind }) => `${name} ${kind}`),
      ['x file', 'key symlink'],
    );
    assert.equal(f.stat('/mars/resource-r/x')?.sizeBytes, 5);
    assert.equal(f.stat('/mars/none'), null);
    assert.equal(f.readLink('/mars/none'), null);
    assert.equal(f.readDir('/none'), null);
    assert.equal(f.readFile('/none'), null);
  });

  it('renames over what is there, in one step', () => {
    const { files: f } = files();
    f.symlink('old', '/key');
    f.symlink('new', '/tmp');
    f.rename('/tmp', '/key');
    assert.equal(f.readLink('/key'), 'new');
    assert.equal(f.lstat('/tmp'), null);
  });

  it('follows symlinks as Linux does', () => {
    const { files: f } = files();
    f.makeDir('/real');
    f.writeFile('/real/x', '1');
    f.symlink('real', '/link');
    f.symlink('../link/x', '/real/again');
    assert.equal(text(f.readFile('/link/x')), '1');
    assert.equal(text(f.readFile('/real/again')), '1');
    assert.equal(f.stat('/real/again')?.kind, 'file');
    assert.equal(f.lstat('/real/again')?.kind, 'symlink');
    f.symlink('/loop', '/loop');
    assert.equal(f.stat('/loop'), null);
    assert.throws(() => f.watch('/loop', () => {}), withErrno(ELOOP));
  });

  it('names what is wrong by errno', async () => {
    const { world, files: f } = files();
    f.makeDir('/dir');
    f.writeFile('/dir/x', '');
    assert.throws(() => f.makeDir('/dir'), withErrno(EEXIST));
    assert.throws(() => f.makeDir('/none/dir'), withErrno(ENOENT));
    assert.throws(() => f.unlink('/dir'), withErrno(EISDIR));
    assert.throws(() => f.removeDir('/dir'), withErrno(39));
    assert.throws(() => f.removeDir('/dir/x'), withErrno(ENOTDIR));
    assert.throws(() => f.rename('/none', '/x'), withErrno(ENOENT));
    assert.throws(() => f.readDir('/dir/x'), withErrno(ENOTDIR));
    assert.throws(() => f.readLink('/dir/x'), withErrno(EINVAL));
    assert.throws(() => f.writeFile('relative', ''), withErrno(EINVAL));
    await assert.rejects(world.drive(f.open('/none', {})), withErrno(ENOENT));
    await assert.rejects(world.drive(f.open('/dir', { write: true })), withErrno(EISDIR));
    await assert.rejects(world.drive(f.open('/dir/x', { create: true, exclusive: true })), withErrno(EEXIST));
  });

  it('opens, truncates, syncs and closes; a closed file is refused', async () => {
    const { world, files: f } = files();
    f.writeFile('/x', '0123456789');
    const file = await world.drive(f.open('/x', { write: true }));
    assert.equal(file.sizeBytes, 10);
    await world.drive(f.truncate(file, 4));
    assert.equal(f.size(file), 4);
    await world.drive(f.truncate(file, 6));
    assert.deepEqual([...f.readFile('/x')!], [48, 49, 50, 51, 0, 0]);
    await world.drive(f.sync(file));
    const other = await world.drive(f.open('/x', {}));
    await assert.rejects(world.drive(f.truncate(other, 0)), withErrno(EBADF));
    assert.equal(f.openFiles.length, 2);
    await world.drive(f.close(file));
    await world.drive(f.close(other));
    assert.throws(() => f.size(file), withErrno(EBADF));
    assert.equal(f.openFiles.length, 0);
  });

  it('keeps an unlinked file for those who have it open, and its room until they close it', async () => {
    const { world, files: f } = files();
    f.writeFile('/x', new Uint8Array(8192));
    const used = (): number => f.space('/').totalBytes - f.space('/').freeBytes;
    const file = await world.drive(f.open('/x', { write: true }));
    f.unlink('/x');
    assert.equal(f.size(file), 8192);
    assert.equal(used(), 8192);
    await world.drive(f.close(file));
    assert.equal(used(), 0);
  });

  it('keeps mounted volumes apart', () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a');
    host.disk.mount('/mars', { capacityBytes: 8192 });
    host.files.writeFile('/mars/x', new Uint8Array(8192));
    assert.equal(host.files.space('/mars').freeBytes, 0);
    assert.ok(host.files.space('/').freeBytes > 1e9);
    assert.throws(() => host.files.writeFile('/mars/y', new Uint8Array(1)), withErrno(28));
    assert.deepEqual(host.files.readDir('/mars')?.length, 1, 'the temporary file is gone');
    assert.throws(() => host.files.rename('/mars/x', '/x'), withErrno(18));
  });

  it('tells watchers, late, perhaps not, perhaps only that something changed', async () => {
    const heard = async (watch: { lossRate?: number; overflowRate?: number }): Promise<(string | null)[]> => {
      const { world, files: f } = files({ disk: { watch } });
      const names: (string | null)[] = [];
      f.makeDir('/d');
      const unwatch = f.watch('/d', (name) => names.push(name));
      f.symlink('1', '/d/a');
      assert.equal(names.length, 0);
      await world.run();
      f.rename('/d/a', '/d/b');
      await world.run();
      unwatch();
      unwatch();
      f.unlink('/d/b');
      await world.run();
      return names;
    };
    assert.deepEqual(new Set(await heard({})), new Set(['a', 'b']));
    assert.deepEqual(await heard({ lossRate: 1 }), []);
    assert.deepEqual(new Set(await heard({ overflowRate: 1 })), new Set([null]));
  });

  it('has block devices of a fixed size, with a write cache that a power cut empties', async () => {
    let lost = 0;
    for (let seed = 0; seed < 30; seed++) {
      const world = new World({ seed });
      const host = world.addHost('a');
      host.disk.addDevice('vda', 65536);
      const file = await world.drive(host.files.open('/dev/vda', { write: true }));
      assert.deepEqual([file.isBlockDevice, file.sizeBytes, file.alignBytes], [true, 65536, 512]);
      const ring = host.loop.ring!;
      host.arena.u8.fill(7, 0, 4096);
      await world.drive(
        ring.call((client, token) => ring.write(file.fd, 0, 4096, { pos: 0, len: 4096 }, client, token)),
      );
      host.crash('power');
      host.restart();
      const bytes = host.files.readFile('/dev/vda')!;
      assert.equal(bytes.length, 65536);
      if (bytes.subarray(0, 4096).includes(0)) lost++;
    }
    assert.ok(lost > 10 && lost < 30, `${lost} of 30`);
  });
});
