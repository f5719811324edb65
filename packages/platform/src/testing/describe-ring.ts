import assert from 'node:assert/strict';
import {
  EBADF,
  ECANCELED,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  ETIME,
  RING_CANCEL,
  RING_CLOSE,
  RING_COMPARE,
  RING_COPY,
  RING_DATASYNC,
  RING_DSYNC,
  RING_INLINE,
  RING_FALLOC_KEEP_SIZE,
  RING_FALLOC_PUNCH_HOLE,
  RING_FALLOCATE,
  RING_FSYNC,
  RING_HASH,
  RING_HASH_CRC32,
  RING_HASH_CRC32_8,
  RING_HASH_CRC32C,
  RING_HASH_CRC32C8,
  RING_HASH_XXH3_128,
  RING_HASH_XXH3_64,
  RING_NOP,
  RING_QUIET,
  RING_READ,
  RING_READV,
  RING_SYNC_RANGE,
  RING_TIMEOUT,
  RING_WRITE,
  RING_WRITEV,
  RING_ZERO,
  SQ_WORDS,
} from '@mars/brick-core';
import { describeRingSockets } from './describe-ring-sockets.js';
import { RingBench, type RingUnderTest } from './ring-bench.js';

const PAGE = 4096;

/**
 * The contract of a ring as tests: io_uring, the thread pool and the simulated machine must not be told apart by a brick.
 * `makeRing` is called once per test; arenas of 1 MiB or more.
 */
export function describeRing(makeRing: () => RingUnderTest): void {
  let bench: RingBench;
  beforeEach(() => {
    bench = new RingBench(makeRing());
  });
  afterEach(async () => {
    assert.equal(bench.strays, 0, 'every completion belongs to an operation');
    await bench.under.close();
  });
  const get = (): RingBench => bench;

  describe('descriptors', () => describeDescriptors(get));
  describe('files', () => describeFiles(get));
  describe('memory operations', () => describeMemory(get));
  describe('time', () => describeTime(get));
  describe('sockets', () => describeRingSockets(get));
}

function describeDescriptors(get: () => RingBench): void {
  it('completes every operation of a full submission queue exactly once', async () => {
    const b = get();
    const entries = b.ring.sq.length / SQ_WORDS;
    const tags = Array.from({ length: entries }, () => b.op(RING_NOP));
    const results = await b.wait(...tags);
    assert.deepEqual(new Set(results), new Set([0]));
  });

  it('gives back any tag, negative ones and the largest as well', async () => {
    const b = get();
    for (const tag of [0, -1, 2 ** 31 - 1, -(2 ** 31)]) assert.equal(await b.run(RING_NOP, { tag }), 0);
  });

  it('refuses ranges outside the arena with EFAULT, whatever the operation', async () => {
    const b = get();
    const fd = await b.under.newFile();
    const size = b.bytes.length;
    for (const code of [RING_READ, RING_WRITE]) {
      assert.equal(await b.run(code, { fd, buf: size - 10, len: 11 }), -EFAULT);
      assert.equal(await b.run(code, { fd, buf: -1, len: 1 }), -EFAULT);
      assert.equal(await b.run(code, { fd, buf: 0, len: -1 }), -EFAULT);
    }
    b.spans(0, [0, 10], [size - 1, 2]);
    assert.equal(await b.run(RING_WRITEV, { fd, buf: 0, len: 2 }), -EFAULT);
    assert.equal(await b.run(RING_READV, { fd, buf: b.ring.iov.length / 2, len: 1 }), -EFAULT);
    assert.equal(await b.run(RING_HASH, { buf: size, len: 1, pos: 0 }), -EFAULT);
    assert.equal(await b.run(RING_COPY, { buf: 0, len: 10, pos: size - 9 }), -EFAULT);
    assert.equal(await b.run(RING_COPY, { buf: 0, len: 10, pos: 2 ** 40 }), -EFAULT);
    assert.equal(await b.run(RING_ZERO, { buf: size - 1, len: 2 }), -EFAULT);
  });

  it('refuses unknown codes, kinds and negative positions with EINVAL', async () => {
    const b = get();
    const fd = await b.under.newFile();
    assert.equal(await b.run(99), -EINVAL);
    assert.equal(await b.run(31), -EINVAL);
    assert.equal(await b.run(RING_READ, { fd, len: 1, pos: -2 }), -EINVAL);
    assert.equal(await b.run(RING_HASH, { flags: 77 }), -EINVAL);
  });

  it('answers EBADF for a descriptor that is not open', async () => {
    const b = get();
    assert.equal(await b.run(RING_READ, { fd: 99_999, len: 1 }), -EBADF);
    assert.equal(await b.run(RING_WRITE, { fd: 99_999, len: 1 }), -EBADF);
    assert.equal(await b.run(RING_FSYNC, { fd: 99_999 }), -EBADF);
  });
}

