import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import native from '../index.cjs';
import { useTempDir } from './kit.mjs';

const { O_RDWR, O_CREAT, O_EXCL, O_RDONLY, O_DIRECT } = fs.constants;

describe('files off the hot path', () => {
  const dir = useTempDir();
  const at = (name) => path.join(dir.path, name);

  it('opens with flags and mode, close-on-exec, and answers negative errnos', () => {
    const fd = native.openFile(at('a'), O_RDWR | O_CREAT | O_EXCL, 0o640);
    assert.ok(fd >= 0);
    assert.equal(fs.statSync(at('a')).mode & 0o777, 0o640 & ~process.umask());
    const flags = fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').match(/flags:\s*(\d+)/)[1];
    assert.ok(parseInt(flags, 8) & 0o2000000, 'O_CLOEXEC');
    assert.equal(native.openFile(at('a'), O_RDWR | O_CREAT | O_EXCL, 0o640), -17);
    assert.equal(native.openFile(at('b'), O_RDONLY), -2);
    assert.equal(native.openFile(dir.path, O_RDWR), -21);
    assert.equal(native.closeFd(fd), 0);
    assert.equal(native.closeFd(fd), -9);
    assert.throws(() => native.openFile('a\0b', O_RDONLY), TypeError);
    assert.throws(() => native.openFile('', O_RDONLY), TypeError);
    assert.throws(() => native.openFile(7, O_RDONLY), TypeError);
    assert.throws(() => native.openFile(at('a'), 'r'), TypeError);
  });

  it('tells the alignment of direct I/O, or that it cannot', () => {
    const fd = native.openFile(at('dio'), O_RDWR | O_CREAT);
    const align = native.dioAlign(fd);
    if (typeof align === 'number') assert.equal(align, -95);
    else {
      for (const bytes of [align.memoryBytes, align.offsetBytes])
        assert.ok(bytes === 0 || Number.isInteger(Math.log2(bytes)));
      if (align.offsetBytes > 0) {
        const direct = native.openFile(at('dio'), O_RDWR | O_DIRECT);
        assert.ok(direct >= 0, 'what has an alignment can be opened for direct I/O');
        native.closeFd(direct);
      }
    }
    native.closeFd(fd);
    assert.equal(native.dioAlign(9999), -9);
  });

  it('allocates, punches, zeroes, and shows the holes', () => {
    const fd = native.openFile(at('holes'), O_RDWR | O_CREAT);
    const data = Buffer.alloc(65536, 1);
    fs.writeSync(fd, data, 0, 65536, 0);
    fs.writeSync(fd, data, 0, 65536, 6 * 1024 ** 3);
    const end = 6 * 1024 ** 3 + 65536;
    assert.deepEqual(Array.from(native.extents(fd, 0, end)), [
      0,
      65536,
      1,
      65536,
      end - 131072,
      0,
      end - 65536,
      65536,
      1,
    ]);
    assert.deepEqual(Array.from(native.extents(fd, 4096, 100)), [4096, 100, 1]);
    assert.deepEqual(Array.from(native.extents(fd, end, 4096)), [end, 4096, 0], 'behind the end');
    assert.deepEqual(Array.from(native.extents(fd, end - 4096, 8192)), [end - 4096, 4096, 1, end, 4096, 0]);
    assert.deepEqual(Array.from(native.extents(fd, 0, 0)), []);
    assert.equal(native.punch(fd, 4096, 8192), 0);
    assert.deepEqual(Array.from(native.extents(fd, 0, 65536)), [0, 4096, 1, 4096, 8192, 0, 12288, 53248, 1]);
    assert.equal(native.zeroRange(fd, 0, 4096), 0);
    const head = Buffer.alloc(16384);
    fs.readSync(fd, head, 0, 16384, 0);
    assert.ok(head.subarray(0, 12288).every((byte) => byte === 0) && head[12288] === 1);
    assert.equal(native.fallocate(fd, 1, end, 1 << 20), 0);
    assert.equal(fs.fstatSync(fd).size, end, 'KEEP_SIZE');
    assert.equal(native.fallocate(fd, 0, -1, 5), -22);
    assert.equal(native.extents(fd, -1, 5), -22);
    assert.equal(native.extents(fd, 0, 5, 1), -22);
    assert.throws(() => native.extents(fd, 2 ** 60, 5), RangeError);
    native.closeFd(fd);
  });

  it('cuts a long list of extents where the caller can go on', () => {
    const fd = native.openFile(at('comb'), O_RDWR | O_CREAT);
    for (let i = 0; i < 50; i++) fs.writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, i * 65536);
    const all = [];
    for (let pos = 0; pos < 50 * 65536;) {
      const part = native.extents(fd, pos, 50 * 65536 - pos, 7);
      assert.ok(part.length > 0 && part.length <= 21);
      for (let i = 0; i < part.length; i += 3) {
        assert.equal(part[i], pos);
        pos += part[i + 1];
        all.push(part[i + 2]);
      }
    }
    assert.equal(all.filter((kind) => kind === 1).length, 50);
    native.closeFd(fd);
  });

  it('tells the space of a file system as statfs does', () => {
    const ours = native.statfs(dir.path);
    const nodes = fs.statfsSync(dir.path);
    assert.equal(ours.totalBytes, nodes.blocks * nodes.bsize);
    assert.equal(ours.type, nodes.type);
    assert.ok(ours.availableBytes <= ours.freeBytes && ours.freeBytes <= ours.totalBytes);
    assert.ok(ours.filesFree <= ours.files);
    assert.equal(native.statfs(at('nowhere')), -2);
  });

  it('tells block devices from files', () => {
    const fd = native.openFile(at('plain'), O_RDWR | O_CREAT);
    assert.equal(native.blockDeviceInfo(fd), -15);
    assert.equal(native.blkdiscard(fd, 0, 4096), -25);
    assert.equal(native.blkzeroout(fd, 0, -1), -22);
    native.closeFd(fd);
  });

  it('describes, claims, discards and zeroes a block device', function () {
    // A loop device needs root and a kernel that has them; otherwise there is nothing to test on.
    fs.writeFileSync(at('disk'), Buffer.alloc(8 << 20, 1));
    const setUp = spawnSync('losetup', ['--find', '--show', at('disk')], { encoding: 'utf8' });
    if (setUp.status !== 0) return this.skip();
    const device = setUp.stdout.trim();
    try {
      const fd = native.openFile(device, O_RDWR | O_EXCL);
      assert.ok(fd >= 0);
      assert.equal(native.openFile(device, O_RDWR | O_EXCL), -16, 'a second claim is refused');
      const info = native.blockDeviceInfo(fd);
      assert.equal(info.sizeBytes, 8 << 20);
      assert.equal(info.readOnly, false);
      assert.ok(info.logicalBlockBytes >= 512 && info.physicalBlockBytes >= info.logicalBlockBytes);
      assert.equal(native.blkzeroout(fd, 4096, 8192), 0);
      assert.equal(native.blkdiscard(fd, 65536, 65536), 0);
      const bytes = Buffer.alloc(16384);
      fs.readSync(fd, bytes, 0, 16384, 0);
      assert.deepEqual(
        [0, 4095, 4096, 12287, 12288].map((i) => bytes[i]),
        [1, 1, 0, 0, 1],
      );
      assert.equal(native.blkzeroout(fd, 100, 512), -22, 'not aligned');
      native.closeFd(fd);
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  });
});

