// The whole way of a request through NBD: client, two sockets, session and back, on one loop. Nothing of it may make garbage.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BRICKS, Graph, composeServices, container, registerBricks } from '@mars/brick-core';
import { Sink, Spinner, heapGrowthPerRequest } from '@mars/brick-core/testing';
import { IfNbdBrick, NbdClientBrick } from '@mars/bricks-if';
import * as native from '@mars/native';
import { createPlatform } from '@mars/platform';

/** Smaller than anything that JavaScript allocates; less per request is the compiler and the test runner at work. */
const ALMOST_NOTHING_BYTES = 8;

describe('a request through NBD, from our client to our server', function () {
  this.timeout(120_000);
  const scratch = mkdtempSync(path.join(tmpdir(), 'mars-nbda-'));
  after(() => rmSync(scratch, { recursive: true, force: true }));
  let platform;
  let graph;

  before(function () {
    if (!native.available || !native.hasRing || native.kernelFeatures().ok === false) this.skip();
    if (globalThis.gc === undefined) this.skip();
  });
  afterEach(async () => {
    for (const brick of graph.providersFirst().reverse()) await graph.release(brick.name);
    await platform.close();
  });

  /** spinner ─► nbd-client ─► socket ─► if-nbd ─► sink */
  async function build() {
    platform = createPlatform({
      ring: 'io_uring',
      driver: 'ring-thread',
      arenaBytes: 64 * 2 ** 20,
      log: { level: 'silent' },
    });
    const host = composeServices(container.createChildContainer(), platform);
    registerBricks(host, [IfNbdBrick, NbdClientBrick, Sink, Spinner], 'test');
    graph = new Graph({ name: 'nbd', loop: platform.loop, host, registry: host.resolve(BRICKS) });
    const socket = path.join(scratch, 'x.sock');
    graph.add('sink', 'test-sink');
    graph.add('front', 'if-nbd', { listen: [socket] });
    graph.add('client', 'nbd-client', { uri: `nbd+unix:///?socket=${socket}` });
    graph.add('spinner', 'test-spinner');
    graph.connect({ consumer: 'front', input: 'disk', nr: 0 }, 'sink');
    graph.connect({ consumer: 'spinner', input: 'next', nr: 0 }, 'client');
    for (const name of ['sink', 'front', 'client', 'spinner']) await graph.press(name);
  }

  it('leaves no garbage behind', async () => {
    await build();
    const runFor = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const bytes = await heapGrowthPerRequest(graph.get('spinner'), { runFor });
    assert.ok(bytes < ALMOST_NOTHING_BYTES, `${bytes} bytes per request`);
    assert.ok(graph.get('front').stats.counter('reads').n > 10_000);
    assert.equal(graph.get('front').stats.counter('errors').n, 0);
  });
});
