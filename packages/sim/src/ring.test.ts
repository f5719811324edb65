import assert from 'node:assert/strict';
import {
  EBADF,
  ECANCELED,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  ETIME,
  RING_CANCEL,
  RING_COMPARE,
  RING_COPY,
  RING_DSYNC,
  RING_FALLOCATE,
  RING_FALLOC_KEEP_SIZE,
  RING_FALLOC_PUNCH_HOLE,
  RING_FSYNC,
  RING_HASH,
  RING_NOP,
  RING_QUIET,
  RING_READ,
  RING_READV,
  RING_TIMEOUT,
  RING_WRITE,
  RING_WRITEV,
  RING_ZERO,
  SQ_WORDS,
  type OpenFile,
} from '@mars/brick-core';
import { World, type HostOptions, type SimHost } from './index.js';
import type { SimRing } from './ring.js';

interface Op {
  code: number;
  fd?: number;
  buf?: number;
  len?: number;
  pos?: number;
  flags?: number;
}

/** A host with one file and a ring of its own, driven by promises. */
class Bench {
  readonly world: World;
  readonly host: SimHost;
  readonly ring: SimRing;
  file!: OpenFile;
  private readonly waiting = new Map<number, (result: number) => void>();
  private tags = 1;

  constructor(seed: number, options: HostOptions = {}) {
    this.world = new World({ seed });
    this.host = this.world.addHost('a', options);
    this.ring = this.host.openRing();
    this.ring.attach(() => this.tick(0));
  }

  private tick(nOps: number): void {
    const count = this.ring.tick(nOps, 0);
    for (let i = 0; i < count; i++) this.waiting.get(this.ring.cq[2 * i]!)!(this.ring.cq[2 * i + 1]!);
  }

  static async open(seed: number, options: HostOptions = {}): Promise<Bench> {
    const bench = new Bench(seed, options);
    bench.file = await bench.world.drive(bench.host.files.open('/x', { write: true, create: true }));
    return bench;
  }

  start(op: Op): Promise<number> {
    const tag = this.tags++;
    const pos = op.pos ?? 0;
    this.ring.sq.set([
      op.code,
      op.fd ?? this.file.fd,
      op.buf ?? 0,
      op.len ?? 0,
      pos | 0,
      Math.floor(pos / 2 ** 32),
      op.flags ?? 0,
      tag,
    ]);
    const result = new Promise<number>((resolve) => this.waiting.set(tag, resolve));
    this.tick(1);
    return result;
  }

  run(op: Op): Promise<number> {
    return this.world.drive(this.start(op));
  }

  fill(at: number, len: number, byte: number): void {
    this.host.arena.u8.fill(byte, at, at + len);
  }

  bytes(at: number, len: number): number[] {
    return [...this.host.arena.u8.subarray(at, at + len)];
  }

  get tag(): number {
    return this.tags - 1;
  }
}