describe('symlinks with nanosecond stamps', () => {
  const dir = useTempDir();
  const at = (name) => path.join(dir.path, name);

  it('keep the stamp to the nanosecond', () => {
    fs.symlinkSync('some value', at('link'));
    const before = fs.lstatSync(at('link'), { bigint: true });
    for (const [sec, nsec] of [
      [1477217630, 123456789],
      [0, 0],
      [1, 999999999],
      [-5, 1],
      [4294967296 + 17, 1],
      [2 ** 33, 999999999],
    ]) {
      assert.equal(native.lutimesNs(at('link'), sec, nsec), 0);
      const s = native.lstatNs(at('link'));
      assert.deepEqual([s.sec, s.nsec], [sec, nsec]);
      assert.equal(fs.lstatSync(at('link'), { bigint: true }).mtimeNs, BigInt(sec) * 1_000_000_000n + BigInt(nsec));
      assert.deepEqual(native.readlinkNs(at('link')), { target: 'some value', sec, nsec });
      assert.equal(BigInt(s.ino), before.ino);
      assert.equal(s.mode & 0o170000, 0o120000);
      assert.equal(s.size, 10);
    }
  });

  it('are never followed', () => {
    fs.writeFileSync(at('file'), 'x');
    fs.symlinkSync('file', at('to-file'));
    const mtime = fs.statSync(at('file')).mtimeMs;
    native.lutimesNs(at('to-file'), 5, 5);
    assert.equal(fs.statSync(at('file')).mtimeMs, mtime);
    fs.symlinkSync('nowhere', at('dangling'));
    assert.equal(native.lutimesNs(at('dangling'), 6, 7), 0);
    assert.equal(native.readlinkNs(at('dangling')).nsec, 7);
  });

  it('hold long and foreign targets, and the errors are errnos', () => {
    const long = 'ü'.repeat(2000);
    fs.symlinkSync(long, at('long'));
    assert.equal(native.readlinkNs(at('long')).target, long);
    fs.writeFileSync(at('plain'), 'x');
    assert.equal(native.readlinkNs(at('plain')), -22);
    assert.equal(native.readlinkNs(at('missing')), -2);
    assert.equal(native.lstatNs(at('missing')), -2);
    assert.equal(native.lutimesNs(at('missing'), 1, 1), -2);
    for (const nsec of [-1, 1_000_000_000, (1 << 30) - 1, (1 << 30) - 2])
      assert.equal(native.lutimesNs(at('long'), 1, nsec), -22, 'UTIME_NOW and UTIME_OMIT are no stamps');
    assert.throws(() => native.lutimesNs(at('long'), NaN, 1), RangeError);
  });

  it('pair target and stamp of one and the same link while it is being replaced', async () => {
    const { Worker } = await import('node:worker_threads');
    const link = at('busy');
    const shared = new Int32Array(new SharedArrayBuffer(8));
    const put = `(i) => { fs.symlinkSync(String(i), link + '.new'); native.lutimesNs(link + '.new', i, i); fs.renameSync(link + '.new', link); }`;
    fs.symlinkSync('1', link);
    native.lutimesNs(link, 1, 1);
    const w = new Worker(
      `const fs = require('fs'); const { workerData } = require('worker_threads');
      const native = require(workerData.index), link = workerData.link, shared = workerData.shared, put = ${put};
      for (let i = 2; !Atomics.load(shared, 0); i++) { put(i); Atomics.store(shared, 1, i); }`,
      { eval: true, workerData: { index: native.loadedFrom, link, shared } },
    );
    const ended = new Promise((resolve) => w.once('exit', resolve));
    let changes = 0;
    for (let last = 0; changes < 300;) {
      const { target, sec, nsec } = native.readlinkNs(link);
      assert.deepEqual([sec, nsec], [Number(target), Number(target)]);
      if (sec !== last) changes++;
      last = sec;
    }
    Atomics.store(shared, 0, 1);
    await ended;
  });
});