function describeFiles(get: () => RingBench): void {
  it('reads what it wrote, at any position, also beyond 4 GiB', async () => {
    const b = get();
    const fd = await b.under.newFile();
    for (const pos of [0, 3, PAGE, 5 * 2 ** 30 + 7]) {
      b.bytes.fill(`at ${pos}. `, 0, PAGE);
      assert.equal(await b.run(RING_WRITE, { fd, buf: 0, len: PAGE, pos }), PAGE);
      assert.equal(await b.run(RING_READ, { fd, buf: PAGE, len: PAGE, pos }), PAGE);
      assert.ok(b.bytes.subarray(0, PAGE).equals(b.bytes.subarray(PAGE, 2 * PAGE)), `position ${pos}`);
    }
  });

  it('is short, then 0, at the end of a file', async () => {
    const b = get();
    const fd = await b.under.newFile();
    await b.run(RING_WRITE, { fd, len: 100 });
    assert.equal(await b.run(RING_READ, { fd, len: PAGE, pos: 40 }), 60);
    assert.equal(await b.run(RING_READ, { fd, len: PAGE, pos: 100 }), 0);
  });

  it('gathers and scatters in the order of the spans', async () => {
    const b = get();
    const fd = await b.under.newFile();
    b.bytes.write('head', 0);
    b.bytes.write('body-', 500);
    b.bytes.write('tail', 900);
    b.spans(3, [0, 4], [500, 5], [900, 4]);
    assert.equal(await b.run(RING_WRITEV, { fd, buf: 3, len: 3, pos: 10 }), 13);
    b.spans(0, [2000, 6], [3000, 7]);
    assert.equal(await b.run(RING_READV, { fd, buf: 0, len: 2, pos: 10 }), 13);
    assert.equal(b.bytes.toString('latin1', 2000, 2006) + b.bytes.toString('latin1', 3000, 3007), 'headbody-tail');
  });

  it('writes the same with RING_INLINE', async () => {
    const b = get();
    const fd = await b.under.newFile();
    b.bytes.write('inline', 100);
    b.spans(0, [100, 2], [102, 4]);
    assert.equal(await b.run(RING_WRITE, { fd, buf: 100, len: 6, pos: 0, flags: RING_INLINE }), 6);
    assert.equal(await b.run(RING_WRITEV, { fd, buf: 0, len: 2, pos: 6, flags: RING_INLINE | RING_DSYNC }), 6);
    assert.equal(await b.run(RING_READ, { fd, buf: 200, len: 100, pos: 0 }), 12);
    assert.equal(b.bytes.toString('latin1', 200, 212), 'inlineinline');
  });

  it('copies the vector table when the tick submits, so it may be refilled at once', async () => {
    const b = get();
    const fd = await b.under.newFile();
    b.bytes.write('right', 0);
    b.bytes.write('wrong', 100);
    b.spans(0, [0, 5]);
    const tag = b.op(RING_WRITEV, { fd, buf: 0, len: 1 });
    b.tick();
    b.spans(0, [100, 5]);
    await b.wait(tag);
    await b.run(RING_READ, { fd, buf: 200, len: 5 });
    assert.equal(b.bytes.toString('latin1', 200, 205), 'right');
  });

  it('syncs, and writes durably with RING_DSYNC', async () => {
    const b = get();
    const fd = await b.under.newFile();
    assert.equal(await b.run(RING_WRITE, { fd, len: 123, flags: RING_DSYNC }), 123);
    b.spans(0, [0, 50], [60, 50]);
    assert.equal(await b.run(RING_WRITEV, { fd, len: 2, flags: RING_DSYNC }), 100);
    assert.equal(await b.run(RING_FSYNC, { fd }), 0);
    assert.equal(await b.run(RING_FSYNC, { fd, flags: RING_DATASYNC }), 0);
    assert.equal(await b.run(RING_SYNC_RANGE, { fd, len: 100, pos: 0, flags: 7 }), 0);
  });

  it('allocates and punches holes, or says that it cannot', async () => {
    const b = get();
    const fd = await b.under.newFile();
    b.bytes.fill('x', 0, 4 * PAGE);
    await b.run(RING_WRITE, { fd, len: 4 * PAGE });
    const mode = RING_FALLOC_PUNCH_HOLE | RING_FALLOC_KEEP_SIZE;
    const punched = await b.run(RING_FALLOCATE, { fd, buf: 0, len: PAGE, pos: PAGE, flags: mode });
    if (!b.under.canFallocate) return assert.equal(punched, -EOPNOTSUPP);
    assert.equal(punched, 0);
    assert.equal(await b.run(RING_READ, { fd, buf: 8 * PAGE, len: 4 * PAGE }), 4 * PAGE);
    const read = b.bytes.subarray(8 * PAGE, 12 * PAGE);
    assert.deepEqual([read[0], read[PAGE], read[2 * PAGE - 1], read[2 * PAGE]], [120, 0, 0, 120]);
    assert.equal(await b.run(RING_FALLOCATE, { fd, buf: 1, len: 0, pos: 0, flags: mode }), 0, 'lengths above 4 GiB');
  });

  it('closes a descriptor', async () => {
    const b = get();
    const fd = await b.under.newFile();
    assert.equal(await b.run(RING_CLOSE, { fd }), 0);
    assert.equal(await b.run(RING_READ, { fd, len: 1 }), -EBADF);
  });

  it('keeps many operations under way at once', async () => {
    const b = get();
    const fd = await b.under.newFile();
    const blocks = Array.from({ length: 200 }, (_, i) => i);
    for (const i of blocks) b.bytes.fill(i, i * 512, (i + 1) * 512);
    await b.wait(...blocks.map((i) => b.op(RING_WRITE, { fd, buf: i * 512, len: 512, pos: (199 - i) * 512 })));
    b.bytes.fill(0, 0, 200 * 512);
    await b.wait(...blocks.map((i) => b.op(RING_READ, { fd, buf: i * 512, len: 512, pos: i * 512 })));
    for (const i of blocks) assert.equal(b.bytes[i * 512 + 511], 199 - i);
  });
}

