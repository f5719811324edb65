import assert from 'node:assert/strict';
import { BrickBase } from '../brick/brick-base.js';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick } from '../brick/meta.js';
import { ENOTCONN } from '../errno.js';
import { MarsError, type ErrorCodeName } from '../errors.js';
import { MAX_STACK_DEPTH } from '../limits.js';
import type { XioInfo } from '../request/info.js';
import type { XioObject } from '../request/xio-object.js';
import {
  Spinner,
  createTestHost,
  type KitOptions,
  type MemoryDisk,
  type Probe,
  type TestHost,
} from '../testing/index.js';
import { Graph } from './graph.js';
import { BRICKS } from './compose.js';

/** Holds every request for 3 ms on its way down. */
@Brick({
  type: 'test-delay',
  inputs: { next: {} },
  ops: 'all',
  live: ['ms'],
  params: { properties: { ms: { unit: 'ms', default: '3ms' } } },
})
class Delay extends FilterBrick {
  private readonly pass = (o: XioObject): void => this.next.io(o);
  private ms = 0;
  protected override attached(): void {
    this.ms = this.ctx.params.ms as number;
  }
  protected override liveParam(_name: string, value: unknown): void {
    this.ms = value as number;
  }
  override io(o: XioObject): void {
    o.push(this);
    this.ctx.loop.after(this.ms, o, this.pass);
  }
}

/** Counts its requests in an aspect, so that a left-over aspect shows. */
@Brick({ type: 'test-marker', inputs: { next: {} }, ops: 'all' })
class Marker extends FilterBrick {
  fresh = 0;
  override io(o: XioObject): void {
    if (o.aspects[this.ctx.slot] === undefined) {
      this.fresh++;
      o.aspects[this.ctx.slot] = this;
    }
    assert.ok(o.aspects[this.ctx.slot] === this, 'found the aspect of a dead brick');
    this.next.io(o);
  }
}

@Brick({ type: 'test-broken-start', inputs: { next: {} } })
class BrokenStart extends FilterBrick {
  protected override start(): void {
    throw new Error('no');
  }
}

/** Halves what it offers. */
@Brick({ type: 'test-smaller', inputs: { next: {} }, ops: 'all' })
class Smaller extends FilterBrick {
  override info(into: XioInfo): number {
    const err = super.info(into);
    into.size /= 2;
    return err;
  }
}

@Brick({ type: 'test-no-slot' })
class NoSlot extends BrickBase {
  protected override attached(): void {
    throw new Error('cannot');
  }
}

const NEXT = { consumer: 'probe', input: 'next', nr: 0 };

class World {
  readonly host: TestHost;
  constructor(options: KitOptions = {}) {
    this.host = createTestHost({ ...options, bricks: [Delay, Marker, BrokenStart, Smaller, NoSlot] });
  }
  get graph(): Graph {
    return this.host.graph;
  }
  get probe(): Probe {
    return this.graph.get('probe') as Probe;
  }
  get disk(): MemoryDisk {
    return this.graph.get('disk') as MemoryDisk;
  }
  settle<T>(promise: Promise<T>): Promise<T> {
    return this.host.clock.settle(promise);
  }

  /** Bricks from top to bottom, wired and switched on. */
  async stack(...types: string[]): Promise<this> {
    const names = types.map((type) => type.replace('test-', ''));
    types.forEach((type, i) => this.graph.add(names[i]!, type));
    for (let i = 0; i + 1 < names.length; i++)
      this.graph.connect({ consumer: names[i]!, input: 'next', nr: 0 }, names[i + 1]!);
    for (const name of names.reverse()) await this.settle(this.graph.press(name));
    return this;
  }

  async close(): Promise<void> {
    for (const brick of this.graph.providersFirst().reverse())
      if (this.graph.has(brick.name)) await this.settle(this.graph.release(brick.name));
    for (const brick of this.graph.providersFirst().reverse())
      if (this.graph.has(brick.name)) await this.settle(this.graph.destroy(brick.name));
    assert.equal(this.host.loop.pool.outstanding().length, 0, 'requests leaked');
    assert.deepEqual(this.host.arena.leaks(), []);
  }
}

async function refused(promise: Promise<unknown>, code: ErrorCodeName): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof MarsError && error.code === code);
}

