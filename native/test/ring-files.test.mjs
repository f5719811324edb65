import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import native from '../index.cjs';
import { useKit, useTempDir, OP, FLAG, EFAULT, EINVAL, ECANCELED, ETIME } from './kit.mjs';

const { O_RDWR, O_CREAT, O_DIRECT } = fs.constants;
const GiB = 1024 ** 3;

describe('the ring with files', () => {
  const dir = useTempDir();
  const holder = useKit();
  let fd = -1;
  let kit;

  beforeEach(() => {
    kit = holder.kit;
    fd = native.openFile(path.join(dir.path, 'file'), O_RDWR | O_CREAT, 0o600);
    assert.ok(fd >= 0);
  });
  afterEach(() => {
    native.closeFd(fd);
    fs.rmSync(path.join(dir.path, 'file'), { force: true });
  });

  it('knows the same codes in C++ and in JavaScript', async () => {
    const { createRequire } = await import('node:module');
    assert.deepEqual(createRequire(import.meta.url)(native.loadedFrom).compiledCodes, { ...OP });
    assert.ok(Object.values(native.kernelFeatures().ops).every((works) => works === true));
  });

  it('completes NOP with its tag, whatever the tag', () => {
    for (const tag of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]) assert.equal(kit.do(OP.NOP, { tag }), 0);
  });

  it('writes and reads back', () => {
    kit.bytes.write('hello, ring', 4096);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 4096, len: 11, off: 5 }), 11);
    assert.equal(kit.do(OP.READ, { fd, buf: 8192, len: 100, off: 0 }), 16);
    assert.equal(kit.bytes.toString('latin1', 8192, 8208), '\0\0\0\0\0hello, ring');
    assert.equal(kit.do(OP.READ, { fd, buf: 8192, len: 100, off: 16 }), 0, 'nothing behind the end');
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 0, off: 0 }), 0);
  });

  describe('writes that the thread of the ring may do itself', () => {
    const inline = FLAG.INLINE;

    it('have the results of any other write, and are done before the kernel sees the tick', () => {
      kit.bytes.write('hello, ring', 4096);
      kit.iov(3, [4096, 5], [4101, 6]);
      const tag = kit.op(OP.WRITE, { fd, buf: 4096, len: 11, off: 5, flags: inline });
      assert.deepEqual([kit.tick(0), kit.take(tag), kit.ring.stats().inlineWrites], [1, 11, 1]);
      assert.equal(kit.do(OP.WRITEV, { fd, buf: 3, len: 2, off: 16, flags: inline }), 11);
      assert.equal(fs.readFileSync(path.join(dir.path, 'file'), 'latin1'), '\0\0\0\0\0hello, ringhello, ring');
      assert.equal(kit.do(OP.WRITE, { fd, buf: 4096, len: 5, off: -1, flags: inline }), 5);
    });

    it('are checked like any other', () => {
      const arenaBytes = kit.ring.arena.byteLength;
      const resultOf = (code, fields) => kit.do(code, { fd, off: 0, ...fields, flags: inline });
      assert.equal(resultOf(OP.WRITE, { buf: arenaBytes - 4, len: 5 }), EFAULT);
      assert.equal(resultOf(OP.WRITE, { buf: -1, len: 1 }), EFAULT);
      assert.equal(resultOf(OP.WRITE, { buf: 0, len: -1 }), EFAULT);
      assert.equal(resultOf(OP.WRITE, { buf: 0, len: 1, off: -2 }), EINVAL);
      assert.equal(resultOf(OP.WRITE, { buf: 0, len: 1, fd: -1 }), -9);
      kit.iov(0, [arenaBytes - 4, 5]);
      assert.equal(resultOf(OP.WRITEV, { buf: 0, len: 1 }), EFAULT);
      assert.equal(resultOf(OP.WRITEV, { buf: kit.ring.iovEntries, len: 1 }), EFAULT);
      assert.equal(resultOf(OP.READ, { buf: 0, len: 1 }), 0, 'a read only ignores the flag');
    });

    it('go through the kernel for a while after one of them has slept', async () => {
      const fifo = path.join(dir.path, `fifo-${fd}-${Math.random()}`);
      execFileSync('mkfifo', [fifo]);
      const stuffed = fs.openSync(fifo, O_RDWR | fs.constants.O_NONBLOCK);
      assert.equal(fs.writeSync(stuffed, Buffer.alloc(1 << 20)), 65536, 'the pipe is full');
      // Reads only when this thread sleeps, which it does in the write below.
      const read = 'until grep -q "^State:.S" /proc/$PPID/status; do :; done; exec dd of=/dev/null bs=65536 count=2';
      const reader = spawn('sh', ['-c', read], {
        stdio: [fs.openSync(fifo, fs.constants.O_RDONLY), 'ignore', 'ignore'],
      });
      const ended = new Promise((resolve) => reader.on('exit', resolve));
      const slow = native.openFile(fifo, fs.constants.O_WRONLY);
      assert.equal(kit.do(OP.WRITE, { fd: slow, buf: 0, len: 4096, off: -1, flags: inline }), 4096);
      assert.deepEqual([kit.ring.stats().inlineWrites, kit.ring.stats().inlineSleeps], [1, 1]);
      const { submitted } = kit.ring.stats();
      assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 4096, off: 0, flags: inline }), 4096);
      assert.deepEqual([kit.ring.stats().inlineWrites, kit.ring.stats().submitted], [1, submitted + 1]);
      while (kit.ring.stats().inlineWrites === 1) {
        assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 4096, off: 0, flags: inline }), 4096);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const one of [stuffed, slow]) fs.closeSync(one);
      await ended;
    });
  });

  it('uses the current position for offset -1', () => {
    kit.bytes.write('abc', 0);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 3, off: -1 }), 3);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 3, off: -1 }), 3);
    assert.equal(fs.fstatSync(fd).size, 6);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 3, off: -2 }), EINVAL);
  });

  it('gathers and scatters', () => {
    kit.bytes.write('one', 100);
    kit.bytes.write('two', 9000);
    kit.iov(10, [100, 3], [9000, 3], [0, 0]);
    assert.equal(kit.do(OP.WRITEV, { fd, buf: 10, len: 3, off: 0 }), 6);
    kit.iov(0, [20000, 2], [30000, 4]);
    assert.equal(kit.do(OP.READV, { fd, buf: 0, len: 2, off: 0 }), 6);
    assert.equal(kit.bytes.toString('latin1', 20000, 20002) + kit.bytes.toString('latin1', 30000, 30004), 'onetwo');
  });

  it('lets several vectors of one tick share the iov table, and forgets it afterwards', () => {
    const tags = [];
    for (let i = 0; i < 40; i++) {
      kit.bytes[i] = 65 + i;
      kit.iov(i, [i, 1]);
      tags.push(kit.op(OP.WRITEV, { fd, buf: i, len: 1, off: i }));
    }
    kit.tick();
    for (let i = 0; i < 40; i++) kit.iov(i, [-1, -1]);
    assert.deepEqual(
      kit.wait(...tags),
      tags.map(() => 1),
    );
    assert.equal(fs.readFileSync(path.join(dir.path, 'file'), 'latin1').slice(0, 4), 'ABCD');
  });

  it('syncs, syncs data, and syncs ranges', () => {
    kit.bytes.fill(7, 0, 65536);
    const write = kit.op(OP.WRITE, { fd, buf: 0, len: 65536 });
    kit.wait(write);
    assert.equal(kit.do(OP.FSYNC, { fd }), 0);
    assert.equal(kit.do(OP.FSYNC, { fd, flags: FLAG.DATASYNC }), 0);
    const all = FLAG.SYNC_RANGE_WAIT_BEFORE | FLAG.SYNC_RANGE_WRITE | FLAG.SYNC_RANGE_WAIT_AFTER;
    assert.equal(kit.do(OP.SYNC_RANGE, { fd, off: 4096, len: 8192, flags: all }), 0);
    assert.equal(kit.do(OP.SYNC_RANGE, { fd, off: 0, len: -4096, flags: all }), 0, 'lengths are unsigned');
    assert.equal(kit.do(OP.SYNC_RANGE, { fd, off: -1, flags: all }), EINVAL);
    assert.equal(kit.do(OP.FSYNC, { fd: 9999 }), -9);
  });

  it('passes RWF flags on: DSYNC writes, APPEND appends, an unknown flag is refused', () => {
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 512, off: 0, flags: FLAG.RWF_DSYNC }), 512);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 512, off: 0, flags: FLAG.RWF_APPEND }), 512);
    kit.iov(0, [0, 512]);
    assert.equal(kit.do(OP.WRITEV, { fd, buf: 0, len: 1, off: 0, flags: FLAG.RWF_APPEND | FLAG.RWF_DSYNC }), 512);
    assert.equal(fs.fstatSync(fd).size, 1536);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 512, off: 0, flags: 0x40000000 }), -95);
  });

  it('allocates, punches and zeroes, also ranges longer than an int32', () => {
    const blocks = () => fs.fstatSync(fd).blocks * 512;
    assert.equal(kit.do(OP.FALLOCATE, { fd, off: 0, len: 1 << 20 }), 0);
    assert.equal(fs.fstatSync(fd).size, 1 << 20);
    assert.ok(blocks() >= 1 << 20);
    const punch = FLAG.FALLOC_PUNCH_HOLE | FLAG.FALLOC_KEEP_SIZE;
    assert.equal(kit.do(OP.FALLOCATE, { fd, off: 0, len: 1 << 20, flags: punch }), 0);
    assert.equal(blocks(), 0);
    kit.bytes.fill(1, 0, 4096);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 4096, off: 6 * GiB }), 4096);
    // 5 GiB + 4096 bytes in two halves, from 2 GiB on: the last page written above lies inside.
    const length = 5 * GiB + 4096;
    const halves = { buf: Math.floor(length / 2 ** 32), len: (length % 2 ** 32) | 0 };
    assert.equal(kit.do(OP.FALLOCATE, { fd, off: 2 * GiB, flags: punch, ...halves }), 0);
    assert.equal(blocks(), 0);
    assert.equal(kit.do(OP.FALLOCATE, { fd, off: 0, buf: -1, len: -1 }), EINVAL);
    assert.equal(kit.do(OP.FALLOCATE, { fd, off: -5, len: 10 }), EINVAL);
  });

  it('reaches offsets beyond 4 GiB and beyond 2^41', () => {
    for (const off of [4 * GiB - 1, 4 * GiB, 5 * GiB + 123, 3 * 1024 * GiB + 77]) {
      kit.bytes.write('far', 0);
      kit.bytes.fill(0, 4096, 4200);
      assert.equal(kit.do(OP.WRITE, { fd, buf: 0, len: 3, off }), 3);
      assert.equal(fs.fstatSync(fd).size, off + 3);
      assert.equal(kit.do(OP.READ, { fd, buf: 4096, len: 3, off }), 3);
      assert.equal(kit.bytes.toString('latin1', 4096, 4099), 'far');
      const viaNode = Buffer.alloc(3);
      fs.readSync(fd, viaNode, 0, 3, off);
      assert.equal(viaNode.toString(), 'far');
    }
  });

  it('does direct I/O from the page-aligned arena', function () {
    const direct = native.openFile(path.join(dir.path, 'direct'), O_RDWR | O_CREAT | O_DIRECT);
    if (direct === EINVAL) return this.skip(); // tmpfs of old kernels
    kit.bytes.fill(0x5a, 8192, 12288);
    assert.equal(kit.do(OP.WRITE, { fd: direct, buf: 8192, len: 4096, off: 4096 }), 4096);
    assert.equal(kit.do(OP.READ, { fd: direct, buf: 16384, len: 4096, off: 4096 }), 4096);
    assert.deepEqual(kit.bytes.subarray(16384, 20480), kit.bytes.subarray(8192, 12288));
    native.closeFd(direct);
  });

  it('closes a descriptor once', () => {
    const other = native.openFile(path.join(dir.path, 'file'), O_RDWR);
    assert.equal(kit.do(OP.CLOSE, { fd: other }), 0);
    assert.equal(kit.do(OP.CLOSE, { fd: other }), -9);
  });

  it('answers a range outside the arena with EFAULT and touches nothing', () => {
    const size = kit.bytes.length;
    const MAX = 2 ** 31 - 1;
    const bad = [
      [-1, 1],
      [0, -1],
      [size, 1],
      [size - 10, 11],
      [MAX, MAX],
      [MAX, 1],
      [0, MAX],
      [-(2 ** 31), MAX],
      [size + 1, 0],
    ];
    for (const code of [OP.READ, OP.WRITE, OP.RECV, OP.CONNECT, OP.HASH, OP.COPY, OP.ZERO, OP.COMPARE])
      for (const [buf, len] of bad)
        assert.equal(kit.do(code, { fd, buf, len }), EFAULT, `code ${code}: ${buf}, ${len}`);
    for (const code of [OP.COPY, OP.COMPARE])
      for (const off of [size - 15, size, -1, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)])
        assert.equal(kit.do(code, { buf: 0, len: 16, off }), EFAULT, `code ${code} to ${off}`);
    assert.equal(kit.do(OP.WRITE, { fd, buf: size - 10, len: 10, off: 0 }), 10, 'the last byte is usable');
    assert.equal(fs.fstatSync(fd).size, 10);
  });

  it('answers a bad iov index, count or element with EFAULT', () => {
    const { iovEntries } = kit.ring;
    const size = kit.bytes.length;
    kit.iov(0, [0, 16], [size - 15, 16]);
    kit.iov(iovEntries - 1, [0, 16]);
    const bad = [
      [-1, 1],
      [0, -1],
      [iovEntries, 1],
      [iovEntries - 1, 2],
      [2 ** 31 - 1, 2 ** 31 - 1],
      [0, 2],
    ];
    for (const code of [OP.READV, OP.WRITEV, OP.SENDMSG])
      for (const [buf, len] of bad)
        assert.equal(kit.do(code, { fd, buf, len }), EFAULT, `code ${code}: ${buf}, ${len}`);
    assert.equal(kit.do(OP.WRITEV, { fd, buf: iovEntries - 1, len: 1 }), 16, 'the last element is usable');
    kit.iov(0, ...Array.from({ length: 1025 }, () => [0, 1]));
    assert.equal(kit.do(OP.WRITEV, { fd, buf: 0, len: 1025 }), EINVAL, 'more than IOV_MAX');
  });

  it('answers unknown codes with EINVAL', () => {
    for (const code of [17, 31, 36, -1, 2 ** 31 - 1, -(2 ** 31)]) assert.equal(kit.do(code), EINVAL);
  });

  it('runs COPY, ZERO, COMPARE and HASH in descriptor order, before the write that follows', () => {
    kit.bytes.fill(0xff, 0, 4096);
    kit.bytes.write('payload', 0);
    const tags = [
      kit.op(OP.ZERO, { buf: 7, len: 1 }),
      kit.op(OP.COPY, { buf: 0, len: 8, off: 1000 }),
      kit.op(OP.COMPARE, { buf: 0, len: 8, off: 1000 }),
      kit.op(OP.COMPARE, { buf: 0, len: 9, off: 1000 }),
      kit.op(OP.COMPARE, { buf: 0, len: 0, off: 1000 }),
      kit.op(OP.COPY, { buf: 1000, len: 8, off: 1003 }),
      kit.op(OP.WRITE, { fd, buf: 1000, len: 11, off: 0 }),
    ];
    kit.bytes[8] = 1;
    assert.deepEqual(kit.wait(...tags), [0, 0, 0, 9, 0, 0, 11]);
    assert.equal(fs.readFileSync(path.join(dir.path, 'file'), 'latin1'), 'paypayload\0');
  });

  it('keeps quiet about inline operations that went well, never about others', () => {
    kit.op(OP.COPY, { buf: 0, len: 8, off: 1000, flags: FLAG.QUIET });
    kit.op(OP.COMPARE, { buf: 0, len: 8, off: 1000, flags: FLAG.QUIET });
    assert.equal(kit.tick(), 0);
    kit.bytes[3] ^= 1;
    assert.equal(kit.do(OP.COMPARE, { buf: 0, len: 8, off: 1000, flags: FLAG.QUIET }), 4);
    assert.equal(kit.do(OP.COPY, { buf: -1, len: 8, off: 1000, flags: FLAG.QUIET }), EFAULT);
  });

  it('lets a timeout fire, and cancels another', () => {
    assert.equal(kit.do(OP.TIMEOUT, { off: 1_000_000 }), ETIME);
    const long = kit.op(OP.TIMEOUT, { off: 3600n * 1_000_000_000n });
    kit.tick();
    assert.equal(kit.do(OP.CANCEL, { buf: long }), 0);
    assert.deepEqual(kit.wait(long), [ECANCELED]);
    assert.equal(kit.do(OP.CANCEL, { buf: long }), -2, 'it is gone');
    assert.equal(kit.do(OP.TIMEOUT, { off: process.hrtime.bigint() + 1_000_000n, flags: FLAG.TIMEOUT_ABS }), ETIME);
    assert.equal(kit.do(OP.TIMEOUT, { off: -1 }), EINVAL);
  });

  it('cancels all of one tag and all of one descriptor', () => {
    const [a, b] = native.socketpair();
    const tags = [0, 1, 2].map(() => kit.op(OP.POLL, { fd: a, flags: FLAG.POLL_IN }));
    kit.tick();
    assert.equal(kit.do(OP.CANCEL, { fd: a, flags: FLAG.CANCEL_FD | FLAG.CANCEL_ALL }), 3);
    assert.deepEqual(kit.wait(...tags), [ECANCELED, ECANCELED, ECANCELED]);
    native.closeFd(a);
    native.closeFd(b);
  });

  it('tells when a descriptor is ready', () => {
    const [a, b] = native.socketpair();
    const poll = kit.op(OP.POLL, { fd: a, flags: FLAG.POLL_IN });
    assert.equal(kit.tick(), 0);
    fs.writeSync(b, 'x');
    assert.deepEqual(kit.wait(poll), [FLAG.POLL_IN]);
    native.closeFd(a);
    native.closeFd(b);
  });

  it('reads a pipe that is written later without blocking the tick', () => {
    const fifo = path.join(dir.path, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const pipe = native.openFile(fifo, O_RDWR);
    const read = kit.op(OP.READ, { fd: pipe, buf: 0, len: 10, off: -1 });
    assert.equal(kit.tick(2000), 0);
    fs.writeSync(pipe, 'later');
    assert.deepEqual(kit.wait(read), [5]);
    native.closeFd(pipe);
  });
});

describe('the ring with registered buffers', () => {
  const dir = useTempDir();
  const holder = useKit({ fixedBuffers: true, arenaBytes: 1 << 20 });

  it('reads and writes as without', () => {
    const { kit } = holder;
    const fd = native.openFile(path.join(dir.path, 'fixed'), O_RDWR | O_CREAT);
    kit.bytes.write('fixed', 100);
    assert.equal(kit.do(OP.WRITE, { fd, buf: 100, len: 5, off: 0, flags: FLAG.RWF_DSYNC }), 5);
    assert.equal(kit.do(OP.READ, { fd, buf: 200, len: 50, off: 0 }), 5);
    assert.equal(kit.bytes.toString('latin1', 200, 205), 'fixed');
    assert.equal(kit.do(OP.READ, { fd, buf: (1 << 20) - 1, len: 2 }), EFAULT);
    native.closeFd(fd);
  });
});
