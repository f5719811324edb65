import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ECANCELED } from '../errno.js';
import { Loop, type Batcher } from '../loop/loop.js';
import { Arena } from '../request/arena.js';
import { VirtualDriver } from '../testing/virtual-driver.js';
import { RingQueue, type RingClient, type RingPlace } from './ring-queue.js';
import {
  CQ_WORDS,
  IOV_WORDS,
  RING_FALLOCATE,
  RING_HASH,
  RING_QUIET,
  RING_TIMEOUT,
  SQ_WORDS,
  type Ring,
} from './ring.js';

type Seen = { code: number; fd: number; buf: number; len: number; pos: number; flags: number; tag: number };

/** A ring whose completions a test decides. Like the real ones it hands over at most `cqEntries` per tick. */
class ScriptedRing implements Ring {
  readonly arena = new ArrayBuffer(1 << 16);
  readonly sq: Int32Array;
  readonly cq: Int32Array;
  readonly iov: Int32Array;
  readonly seen: Seen[] = [];
  readonly perTick: number[] = [];
  readonly done: [tag: number, result: number][] = [];
  /** Answers at once with this, when set. */
  answer: ((seen: Seen) => number) | null = null;

  constructor(
    readonly entries: number,
    private readonly cqEntries = 2 * entries,
    vectors = 8,
  ) {
    this.sq = new Int32Array(entries * SQ_WORDS);
    this.cq = new Int32Array(cqEntries * CQ_WORDS);
    this.iov = new Int32Array(vectors * IOV_WORDS);
  }

  tick(nOps: number): number {
    if (nOps > 0) this.perTick.push(nOps);
    for (let i = 0; i < nOps; i++) this.take(this.sq.subarray(i * SQ_WORDS, (i + 1) * SQ_WORDS));
    const n = Math.min(this.done.length, this.cqEntries);
    this.done.splice(0, n).forEach((pair, i) => this.cq.set(pair, i * CQ_WORDS));
    return n;
  }

  private take([code, fd, buf, len, lo, hi, flags, tag]: Int32Array): void {
    const seen = { code, fd, buf, len, pos: (lo! >>> 0) + hi! * 2 ** 32, flags, tag } as Seen;
    this.seen.push(seen);
    if (this.answer && !(flags! & RING_QUIET && code! >= RING_HASH)) this.done.push([seen.tag, this.answer(seen)]);
  }

  run(): void {}
  attach(): void {}
  detach(): void {}
  wake(): void {}
  close(): void {}
}

class Recorder implements RingClient {
  readonly got: [token: number, result: number, place: RingPlace | null][] = [];
  ringDone(token: number, result: number, place: RingPlace | null): void {
    this.got.push([token, result, place]);
  }
}

function build(
  entries = 4,
  tags = 16,
  cqEntries?: number,
): { ring: ScriptedRing; queue: RingQueue; driver: VirtualDriver; loop: Loop } {
  const ring = new ScriptedRing(entries, cqEntries);
  const queue = new RingQueue(ring, null, tags);
  const driver = new VirtualDriver();
  const loop = new Loop(driver, new Arena(new ArrayBuffer(1 << 16)), 4);
  loop.useRing(queue);
  return { ring, queue, driver, loop };
}

const at = (pos: number, len = 0): RingPlace => ({ pos, len });