/** Sources of the sums: the published check values of CRC-32C and of CRC-32 without initial and final value; xxhash 0.8 for ''. */
function describeMemory(get: () => RingBench): void {
  const digestHex = async (b: RingBench, kind: number, text: string, bytes: number): Promise<string> => {
    b.bytes.write(text, 100);
    b.bytes.fill(0xee, 5000, 5000 + bytes + 1);
    assert.equal(await b.run(RING_HASH, { buf: 100, len: text.length, pos: 5000, flags: kind }), 0);
    assert.equal(b.bytes[5000 + bytes], 0xee, 'nothing behind the digest is touched');
    return b.bytes.toString('hex', 5000, 5000 + bytes);
  };

  it('computes the digests that are published for known texts', async () => {
    const b = get();
    assert.equal(await digestHex(b, RING_HASH_CRC32C, '123456789', 4), '839206e3');
    assert.equal(await digestHex(b, RING_HASH_CRC32, '123456789', 4), '882dfd2d');
    assert.equal(await digestHex(b, RING_HASH_XXH3_64, '', 8), 'c294d3380580062d');
    assert.equal(await digestHex(b, RING_HASH_XXH3_128, '', 16), '7f498d4624c30160d8984701d306aa99');
  });

  it('computes eight pieces of which the last takes the remainder', async () => {
    const b = get();
    const text = 'abcdefghijklmnopqrstu'; // 21 bytes: seven pieces of 2, one of 7
    for (const [single, eight] of [
      [RING_HASH_CRC32C, RING_HASH_CRC32C8],
      [RING_HASH_CRC32, RING_HASH_CRC32_8],
    ] as const) {
      const all = await digestHex(b, eight, text, 32);
      const pieces = [0, 1, 2, 3, 4, 5, 6, 7].map((k) => text.slice(2 * k, k < 7 ? 2 * k + 2 : undefined));
      let expected = '';
      for (const piece of pieces) expected += await digestHex(b, single, piece, 4);
      assert.equal(all, expected);
    }
  });

  it('copies overlapping ranges like memmove, zeroes, and finds the first difference', async () => {
    const b = get();
    b.bytes.write('0123456789', 100);
    assert.equal(await b.run(RING_COPY, { buf: 100, len: 8, pos: 102 }), 0);
    assert.equal(b.bytes.toString('latin1', 100, 110), '0101234567');
    assert.equal(await b.run(RING_ZERO, { buf: 103, len: 2 }), 0);
    assert.equal(b.bytes.toString('hex', 102, 106), '30000033');
    b.bytes.fill(7, 1000, 3000);
    assert.equal(await b.run(RING_COMPARE, { buf: 1000, len: 1000, pos: 2000 }), 0);
    b.bytes[2500] = 8;
    assert.equal(await b.run(RING_COMPARE, { buf: 1000, len: 1000, pos: 2000 }), 501);
  });

  it('does memory operations in order, before the I/O of the same tick, and silently when asked to', async () => {
    const b = get();
    const fd = await b.under.newFile();
    b.bytes.write('payload', 100);
    const quiet = b.op(RING_COPY, { buf: 100, len: 7, pos: 200, flags: RING_QUIET });
    const write = b.op(RING_WRITE, { fd, buf: 200, len: 7 });
    b.op(RING_HASH, { buf: 200, len: 7, pos: 300, flags: RING_HASH_CRC32C | RING_QUIET });
    assert.deepEqual(await b.wait(write), [7]);
    assert.ok(!b.hasResult(quiet), 'a quiet operation that went well says nothing');
    await b.run(RING_READ, { fd, buf: 400, len: 7 });
    assert.equal(b.bytes.toString('latin1', 400, 407), 'payload');
    const wrong = b.op(RING_ZERO, { buf: -1, len: 1, flags: RING_QUIET });
    assert.deepEqual(await b.wait(wrong), [-EFAULT], 'a quiet operation that failed does say so');
  });
}

function describeTime(get: () => RingBench): void {
  it('ends a time-out with ETIME, the shorter one first', async () => {
    const b = get();
    const long = b.op(RING_TIMEOUT, { pos: 40e6 });
    const short = b.op(RING_TIMEOUT, { pos: 1e6 });
    assert.deepEqual(await b.wait(short), [-ETIME]);
    assert.ok(!b.hasResult(long));
    assert.deepEqual(await b.wait(long), [-ETIME]);
  });

  it('cancels by tag: the time-out ends with ECANCELED, an unknown tag is ENOENT', async () => {
    const b = get();
    const long = b.op(RING_TIMEOUT, { pos: 3600e9 });
    b.tick();
    assert.deepEqual(await b.wait(b.op(RING_CANCEL, { buf: long }), long), [0, -ECANCELED]);
    assert.equal(await b.run(RING_CANCEL, { buf: 123_456 }), -ENOENT);
  });

  it('closes although operations are under way', async () => {
    const b = get();
    const long = b.op(RING_TIMEOUT, { pos: 3600e9 });
    b.tick();
    await b.under.turn();
    assert.ok(!b.hasResult(long)); // the hook behind each test closes the ring
  });
}