describe('SimRing', () => {
  it('writes, grows the file, reads back, and reads short at its end', async () => {
    const b = await Bench.open(1);
    b.fill(0, 1000, 7);
    assert.equal(await b.run({ code: RING_WRITE, buf: 0, len: 1000, pos: 500 }), 1000);
    assert.equal(b.host.files.size(b.file), 1500);
    assert.equal(await b.run({ code: RING_READ, buf: 4096, len: 4096, pos: 499 }), 1001);
    assert.deepEqual(b.bytes(4096, 3), [0, 7, 7]);
    assert.equal(await b.run({ code: RING_READ, buf: 4096, len: 10, pos: 1500 }), 0);
  });

  it('gathers and scatters vectors', async () => {
    const b = await Bench.open(2);
    b.fill(0, 10, 1);
    b.fill(100, 20, 2);
    b.ring.iov.set([0, 10, 100, 20]);
    assert.equal(await b.run({ code: RING_WRITEV, buf: 0, len: 2, pos: 0 }), 30);
    b.ring.iov.set([1000, 5, 2000, 25]);
    assert.equal(await b.run({ code: RING_READV, buf: 0, len: 2, pos: 0 }), 30);
    assert.deepEqual(b.bytes(1000, 5), [1, 1, 1, 1, 1]);
    assert.deepEqual(b.bytes(2000, 6), [1, 1, 1, 1, 1, 2]);
  });

  it('reaches positions beyond 2^32', async () => {
    const b = await Bench.open(3);
    b.fill(0, 512, 9);
    const pos = 5 * 2 ** 32 + 512;
    assert.equal(await b.run({ code: RING_WRITE, buf: 0, len: 512, pos }), 512);
    assert.equal(b.host.files.size(b.file), pos + 512);
    assert.equal(await b.run({ code: RING_READ, buf: 1024, len: 512, pos }), 512);
    assert.equal(b.bytes(1024, 1)[0], 9);
  });

  it('answers mistakes with an errno', async () => {
    const b = await Bench.open(4);
    assert.equal(await b.run({ code: RING_READ, fd: 99, len: 1 }), -EBADF);
    assert.equal(await b.run({ code: RING_READ, buf: b.host.arena.totalBytes - 1, len: 2 }), -EFAULT);
    assert.equal(await b.run({ code: RING_READ, len: 1, pos: -5 }), -EINVAL);
    assert.equal(await b.run({ code: 30 }), -EINVAL);
    assert.equal(await b.run({ code: RING_CANCEL, buf: 4711 }), -ENOENT);
  });

  it('refuses misaligned direct I/O', async () => {
    const b = await Bench.open(5);
    b.host.disk.addDevice('vda', 1 << 20);
    b.file = await b.world.drive(b.host.files.open('/dev/vda', { write: true, direct: true }));
    assert.equal(await b.run({ code: RING_WRITE, len: 512, pos: 100 }), -EINVAL);
    assert.equal(await b.run({ code: RING_WRITE, buf: 8, len: 512 }), -EINVAL);
    assert.equal(await b.run({ code: RING_WRITE, len: 512, pos: 512 }), 512);
    assert.equal(await b.run({ code: RING_WRITE, len: 512, pos: 1 << 20 }), -ENOSPC, 'a device does not grow');
  });

  it('does memory operations at once, and quiet ones without a word', async () => {
    const b = await Bench.open(6);
    b.host.arena.u8.set(new TextEncoder().encode('123456789'), 0);
    assert.equal(await b.run({ code: RING_HASH, buf: 0, len: 9, pos: 100 }), 0);
    assert.equal(b.host.arena.view.getUint32(100, true), 0xe3069283, 'CRC-32C check value');
    assert.equal(await b.run({ code: RING_COPY, buf: 0, len: 9, pos: 4 }), 0);
    assert.equal(await b.run({ code: RING_COMPARE, buf: 0, len: 9, pos: 4 }), 5);
    assert.equal(await b.run({ code: RING_ZERO, buf: 0, len: 4 }), 0);
    assert.deepEqual(b.bytes(0, 5), [0, 0, 0, 0, 49]);
    void b.start({ code: RING_ZERO, buf: 0, len: 100, flags: RING_QUIET });
    await b.world.run();
    assert.equal(b.ring.tick(0, 0), 0);
  });

  it('times out, and cancels', async () => {
    const b = await Bench.open(7);
    const before = b.world.nowNs;
    assert.equal(await b.run({ code: RING_TIMEOUT, pos: 3_000_000 }), -ETIME);
    assert.ok(b.world.nowNs - before >= 3_000_000);
    const timeout = b.start({ code: RING_TIMEOUT, pos: 1e9 });
    assert.equal(await b.run({ code: RING_CANCEL, buf: b.tag }), 0);
    assert.equal(await b.world.drive(timeout), -ECANCELED);
    assert.equal(await b.run({ code: RING_NOP }), 0);
    assert.equal(b.ring.busy, 0);
  });

  it('makes a DSYNC write and an fsynced one survive a power cut, size and all', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const b = await Bench.open(seed);
      await b.world.drive(b.host.files.syncDir('/'));
      b.fill(0, 8192, 5);
      await b.run({ code: RING_WRITE, len: 4096, pos: 0, flags: RING_DSYNC });
      await b.run({ code: RING_WRITE, len: 4096, pos: 4096 });
      assert.equal(await b.run({ code: RING_FSYNC }), 0);
      b.host.crash('power');
      b.host.restart();
      assert.deepEqual(b.host.files.readFile('/x'), new Uint8Array(8192).fill(5));
    }
  });

  it('makes with DSYNC only its own range durable', async () => {
    let lost = 0;
    for (let seed = 0; seed < 40; seed++) {
      const b = await Bench.open(seed);
      b.fill(0, 8192, 5);
      await b.run({ code: RING_WRITE, len: 8192, pos: 0 });
      await b.run({ code: RING_FSYNC });
      b.fill(0, 8192, 6);
      await b.run({ code: RING_WRITE, len: 4096, pos: 4096 });
      await b.run({ code: RING_WRITE, len: 4096, pos: 0, flags: RING_DSYNC });
      b.host.crash('power');
      b.host.restart();
      const bytes = b.host.files.readFile('/x')!;
      assert.ok(bytes.subarray(0, 4096).every((byte) => byte === 6));
      if (bytes.subarray(4096).includes(5)) lost++;
    }
    assert.ok(lost > 5 && lost < 40, `${lost} of 40`);
  });

  it('loses nothing that was written when only the process dies', async () => {
    const b = await Bench.open(8);
    b.fill(0, 4096, 3);
    await b.run({ code: RING_WRITE, len: 4096, pos: 0 });
    b.host.crash('process');
    b.host.restart();
    assert.deepEqual(b.host.files.readFile('/x'), new Uint8Array(4096).fill(3));
  });

  it('takes hold of the file early or late: both happen', async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 30; seed++) {
      const b = await Bench.open(seed);
      b.fill(0, 512, 1);
      const write = b.start({ code: RING_WRITE, len: 512 });
      b.fill(0, 512, 2); // our own mistake: the buffer is not ours yet
      await b.world.drive(write);
      seen.add(b.host.files.readFile('/x')![0]!);
    }
    assert.deepEqual([...seen].sort(), [1, 2]);
  });

  it('punches holes and keeps the size', async () => {
    const b = await Bench.open(9);
    b.fill(0, 16384, 4);
    await b.run({ code: RING_WRITE, len: 16384 });
    const flags = RING_FALLOC_PUNCH_HOLE | RING_FALLOC_KEEP_SIZE;
    assert.equal(await b.run({ code: RING_FALLOCATE, buf: 0, len: 8192, pos: 4096, flags }), 0);
    assert.equal(b.host.files.size(b.file), 16384);
    const bytes = b.host.files.readFile('/x')!;
    assert.deepEqual([bytes[4095], bytes[4096], bytes[12287], bytes[12288]], [4, 0, 0, 4]);
    assert.equal(b.host.files.space('/').totalBytes - b.host.files.space('/').freeBytes, 8192);
  });

  it('answers ENOSPC on a full volume, after a short write for the last room', async () => {
    const b = await Bench.open(10, { disk: { capacityBytes: 16384 } });
    assert.equal(await b.run({ code: RING_WRITE, len: 12288 }), 12288);
    assert.equal(await b.run({ code: RING_WRITE, len: 12288, pos: 12288 }), 4096);
    assert.equal(await b.run({ code: RING_WRITE, len: 4096, pos: 16384 }), -ENOSPC);
    assert.equal(await b.run({ code: RING_WRITE, len: 4096, pos: 0 }), 4096, 'overwriting needs no room');
    await b.world.drive(b.host.files.truncate(b.file, 4096));
    assert.equal(await b.run({ code: RING_WRITE, len: 4096, pos: 4096 }), 4096);
  });

  it('cannot block', () => {
    const b = new Bench(11);
    assert.throws(() => b.ring.tick(0, -1), /cannot wait/);
    assert.throws(() => b.ring.run(), /no thread/);
    assert.equal(SQ_WORDS, 8);
  });
});