describe('RingQueue', () => {
  it('gives token, result and place back to the client that asked', () => {
    const { ring, queue, driver } = build();
    ring.answer = ({ len }) => len;
    const a = new Recorder();
    const b = new Recorder();
    const place = at(4096);
    queue.read(7, 512, 100, place, a, 1);
    queue.fsync(7, 0, b, 2);
    driver.runUntilIdle();
    assert.deepEqual(a.got, [[1, 100, place]]);
    assert.deepEqual(b.got, [[2, 0, null]]);
    assert.equal(queue.inFlight, 0);
  });

  it('carries any position and length that a double holds, and -1', () => {
    const { ring, queue, driver } = build(1, 4);
    ring.answer = () => 0;
    const client = new Recorder();
    const positions = fc.oneof(fc.maxSafeNat(), fc.constantFrom(-1, 0, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1));
    fc.assert(
      fc.property(positions, fc.maxSafeNat(), (pos, len) => {
        ring.seen.length = 0;
        queue.write(3, 0, 1, at(pos), client, 0);
        queue.fallocate(3, 1, at(pos, len), client, 0);
        driver.runUntilIdle();
        assert.equal(ring.seen[0]!.pos, pos);
        const allocate = ring.seen[1]!;
        assert.equal(allocate.code, RING_FALLOCATE);
        assert.equal((allocate.len >>> 0) + allocate.buf * 2 ** 32, len);
      }),
    );
    queue.timeout(5_000_000, client, 0);
    driver.runUntilIdle();
    assert.deepEqual([ring.seen.at(-1)!.code, ring.seen.at(-1)!.pos], [RING_TIMEOUT, 5e9]);
  });

  it('crosses to the ring once per tick, and takes what does not fit along later, in order', () => {
    const { ring, queue, driver } = build(4, 16);
    ring.answer = () => 0;
    const client = new Recorder();
    for (let i = 0; i < 11; i++) assert.ok(queue.nop(client, i) > 0);
    driver.runUntilIdle();
    assert.deepEqual(ring.perTick, [4, 4, 3]);
    assert.deepEqual(
      client.got.map(([token]) => token),
      [...Array(11).keys()],
    );
  });

  it('answers -1 when the tags are used up, and plugs who waits as soon as one is free', () => {
    const { ring, queue, driver } = build(8, 4);
    const client = new Recorder();
    const tags = Array.from({ length: 4 }, (_, i) => queue.nop(client, i));
    assert.equal(queue.nop(client, 99), -1);
    let plugs = 0;
    const waiter: Batcher = { rank: 0, plugged: false, endBatch: () => void plugs++ };
    queue.awaitRoom(waiter);
    queue.awaitRoom(waiter);
    driver.runUntilIdle();
    assert.equal(plugs, 0);
    ring.done.push([tags[2]!, 0]);
    driver.arm();
    driver.runUntilIdle();
    assert.equal(plugs, 1);
    assert.ok(queue.nop(client, 5) > 0);
  });

  it('delivers more completions than cq has room for, without a further wake-up', () => {
    const { ring, queue, driver } = build(8, 32, 2);
    ring.answer = () => 0;
    const client = new Recorder();
    for (let i = 0; i < 8; i++) queue.nop(client, i);
    driver.runUntilIdle();
    for (let i = 0; i < 8 && client.got.length < 8; i++) {
      driver.arm(); // what an attached ring does while more remain
      driver.runUntilIdle();
    }
    assert.equal(client.got.length, 8);
  });

  it('lets a client submit again from its completion', () => {
    const { ring, queue, driver } = build(1, 2);
    ring.answer = () => 0;
    let left = 50;
    const client: RingClient = { ringDone: () => void (left-- > 0 && queue.nop(client, 0)) };
    queue.nop(client, 0);
    driver.runUntilIdle();
    assert.equal(left, -1);
    assert.equal(ring.seen.length, 51);
  });

  it('needs no tag for quiet memory operations, and stops the process when one was wrong', () => {
    const { ring, queue, driver } = build(4, 1);
    assert.equal(queue.copy(0, 100, 10), 0);
    assert.equal(queue.hash(0, 0, 10, 200), 0);
    assert.equal(queue.available, 1);
    driver.runUntilIdle();
    assert.deepEqual(
      ring.seen.map(({ flags }) => flags & RING_QUIET),
      [RING_QUIET, RING_QUIET],
    );
    ring.done.push([0, -14]);
    const client = new Recorder();
    queue.nop(client, 0);
    assert.throws(() => driver.runUntilIdle(), /quiet memory operation/);
  });

  it('hands out each span once per tick, and all of them again in the next', () => {
    const { ring, queue, driver } = build(4, 8);
    ring.answer = () => 0;
    const client = new Recorder();
    const first = queue.vector(3);
    const second = queue.vector(5);
    assert.deepEqual([first, second, queue.vector(1)], [0, 3, -1]);
    queue.span(second, 4, 1234, 56);
    assert.deepEqual([...ring.iov.subarray(14, 16)], [1234, 56]);
    queue.writev(3, first, 3, at(0), client, 0);
    queue.writev(3, second, 5, at(0), client, 0);
    driver.runUntilIdle();
    assert.equal(queue.vector(8), 0);
  });

  it('keeps the spans of operations that wait in the overflow queue', () => {
    const { ring, queue, driver } = build(1, 8);
    ring.answer = ({ buf, len }) => ring.iov[(buf + len - 1) * IOV_WORDS]!;
    const client = new Recorder();
    for (const [token, offset] of [
      [0, 111],
      [1, 222],
      [2, 333],
    ] as const) {
      const vector = queue.vector(1);
      queue.span(vector, 0, offset, 1);
      queue.writev(3, vector, 1, at(0), client, token);
    }
    driver.runUntilIdle();
    assert.deepEqual(
      client.got.map(([, result]) => result),
      [111, 222, 333],
    );
  });

  it('resolves a call with the result', async () => {
    const { ring, queue, driver } = build();
    ring.answer = ({ fd }) => (fd === 5 ? -ECANCELED : 0);
    const good = queue.call((client, token) => queue.fsync(4, 0, client, token));
    const bad = queue.call((client, token) => queue.fsync(5, 0, client, token));
    driver.runUntilIdle();
    assert.deepEqual(await Promise.all([good, bad]), [0, -ECANCELED]);
  });

  it('leaves the ring alone within ticks when the driver turns it', () => {
    const { ring, queue, driver } = build();
    ring.answer = () => 7;
    queue.driveFromOutside();
    const client = new Recorder();
    queue.nop(client, 1);
    driver.runUntilIdle();
    assert.deepEqual([ring.seen.length, queue.pending], [0, 1]);
    assert.equal(queue.turn(0), 1);
    driver.arm();
    driver.runUntilIdle();
    assert.deepEqual(client.got, [[1, 7, null]]);
  });

  it('stops the process when a completion comes twice', () => {
    const { ring, queue, driver } = build();
    const client = new Recorder();
    const tag = queue.nop(client, 1);
    queue.nop(client, 2);
    driver.runUntilIdle();
    ring.done.push([tag, 0], [tag, 0]);
    driver.arm();
    assert.throws(() => driver.runUntilIdle(), /not in flight/);
  });

  it('allocates nothing per operation', () => {
    const { ring, queue, driver } = build(1024, 1024);
    const client: RingClient = { ringDone: () => {} };
    const place = at(3 * 2 ** 40);
    // A ring without bookkeeping of its own: it completes everything in place.
    ring.tick = (nOps: number) => {
      for (let i = 0; i < nOps; i++) {
        ring.cq[i * CQ_WORDS] = ring.sq[i * SQ_WORDS + 7]!;
        ring.cq[i * CQ_WORDS + 1] = 0;
      }
      return nOps;
    };
    const round = (): void => {
      for (let i = 0; i < 1024; i++) queue.write(3, 0, 4096, place, client, i);
      driver.runUntilIdle();
    };
    for (let i = 0; i < 500; i++) round();
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 500; i++) round();
    const bytesPerOperation = (process.memoryUsage().heapUsed - before) / (500 * 1024);
    assert.ok(bytesPerOperation < 1, `${bytesPerOperation} bytes per operation`);
  });
});
