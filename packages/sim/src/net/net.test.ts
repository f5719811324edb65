import assert from 'node:assert/strict';
import { ECONNREFUSED, ECONNRESET, ETIMEDOUT, MarsError, type NetStream } from '@mars/brick-core';
import { World, type SimHost } from '../index.js';

/** Two hosts with one connection from a to b. */
interface Pair {
  world: World;
  a: SimHost;
  b: SimHost;
  near: NetStream;
  far: NetStream;
}

const PORT = { host: 'b', port: 7777 };

async function connected(seed: number): Promise<Pair> {
  const world = new World({ seed });
  const a = world.addHost('a');
  const b = world.addHost('b');
  const accepted: NetStream[] = [];
  await world.drive(b.net.listen({ host: 'b', port: 7777 }, (stream) => accepted.push(stream)));
  const near = await world.drive(a.net.connect(PORT));
  await world.run({ until: () => accepted.length === 1 });
  return { world, a, b, near, far: accepted[0]! };
}

/** Collects what a stream brings. */
function collect(stream: NetStream): { bytes: number[]; chunks: number; ending: Error | 'clean' | null } {
  const got = { bytes: [] as number[], chunks: 0, ending: null as Error | 'clean' | null };
  stream.onData((bytes) => {
    got.bytes.push(...bytes);
    got.chunks++;
  });
  stream.onClose((error) => {
    assert.equal(got.ending, null, 'onClose was called twice');
    got.ending = error ?? 'clean';
  });
  return got;
}

const errnoOf = (error: unknown): unknown => (error instanceof MarsError ? error.details.errno : error);
const numbers = (count: number, from = 0): Uint8Array => Uint8Array.from({ length: count }, (_, i) => from + i);