describe('rewiring under load', () => {
  it('loses, doubles and reorders no request while a filter comes and goes with 2,000 in flight', async function () {
    this.timeout(30_000);
    const world = await new World({ poolObjects: 4096, arenaBytes: 32 * 2 ** 20 }).stack(
      'test-probe',
      'test-delay',
      'test-disk',
    );
    const { graph, host, probe, disk } = world;
    const answers = new Map<number, number>();
    let sent = 0;
    const send = (): void => {
      const nr = sent++;
      const lenBytes = 1 + (nr % 512);
      assert.ok(
        probe.send({ op: 'read', posBytes: nr, lenBytes }, (a) =>
          answers.set(nr, (answers.get(nr) ?? 0) + (a.err === 0 ? 1 : 100)),
        ),
      );
    };
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 1000; i++) send();
      const inserting = graph.insert(NEXT, { name: 'extra', type: 'test-delay' });
      for (let i = 0; i < 1000; i++) send();
      await world.settle(inserting);
      const removing = graph.remove('extra');
      for (let i = 0; i < 100; i++) send();
      await world.settle(removing);
    }
    host.clock.advanceMs(100);
    assert.equal(answers.size, sent);
    assert.ok([...answers.values()].every((n) => n === 1));
    assert.deepEqual(
      disk.seen.map((s) => s.posBytes),
      Array.from({ length: sent }, (_, i) => i),
    );
    await world.close();
  });

  it('drains a wire whose consumer issues the same objects again and again', async () => {
    const world = new World();
    world.graph.add('disk', 'test-sink');
    world.graph.add('spinner', 'test-spinner');
    const wire = { consumer: 'spinner', input: 'next', nr: 0 };
    world.graph.connect(wire, 'disk');
    for (const name of ['disk', 'spinner']) await world.settle(world.graph.press(name));
    const spinner = world.graph.get('spinner') as Spinner;
    await world.settle(world.graph.insert(wire, { name: 'delay', type: 'test-delay' }));
    spinner.spin(10_000);
    for (let round = 0; round < 10; round++) {
      await world.settle(world.graph.insert(wire, { name: 'extra', type: 'test-delay' }));
      await world.settle(world.graph.remove('extra'));
    }
    world.host.clock.advanceMs(10_000);
    assert.equal(spinner.answered, 10_000);
    await world.close();
  });

  it('takes a filter off all its consumers', async () => {
    const world = await new World().stack('test-probe', 'test-delay', 'test-disk');
    world.graph.add('second', 'test-probe');
    world.graph.connect({ consumer: 'second', input: 'next', nr: 0 }, 'delay');
    await world.settle(world.graph.press('second'));
    await world.settle(world.graph.remove('delay'));
    assert.deepEqual(world.graph.providerOf(NEXT), { brick: 'disk', port: 'out' });
    assert.deepEqual(world.graph.providerOf({ consumer: 'second', input: 'next', nr: 0 }), {
      brick: 'disk',
      port: 'out',
    });
    await world.close();
  });

  it('runs changes of the same wire one after the other', async () => {
    const world = await new World().stack('test-probe', 'test-delay', 'test-disk');
    for (let i = 0; i < 10; i++) world.probe.send({ op: 'read', posBytes: 0, lenBytes: 512 });
    const changes = [
      world.graph.insert(NEXT, { name: 'a', type: 'test-delay' }),
      world.graph.insert(NEXT, { name: 'b', type: 'test-delay' }),
      world.graph.remove('a'),
      world.graph.insert(NEXT, { name: 'c', type: 'test-delay' }),
    ];
    await world.settle(Promise.all(changes));
    const path = ['probe', 'c', 'b', 'delay', 'disk'];
    for (let i = 0; i + 1 < path.length; i++) {
      assert.equal(world.graph.providerOf({ consumer: path[i]!, input: 'next', nr: 0 })!.brick, path[i + 1]);
    }
    await world.close();
  });

  it('answers requests that wait at the gate of a wire that is cut', async () => {
    const world = await new World().stack('test-probe', 'test-delay', 'test-disk');
    const errors: number[] = [];
    world.probe.send({ op: 'flush' }, (a) => errors.push(a.err));
    const cutting = world.graph.disconnect(NEXT);
    await Promise.resolve();
    world.probe.send({ op: 'flush' }, (a) => errors.push(a.err));
    await world.settle(cutting);
    world.host.clock.runUntilIdle();
    assert.deepEqual(errors, [0, -ENOTCONN]);
    await world.close();
  });

  it('gives up with DRAIN_STUCK, changes nothing, and lets the waiting requests go on', async () => {
    const world = await new World().stack('test-probe', 'test-disk');
    const { host } = world;
    const graph = new Graph({
      name: 'timed',
      loop: host.loop,
      host: host.container,
      registry: host.container.resolve(BRICKS),
      drainTimeoutMs: 50,
    });
    graph.add('probe', 'test-probe');
    graph.add('disk', 'test-disk');
    graph.connect(NEXT, 'disk');
    for (const name of ['disk', 'probe']) await world.settle(graph.press(name));
    const disk = graph.get('disk') as MemoryDisk;
    let answered = 0;
    disk.hold = true;
    (graph.get('probe') as Probe).send({ op: 'flush' }, () => answered++);
    const inserting = graph.insert(NEXT, { name: 'late', type: 'test-delay' });
    await Promise.resolve();
    (graph.get('probe') as Probe).send({ op: 'flush' }, () => answered++);
    await refused(world.settle(inserting), 'DRAIN_STUCK');
    assert.equal(graph.has('late'), false);
    assert.equal(disk.heldBack, 2);
    disk.letGo();
    host.clock.runUntilIdle();
    assert.equal(answered, 2);
    for (const name of ['probe', 'disk']) await world.settle(graph.release(name));
    await world.close();
  });

  it('leaves the wire as it was when the new filter cannot start', async () => {
    const world = await new World().stack('test-probe', 'test-disk');
    await refused(world.settle(world.graph.insert(NEXT, { name: 'extra', type: 'test-broken-start' })), 'START_FAILED');
    await refused(world.settle(world.graph.insert(NEXT, { name: 'extra', type: 'test-disk' })), 'BAD_WIRE');
    assert.deepEqual(world.graph.names(), ['probe', 'disk']);
    let err = 1;
    world.probe.send({ op: 'flush' }, (a) => (err = a.err));
    world.host.clock.runUntilIdle();
    assert.equal(err, 0);
    await world.close();
  });

  it('tells everybody above when what is offered changes', async () => {
    const world = await new World().stack('test-probe', 'test-delay', 'test-disk');
    const { cached } = world.graph.wire(NEXT);
    assert.equal(cached.size, 2 ** 20);
    await world.settle(
      world.graph.insert({ consumer: 'delay', input: 'next', nr: 0 }, { name: 'smaller', type: 'test-smaller' }),
    );
    assert.equal(cached.size, 2 ** 19);
    await world.settle(world.graph.remove('smaller'));
    assert.equal(cached.size, 2 ** 20);
    await world.close();
  });

  it('refuses a swap to a provider that is off, and goes on with the old one', async () => {
    const world = await new World().stack('test-probe', 'test-disk');
    world.graph.add('other', 'test-disk');
    await refused(world.settle(world.graph.swap(NEXT, 'other')), 'POWER_PROVIDER_OFF');
    assert.equal(world.graph.providerOf(NEXT)!.brick, 'disk');
    await world.settle(world.graph.press('other'));
    await world.settle(world.graph.swap(NEXT, 'other'));
    assert.equal(world.graph.providerOf(NEXT)!.brick, 'other');
    await world.close();
  });

  it('refuses to make a stack deeper than a request can pass, also while it runs', async () => {
    const world = await new World().stack('test-probe', 'test-disk');
    let added = 0;
    const insert = (): Promise<void> =>
      world.settle(world.graph.insert(NEXT, { name: `m${added}`, type: 'test-marker' }));
    for (; added < MAX_STACK_DEPTH - 1; added++) await insert();
    await refused(insert(), 'STACK_TOO_DEEP');
    let err = 1;
    world.probe.send({ op: 'flush' }, (a) => (err = a.err));
    world.host.clock.runUntilIdle();
    assert.equal(err, 0);
    await world.close();
  });

  it('sweeps the aspects of a dead brick before its slot is used again', async () => {
    const world = await new World({ poolObjects: 8 }).stack('test-probe', 'test-disk');
    for (let round = 0; round < 3; round++) {
      await world.settle(world.graph.insert(NEXT, { name: 'marker', type: 'test-marker' }));
      for (let i = 0; i < 8; i++) world.probe.send({ op: 'read', posBytes: 0, lenBytes: 512 });
      world.host.clock.runUntilIdle();
      assert.equal((world.graph.get('marker') as Marker).fresh, 8);
      await world.settle(world.graph.remove('marker'));
    }
    await world.close();
  });

  it('gives the slot of a brick back that could not be attached', () => {
    const world = new World();
    const first = world.graph.add('a', 'test-disk');
    assert.throws(() => world.graph.add('b', 'test-no-slot'), /cannot/);
    const second = world.graph.add('c', 'test-disk');
    const slotOf = (brick: BrickBase): number => (brick as unknown as { ctx: { slot: number } }).ctx.slot;
    assert.equal(slotOf(second), slotOf(first) + 1);
  });

  it('changes a live parameter while requests pass, and refuses others', async () => {
    const world = await new World().stack('test-probe', 'test-delay', 'test-disk');
    world.graph.setParam('delay', 'ms', '1s');
    let answered = 0;
    world.probe.send({ op: 'flush' }, () => answered++);
    world.host.clock.advanceMs(999);
    assert.equal(answered, 0);
    world.host.clock.advanceMs(2);
    assert.equal(answered, 1);
    assert.throws(() => world.graph.setParam('delay', 'ms', 'soon'), { code: 'BAD_PARAMETER' });
    assert.throws(() => world.graph.setParam('disk', 'size', '2M'), { code: 'LIVE_PARAMETER' });
    await world.close();
  });
});
