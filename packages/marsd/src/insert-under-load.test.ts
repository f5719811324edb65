import assert from 'node:assert/strict';
import { BRICKS, Brick, FilterBrick, registerBricks, type BrickStats, type XioObject } from '@mars/brick-core';
import { World, type SimHost } from '@mars/sim';
import { loadStack, openStack, overlayOf, type StackHandle } from '@mars/stack';
import { composeHost } from './compose.js';

const TIMES = 1000;

/** `low` sees what arrives at the disk, `high` what the load gets back; both verify every read. */
const TEXT = `
mars: 1
stack: busy
world: sim
bricks:
  disk: { type: ram, params: { size: 32M } }
  low:  { type: check, in: disk, params: { verifyReads: true } }
  slow: { type: delay, in: low, params: { read: 1ms, write: 2ms, jitter: 1ms } }
  high: { type: check, in: slow, params: { verifyReads: true, lost: 10s } }
  load: { type: load, in: high, params: { depth: 32, mix: 50r/45w/5f, sizes: [512, 4096], verify: true } }
`;

/** Hashes what passes, in order. */
@Brick({ type: 'tap', inputs: { next: {} }, ops: 'all' })
class Tap extends FilterBrick {
  static readonly seen = new Map<string, { hash: number; requests: number }>();

  override io(o: XioObject): void {
    const { hash, requests } = Tap.seen.get(this.name) ?? { hash: 0, requests: 0 };
    Tap.seen.set(this.name, { hash: (Math.imul(hash, 31) + o.pos + o.op) | 0, requests: requests + 1 });
    this.next.io(o);
  }
}

/** Whatever passes the upper tap must pass the lower one in the same order; the wire between them is changed. */
const ORDERED = `
mars: 1
stack: ordered
world: sim
bricks:
  disk:  { type: ram, params: { size: 32M } }
  slow:  { type: delay, in: disk, params: { read: 1ms, write: 2ms } }
  lower: { type: tap, in: slow }
  upper: { type: tap, in: lower }
  load:  { type: load, in: upper, params: { depth: 32, mix: 50r/45w/5f, verify: true } }
`;

describe('Inserting and removing a filter under verified load', () => {
  let world: World;
  let host: SimHost;
  let stack: StackHandle;

  beforeEach(() => {
    world = new World({ seed: 11 });
    host = world.addHost('a');
    composeHost(host.container, host);
    registerBricks(host.container, [Tap], 'test');
  });

  afterEach(() => world.close());

  it(`loses and doubles no request in ${TIMES} times`, async function () {
    this.timeout(120_000);
    await open(TEXT);
    const overlay = overlayOf(
      { wire: 'slow.next', type: 'delay', name: 'extra', params: { write: '1ms' } },
      [],
      host.container.resolve(BRICKS),
    );
    const requests: number[] = [];
    for (let i = 0; i < TIMES; i++) {
      await world.drive(stack.insert(overlay));
      await world.advance(2);
      await world.drive(stack.remove('extra'));
      requests.push(counters(await stack.statistics()).requests!);
    }
    assert.equal(new Set(requests).size, TIMES, 'requests went on in every round');
    await end();
  });

  it(`keeps the order of requests in ${TIMES} times`, async function () {
    this.timeout(120_000);
    Tap.seen.clear();
    await open(ORDERED);
    const overlay = overlayOf({ wire: 'upper.next', type: 'delay', name: 'extra' }, [], host.container.resolve(BRICKS));
    for (let i = 0; i < TIMES; i++) {
      await world.drive(stack.insert(overlay));
      await world.advance(1);
      await world.drive(stack.remove('extra'));
    }
    await world.drive(stack.override('load', 'off'));
    await world.drive(stack.settled());
    assert.equal((await stack.statistics()).load!.facts.failed, false);
    assert.ok(Tap.seen.get('upper')!.requests > 10_000);
    assert.deepEqual(Tap.seen.get('upper'), Tap.seen.get('lower'));
    await world.drive(stack.close());
    assert.deepEqual(host.arena.leaks(), []);
  });

  async function open(text: string): Promise<void> {
    const registry = host.container.resolve(BRICKS);
    const { plan } = loadStack(text, { registry });
    stack = openStack({ plan, loop: host.loop, host: host.container, registry });
    await world.drive(stack.settled());
  }

  /** Everything has come back, everybody has seen the same requests, and nobody has found anything. */
  async function end(): Promise<void> {
    await world.drive(stack.override('load', 'off'));
    await world.drive(stack.settled());
    const statistics = await stack.statistics();
    const [load, high, low] = [statistics.load!, statistics.high!, statistics.low!];
    assert.equal(load.facts.failed, false, String(load.facts.failure));
    for (const check of [high, low]) assert.equal(check.counters.faults, 0, String(check.facts.failure));
    const answered = ['reads', 'writes', 'flushes'].reduce((sum, name) => sum + load.counters[name]!, 0);
    assert.ok(answered > 10_000);
    assert.deepEqual([high.counters.requests, low.counters.requests], [answered, answered]);
    assert.equal(load.counters.errors, 0);
    await world.drive(stack.close());
    assert.deepEqual(host.loop.pool.outstanding(), []);
    assert.deepEqual(host.arena.leaks(), []);
  }

  function counters(statistics: Record<string, BrickStats>): Record<string, number> {
    return statistics.high!.counters;
  }
});