describe('SimNet', () => {
  it('brings every byte once and in order, in pieces that differ from seed to seed', async () => {
    const shapes = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { world, near, far } = await connected(seed);
      const got = collect(far);
      for (let i = 0; i < 10; i++) near.write(numbers(20, 20 * i));
      near.end();
      await world.run({ until: () => got.ending !== null });
      assert.deepEqual(got.bytes, [...numbers(200)]);
      assert.equal(got.ending, 'clean');
      shapes.add(got.chunks);
    }
    assert.ok(shapes.size > 3, `only ${shapes.size} shapes`);
  });

  it('takes the bytes at once: the writer may re-use its buffer', async () => {
    const { world, near, far } = await connected(1);
    const got = collect(far);
    const buffer = numbers(10);
    near.write(buffer);
    buffer.fill(255);
    await world.run({ until: () => got.bytes.length === 10 });
    assert.deepEqual(got.bytes, [...numbers(10)]);
  });

  it('keeps bytes until somebody listens, and while the reader is paused', async () => {
    const { world, near, far } = await connected(2);
    near.write(numbers(10));
    await world.run();
    const got = collect(far);
    far.pause();
    await world.run();
    assert.equal(got.bytes.length, 0);
    far.resume();
    await world.run();
    assert.equal(got.bytes.length, 10);
  });

  it('pushes back on a writer whose reader is slow, and tells it when to go on', async () => {
    const { world, near, far } = await connected(3);
    const got = collect(far);
    far.pause();
    let drained = 0;
    near.onDrain(() => drained++);
    let isTaken = true;
    for (let i = 0; isTaken && i < 1000; i++) isTaken = near.write(new Uint8Array(4096));
    assert.equal(isTaken, false);
    await world.run();
    assert.equal(drained, 0);
    far.resume();
    await world.run();
    assert.equal(drained, 1);
    assert.ok(got.bytes.length > 256 * 1024);
  });

  it('refuses where nobody listens, and times out where nobody is', async () => {
    const { world, a, b } = await connected(4);
    await assert.rejects(world.drive(a.net.connect({ host: 'b', port: 1 })), (e) => errnoOf(e) === ECONNREFUSED);
    b.crash('power');
    await assert.rejects(world.drive(a.net.connect(PORT, { timeoutMs: 50 })), (e) => errnoOf(e) === ETIMEDOUT);
    await assert.rejects(
      world.drive(a.net.connect({ host: 'x', port: 1 }, { timeoutMs: 5 })),
      (e) => errnoOf(e) === ETIMEDOUT,
    );
    const abort = new AbortController();
    const attempt = a.net.connect(PORT, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await assert.rejects(world.drive(attempt), /enough/);
  });

  it('reaches hosts by address, itself as localhost, and paths only on the same host', async () => {
    const { world, a, b } = await connected(5);
    await world.drive(a.net.connect({ host: b.ip, port: 7777 }));
    await world.drive(b.net.connect({ host: 'localhost', port: 7777 }));
    await world.drive(b.net.listen({ path: '/run/x.sock' }, () => {}));
    await world.drive(b.net.connect({ path: '/run/x.sock' }));
    await assert.rejects(world.drive(a.net.connect({ path: '/run/x.sock' })), (e) => errnoOf(e) === ECONNREFUSED);
    await assert.rejects(
      b.net.listen({ host: 'b', port: 7777 }, () => {}),
      (e) => errnoOf(e) === 98,
    );
  });

  it('holds everything during a partition and brings it, complete and in order, after the healing', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { world, near, far } = await connected(seed);
      const got = collect(far);
      near.write(numbers(100));
      await world.advance(0.05);
      world.net.cut('a', 'b');
      near.write(numbers(100, 100));
      await world.advance(1000);
      const before = got.bytes.length;
      await world.advance(10_000);
      assert.equal(got.bytes.length, before);
      world.net.heal('a', 'b');
      near.write(numbers(50, 200));
      await world.run();
      assert.deepEqual(got.bytes, [...numbers(250)]);
    }
  });

  it('cuts one way only, when asked', async () => {
    const { world, near, far } = await connected(6);
    const [atFar, atNear] = [collect(far), collect(near)];
    world.net.cut('a', 'b', { oneWay: true });
    near.write(numbers(5));
    far.write(numbers(7));
    await world.run();
    assert.deepEqual([atFar.bytes.length, atNear.bytes.length], [0, 7]);
    world.net.healAll();
    await world.run();
    assert.equal(atFar.bytes.length, 5);
  });

  it('stalls for a while and no longer', async () => {
    const { world, near, far } = await connected(7);
    const got = collect(far);
    world.net.stall('a', 'b', 500);
    const before = world.nowMs;
    near.write(numbers(1));
    await world.run({ until: () => got.bytes.length === 1 });
    const tookMs = world.nowMs - before;
    assert.ok(tookMs >= 500 && tookMs < 510, `${tookMs} ms`);
  });

  it('takes time for bytes as bandwidth and latency say', async () => {
    const { world, near, far } = await connected(8);
    const got = collect(far);
    world.net.slow('a', 'b', { latency: { minUs: 10_000, maxUs: 10_000 }, bytesPerSecond: 1e6 });
    const before = world.nowMs;
    near.write(new Uint8Array(100_000));
    await world.run({ until: () => got.bytes.length === 100_000 });
    const tookMs = world.nowMs - before;
    assert.ok(tookMs > 110 && tookMs < 125, `${tookMs} ms`);
  });

  it('lets connections overtake each other', async () => {
    let overtaken = 0;
    for (let seed = 0; seed < 30; seed++) {
      const world = new World({ seed });
      const a = world.addHost('a');
      const b = world.addHost('b');
      const order: number[] = [];
      const listen = b.net.listen(PORT, (stream) => stream.onData((bytes) => order.push(bytes[0]!)));
      await world.drive(listen);
      const one = await world.drive(a.net.connect(PORT));
      const two = await world.drive(a.net.connect(PORT));
      one.write(numbers(1, 1));
      two.write(numbers(1, 2));
      await world.run();
      if (order[0] === 2) overtaken++;
    }
    assert.ok(overtaken > 5 && overtaken < 25, `${overtaken} of 30`);
  });

  it('breaks connections on both sides, when asked', async () => {
    const { world, near, far } = await connected(9);
    const [atFar, atNear] = [collect(far), collect(near)];
    assert.equal(world.net.reset('a', 'b'), 1);
    await world.run();
    assert.deepEqual([errnoOf(atFar.ending), errnoOf(atNear.ending)], [ECONNRESET, ECONNRESET]);
    assert.equal(near.write(numbers(1)), false);
  });

  it('tells the peer at once when a process dies', async () => {
    const { world, b, near } = await connected(10);
    const got = collect(near);
    b.crash('process');
    await world.run();
    assert.equal(errnoOf(got.ending), ECONNRESET);
  });

  it('tells nobody when a machine dies: the peer finds out when it speaks to the next life', async () => {
    const { world, b, near } = await connected(11);
    const got = collect(near);
    b.crash('power');
    near.write(numbers(10));
    await world.advance(60_000);
    assert.equal(got.ending, null);
    b.restart();
    await world.run();
    assert.equal(errnoOf(got.ending), ECONNRESET);
  });

  it('knows connections that only one side believes in', async () => {
    const { world, near, far } = await connected(12);
    const [atFar, atNear] = [collect(far), collect(near)];
    world.net.halfOpen('a', 'b');
    await world.run();
    assert.equal(errnoOf(atNear.ending), ETIMEDOUT);
    assert.equal(atFar.ending, null);
    far.write(numbers(1));
    await world.run();
    assert.equal(errnoOf(atFar.ending), ECONNRESET);
  });

  it('lets a stream be destroyed with data under way', async () => {
    const { world, near, far } = await connected(13);
    const [atFar, atNear] = [collect(far), collect(near)];
    near.write(numbers(100));
    near.destroy();
    await world.run();
    assert.equal(atNear.ending, 'clean');
    assert.equal(errnoOf(atFar.ending), ECONNRESET);
    assert.equal(world.net.open('a').connections + world.net.open('b').connections, 0);
  });
});
