import assert from 'node:assert/strict';
import { InvariantError, MarsError, crashPoint } from '@mars/brick-core';
import { World, firstDivergence, isHostCrash, randomFor, type CrashKind } from '../index.js';

describe('World', () => {
  it('plays events by time, and equal times in the order of their scheduling', async () => {
    const world = new World({ seed: 1 });
    const order: string[] = [];
    world.after(2, () => order.push('c'));
    world.after(1, () => order.push('a'));
    world.after(2, () => order.push('d'));
    world.after(1, () => order.push('b'));
    assert.deepEqual(await world.run(), { events: 4, virtualMs: 2 });
    assert.deepEqual(order, ['a', 'b', 'c', 'd']);
  });

  it('lets promise callbacks run dry between two events, however long their chain', async () => {
    const world = new World({ seed: 1 });
    const order: string[] = [];
    world.after(0, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await Promise.resolve();
        order.push('promises of the first');
        await Promise.all([1, 2, 3].map(async () => null));
        order.push('and more of them');
      })();
    });
    world.after(0, () => order.push('second event'));
    await world.run();
    assert.deepEqual(order, ['promises of the first', 'and more of them', 'second event']);
  });

  it('says what it waits for when nothing is left to happen', async () => {
    const world = new World({ seed: 1 });
    world.addHost('a');
    world.addHost('b').crash('power');
    await assert.rejects(world.run({ until: () => false }), (error: MarsError) => {
      assert.equal(error.code, 'SIM_STUCK');
      assert.match(error.message, /b: down since 0\.000 ms/);
      return true;
    });
  });

  it('gives up after its limits', async () => {
    const world = new World({ seed: 1 });
    const again = (): void => void world.after(1, again);
    again();
    await assert.rejects(world.run({ until: () => false, maxEvents: 100 }), /100 events were not enough/);
    await assert.rejects(world.run({ until: () => false, maxVirtualMs: 50 }), /50 virtual ms were not enough/);
  });

  it('fails when a host throws, in an event or in a promise that nobody watches', async () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a');
    world.after(1, () => {
      throw new Error('in an event');
    });
    await assert.rejects(world.run(), /in an event/);
    host.run(async () => {
      await host.loop.sleep(1);
      throw new Error('in a promise');
    });
    await assert.rejects(world.run(), /in a promise/);
    world.after(1, () => void Promise.reject(new Error('unhandled')));
    await assert.rejects(world.run(), /unhandled/);
    await world.run();
  });

  it('runs one world at a time', async () => {
    const one = new World({ seed: 1 });
    const run = one.run();
    assert.throws(() => void new World({ seed: 2 }).run(), InvariantError);
    await run;
  });

  it('gives parts generators that do not hang on each other', () => {
    const draws = (name: string): number[] => {
      const random = randomFor(7, name);
      return [1, 2, 3, 4, 5].map(() => random.int(1e6));
    };
    assert.deepEqual(draws('host/a/disk'), draws('host/a/disk'));
    const parts = ['host/a/disk', 'host/b/disk', 'host/a/faults', 'link/a>b', 'link/b>a', 'scenario'];
    assert.equal(new Set(parts.map((name) => draws(name).join())).size, parts.length);
    assert.notDeepEqual(randomFor(1, 'x').int(2 ** 32), randomFor(2, 'x').int(2 ** 32));
    const first = new Set(Array.from({ length: 2000 }, (_, seed) => randomFor(seed, 'x').int(2 ** 32)));
    assert.equal(first.size, 2000, 'neighbouring seeds are unrelated');
  });
});

describe('The trace', () => {
  const run = async (seed: number, disturb = false): Promise<World> => {
    const world = new World({ seed, trace: true });
    const host = world.addHost('a');
    const file = await world.drive(host.files.open('/x', { write: true, create: true }));
    const ring = host.loop.ring!;
    for (let i = 0; i < 20; i++) {
      const place = { pos: host.random.int(100) * 512 + (disturb && i === 10 ? 1 : 0), len: 512 };
      await world.drive(ring.call((client, token) => ring.write(file.fd, 0, 512, place, client, token)));
    }
    return world;
  };

  it('is the same for the same seed: 20 seeds twice', async () => {
    const hashes = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const [one, other] = [await run(seed), await run(seed)];
      assert.equal(one.traceHash, other.traceHash);
      assert.equal(firstDivergence(one.trace.lines, other.trace.lines), null);
      hashes.add(one.traceHash);
    }
    assert.equal(hashes.size, 20);
  });

  it('shows the first event in which two runs differ', async () => {
    const [one, other] = [await run(1), await run(1, true)];
    assert.notEqual(one.traceHash, other.traceHash);
    const at = firstDivergence(one.trace.lines, other.trace.lines)!;
    assert.match(at.one, /write=/);
    assert.notEqual(at.one, at.other);
  });
});

