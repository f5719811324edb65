import assert from 'node:assert/strict';
import { MarsError, type Graph } from '@mars/brick-core';
import {
  DeviceMemory,
  World,
  noLeaks,
  playTwice,
  registerSimBricks,
  simulateScenario,
  startChain,
  stopGraph,
  type FaultRule,
} from '../index.js';
import bricksUnderLoad from './bricks-under-load.js';
import hostCrash from './host-crash.js';
import powerfail from './powerfail.js';
import sameSeed from './same-seed-same-trace.js';

describe('Scenarios', () => {
  for (const scenario of [bricksUnderLoad, hostCrash, powerfail, sameSeed]) simulateScenario(scenario);

  it('give the same trace twice: 20 seeds with crashes, some more with filters and cuts', async function () {
    this.timeout(0);
    for (let seed = 100; seed < 120; seed++) assert.equal((await playTwice(hostCrash, seed)).error, null);
    for (let seed = 100; seed < 104; seed++) {
      for (const scenario of [bricksUnderLoad, powerfail]) assert.equal((await playTwice(scenario, seed)).error, null);
    }
  });
});

describe('The judges', function () {
  this.timeout(0);

  /** One crash of a host with load on a disk that has this fault. @returns what the client says about it */
  const verdict = async (seed: number, rule: FaultRule | null, prefix = false): Promise<unknown> => {
    const world = new World({ seed });
    const memory = new DeviceMemory(64 * 1024);
    let graph: Graph | null = null;
    const host = world.addHost('a', {
      boot: async (self) => {
        graph = null;
        registerSimBricks(self);
        const client = { depth: 8, flush: 20, fua: 20, prefix, seed };
        graph = await startChain(
          self,
          [
            ['if-sim', client],
            ['sim-file', { path: '/image', size: '64K' }],
          ],
          { memory },
        );
      },
    });
    await world.run({ until: () => graph !== null });
    if (rule !== null) host.disk.fault(rule);
    try {
      await world.advance(15);
      host.crash('power');
      memory.crash();
      host.restart();
      await world.run({ until: () => graph !== null && !memory.needsSurvey, maxVirtualMs: 1000 });
      await world.drive(stopGraph(graph!));
      noLeaks(host);
      return null;
    } catch (error) {
      return error;
    } finally {
      world.close();
    }
  };

  const failures = async (rule: FaultRule | null, prefix = false): Promise<number> => {
    let count = 0;
    for (let seed = 0; seed < 20; seed++) {
      const error = await verdict(seed, rule, prefix);
      if (error !== null) count++;
      if (error !== null) assert.equal((error as MarsError).code, 'VERIFY_FAILED');
    }
    return count;
  };

  it('find nothing wrong with an honest disk', async () => {
    assert.equal(await failures(null), 0);
  });

  it('find a disk that answers a sync without doing it', async () => {
    const found = await failures({ on: 'sync', loses: true });
    assert.ok(found > 15, `${found} of 20`);
  });

  it('find rot', async () => {
    const found = await failures({ on: 'read', rot: true, rate: 0.05 });
    assert.ok(found > 15, `${found} of 20`);
  });

  it('find that a plain disk keeps no prefix of the writes', async () => {
    const found = await failures(null, true);
    assert.ok(found > 15, `${found} of 20`);
  });

  it('find errors where none is expected', async () => {
    assert.equal(await failures({ on: 'write', nth: 5, errno: 5 }), 20);
  });
});

describe('noLeaks', () => {
  it('names every kind of leak', async () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a');
    noLeaks(host);
    const owner = { objects: 0 };
    const o = host.loop.pool.take(owner, 4096)!;
    await world.drive(host.files.open('/x', { write: true, create: true }));
    await world.drive(host.net.listen({ host: 'a', port: 1 }, () => {}));
    assert.throws(
      () => noLeaks(host),
      /request \d+ .*4096 bytes of payload.*open file \/x.*0 connections, 1 listeners/,
    );
    host.loop.pool.free(o);
    noLeaks(host, { files: false, connections: false });
  });
});
