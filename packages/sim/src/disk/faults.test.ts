import assert from 'node:assert/strict';
import { EIO, ENOSPC, MarsError, type OpenFile } from '@mars/brick-core';
import { World, type SimHost } from '../index.js';

const withFile = async (seed = 1): Promise<{ world: World; host: SimHost; file: OpenFile }> => {
  const world = new World({ seed });
  const host = world.addHost('a');
  const file = await world.drive(host.files.open('/data', { write: true, create: true }));
  return { world, host, file };
};

/** One operation through the loop's ring. */
const op = (
  world: World,
  host: SimHost,
  kind: 'read' | 'write' | 'fsync',
  fd: number,
  pos = 0,
  len = 4096,
): Promise<number> => {
  const ring = host.loop.ring!;
  const place = { pos, len };
  const submit = {
    read: () => ring.call((client, token) => ring.read(fd, 8192, len, place, client, token)),
    write: () => ring.call((client, token) => ring.write(fd, 0, len, place, client, token)),
    fsync: () => ring.call((client, token) => ring.fsync(fd, 0, client, token)),
  };
  return world.drive(submit[kind]());
};

const errnoOf = (error: unknown): unknown => (error instanceof MarsError ? error.details.errno : error);

describe('Faults of the disk', () => {
  it('fail the Nth call, once, and no other', async () => {
    const { world, host, file } = await withFile();
    const fault = host.disk.fault({ on: 'write', nth: 3, errno: EIO });
    const results: number[] = [];
    for (let i = 0; i < 6; i++) results.push(await op(world, host, 'write', file.fd, i * 4096));
    assert.deepEqual(results, [4096, 4096, -EIO, 4096, 4096, 4096]);
    assert.deepEqual([fault.seen, fault.hits], [6, 1]);
  });

  it('hit only matching paths and operations', async () => {
    const { world, host, file } = await withFile();
    const other = await world.drive(host.files.open('/log-000000001-a', { write: true, create: true }));
    host.disk.fault({ on: ['write', 'sync'], path: /^\/log-/, errno: ENOSPC });
    assert.equal(await op(world, host, 'write', file.fd), 4096);
    assert.equal(await op(world, host, 'write', other.fd), -ENOSPC);
    assert.equal(await op(world, host, 'fsync', other.fd), -ENOSPC);
    assert.equal(await op(world, host, 'read', other.fd, 0, 0), 0);
  });

  it('come at a rate', async () => {
    const { world, host, file } = await withFile();
    const fault = host.disk.fault({ on: 'write', rate: 0.3, errno: EIO });
    for (let i = 0; i < 300; i++) await op(world, host, 'write', file.fd);
    assert.ok(fault.hits > 60 && fault.hits < 120, `${fault.hits} of 300`);
  });

  it('make operations slow, by no more than they say', async () => {
    const { world, host, file } = await withFile();
    host.disk.fault({ on: 'write', slow: { minUs: 10_000, maxUs: 20_000 } });
    const before = world.nowMs;
    await op(world, host, 'write', file.fd);
    const tookMs = world.nowMs - before;
    assert.ok(tookMs >= 10 && tookMs < 26, `${tookMs} ms`);
  });

  it('hold stuck operations until they are released, and a world that waits for one says so', async () => {
    const { world, host, file } = await withFile();
    const fault = host.disk.fault({ on: 'sync', stuck: true });
    const ring = host.loop.ring!;
    const sync = ring.call((client, token) => ring.fsync(file.fd, 0, client, token));
    await assert.rejects(world.drive(sync), (error: MarsError) => {
      assert.equal(error.code, 'SIM_STUCK');
      assert.match(error.message, /a: disk: sync \/data \(stuck\)/);
      return true;
    });
    assert.equal(fault.stuck, 1);
    fault.release();
    assert.equal(await world.drive(sync), 0);
  });

  it('make a sync fail once and forget its data (fsyncgate)', async () => {
    const { world, host, file } = await withFile();
    await op(world, host, 'fsync', file.fd);
    await world.drive(host.files.syncDir('/'));
    host.arena.u8.fill(1, 0, 4096);
    await op(world, host, 'write', file.fd);
    host.disk.fault({ on: 'sync', nth: 1, errno: EIO, loses: true });
    assert.equal(await op(world, host, 'fsync', file.fd), -EIO);
    assert.equal(await op(world, host, 'fsync', file.fd), 0, 'the second sync lies');
    assert.equal(host.files.readFile('/data')![0], 1);
    host.crash('power');
    host.restart();
    assert.ok(!(host.files.readFile('/data') ?? new Uint8Array(1)).includes(1), 'it never reached the disk');
  });

  it('shorten transfers', async () => {
    const { world, host, file } = await withFile();
    await op(world, host, 'write', file.fd);
    host.disk.fault({ on: ['read', 'write'], short: true });
    for (let i = 0; i < 10; i++) {
      assert.ok((await op(world, host, 'read', file.fd)) < 4096);
      assert.ok((await op(world, host, 'write', file.fd)) < 4096);
    }
  });

  it('rot flips one bit per hit, silently and for good', async () => {
    const { world, host, file } = await withFile();
    host.arena.u8.fill(0, 0, 16384);
    await op(world, host, 'write', file.fd);
    const fault = host.disk.fault({ on: 'read', rot: true, nth: 2 });
    for (let i = 0; i < 5; i++) assert.equal(await op(world, host, 'read', file.fd), 4096);
    const wrong = [...host.files.readFile('/data')!].filter((byte) => byte !== 0);
    assert.equal(fault.hits, 1);
    assert.equal(wrong.length, 1);
    assert.equal(Math.log2(wrong[0]!) % 1, 0);
  });

  it('fail opens, names and truncations', async () => {
    const { world, host, file } = await withFile();
    host.disk.fault({ on: ['open', 'truncate', 'sync-dir'], errno: EIO });
    const fault = host.disk.fault({ on: 'meta', path: 'key', errno: ENOSPC, nth: 1 });
    await assert.rejects(world.drive(host.files.open('/data', {})), (e) => errnoOf(e) === EIO);
    await assert.rejects(world.drive(host.files.truncate(file, 0)), (e) => errnoOf(e) === EIO);
    await assert.rejects(world.drive(host.files.syncDir('/')), (e) => errnoOf(e) === EIO);
    assert.throws(
      () => host.files.symlink('1', '/key'),
      (e) => errnoOf(e) === ENOSPC,
    );
    host.files.symlink('1', '/key');
    assert.equal(fault.hits, 1);
  });

  it('end when they are cleared', async () => {
    const { world, host, file } = await withFile();
    host.disk.fault({ on: 'write', errno: EIO });
    assert.equal(await op(world, host, 'write', file.fd), -EIO);
    host.disk.faults.clear();
    assert.equal(await op(world, host, 'write', file.fd), 4096);
  });
});