describe('Clocks', () => {
  it('fire timers never early, whatever the drift', async () => {
    for (const driftPpm of [-50_000, -3, 0, 7, 50_000]) {
      const world = new World({ seed: 3 });
      const host = world.addHost('a', { driftPpm });
      const before = host.clock.monotonicUs();
      await world.drive(host.loop.sleep(100));
      const passed = host.clock.monotonicUs() - before;
      assert.ok(passed >= 100_000 && passed < 100_010, `${passed} µs`);
      assert.ok(Math.abs(world.nowMs - 100 / (1 + driftPpm / 1e6)) < 0.02, `${world.nowMs} virtual ms`);
    }
  });

  it('keep a pending timer right when the drift changes', async () => {
    const world = new World({ seed: 3 });
    const host = world.addHost('a');
    const slept = host.loop.sleep(100);
    await world.advance(50);
    host.clock.setDrift(100_000);
    await world.drive(slept);
    assert.ok(Math.abs(world.nowMs - (50 + 50 / 1.1)) < 0.02, `${world.nowMs}`);
  });

  it('lie about the wall time as told: skew and jumps', async () => {
    const world = new World({ seed: 3 });
    const [right, wrong] = [world.addHost('a'), world.addHost('b', { skewMs: -5000 })];
    assert.equal(right.loop.wallNs() - wrong.loop.wallNs(), 5_000_000_000n);
    wrong.clock.jumpMs(86_400_000);
    await world.advance(10);
    assert.equal(wrong.loop.wallNs() - right.loop.wallNs(), 86_395_000_000_000n);
  });

  it('never go back, and let time go on in a loop that always has work', async () => {
    const world = new World({ seed: 4 });
    const { loop } = world.addHost('a');
    let turns = 0;
    let last = 0;
    const again = (): void => {
      assert.ok(loop.nowUs >= last);
      last = loop.nowUs;
      if (++turns < 1000) loop.after(0, undefined, again);
    };
    loop.after(0, undefined, again);
    await world.run({ until: () => turns === 1000 });
    assert.ok(world.nowMs > 0.9, `${world.nowMs} ms for 1000 ticks`);
  });
});

describe('Crashes', () => {
  const story = async (kind: CrashKind, hit: number): Promise<{ steps: string[]; world: World }> => {
    const world = new World({ seed: 5 });
    const steps: string[] = [];
    world.crashAt({ host: 'a', point: 'test.middle', hit, kind });
    const host = world.addHost('a');
    host.run(async () => {
      for (let i = 1; i <= 3; i++) {
        await host.loop.sleep(1);
        steps.push(`before ${i}`);
        crashPoint('test.middle');
        steps.push(`after ${i}`);
      }
    });
    await world.run();
    return { steps, world };
  };

  it('happen at the Nth hit of a crash point, and nothing behind it runs', async () => {
    const { steps, world } = await story('power', 2);
    assert.deepEqual(steps, ['before 1', 'after 1', 'before 2']);
    assert.equal(world.host('a').isUp, false);
    assert.equal(world.hitsOf('a', 'test.middle'), 2);
  });

  it('do not happen when the point is not reached often enough', async () => {
    const { steps, world } = await story('power', 4);
    assert.equal(steps.length, 6);
    assert.equal(world.host('a').isUp, true);
  });

  it('leave crash points alone outside a world', () => {
    crashPoint('test.middle');
  });

  it('hit only the host whose code it is', async () => {
    const world = new World({ seed: 5 });
    world.crashAt({ host: 'b', point: 'test.both' });
    const done: string[] = [];
    for (const name of ['a', 'b']) {
      const host = world.addHost(name);
      host.run(async () => {
        await host.loop.sleep(1);
        crashPoint('test.both');
        done.push(name);
      });
    }
    await world.run();
    assert.deepEqual(done, ['a']);
  });

  it('make the services of the dead life refuse, and the next life start with fresh ones', async () => {
    const world = new World({ seed: 6 });
    let boots = 0;
    const host = world.addHost('a', { boot: () => void boots++ });
    await world.run();
    const { files, loop, net } = host;
    host.crash('power');
    assert.throws(() => files.stat('/'), isHostCrash);
    assert.throws(() => net.connect({ host: 'a', port: 1 }), isHostCrash);
    assert.throws(() => loop.kick(), isHostCrash);
    host.restart();
    await world.run();
    assert.equal(boots, 2);
    assert.equal(host.starts, 2);
    assert.notEqual(host.loop, loop);
    assert.notEqual(host.files.stat('/'), null);
  });

  it('drop what the dead life had planned', async () => {
    const world = new World({ seed: 7 });
    const host = world.addHost('a');
    let fired = false;
    host.loop.after(10, undefined, () => {
      fired = true;
    });
    await world.advance(1);
    host.crash('process');
    host.restart();
    await world.run();
    assert.equal(fired, false);
  });
});
