// The NBD client against our own server, over unix sockets, on both rings.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BRICKS, F_FUA, Graph, registerBricks } from '@mars/brick-core';
import { BrickKit, MemoryDisk, describeBrickConformance } from '@mars/brick-core/testing';
import { IfNbdBrick, NbdClientBrick } from '@mars/bricks-if';
import * as native from '@mars/native';
import { realHost } from './hosts.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'mars-nbdc-'));
const socket = path.join(scratch, 'x.sock');
const uri = `nbd+unix:///disk?socket=${socket}`;
after(() => rmSync(scratch, { recursive: true, force: true }));

const hasUring = native.available && native.hasRing && native.kernelFeatures().ok !== false;
const rings = [...(hasUring ? ['io_uring'] : []), 'threads'];

/** A memory disk behind our server, on a host of its own. */
async function startServer(ring, { disk = {}, front = {} } = {}) {
  const host = await realHost(ring)();
  registerBricks(host.container, [IfNbdBrick, MemoryDisk], 'test');
  const graph = new Graph({
    name: 'server',
    loop: host.loop,
    host: host.container,
    registry: host.container.resolve(BRICKS),
  });
  graph.add('disk', 'test-disk', disk);
  graph.add('front', 'if-nbd', { listen: [socket], name: 'disk', ...front });
  graph.connect({ consumer: 'front', input: 'disk', nr: 0 }, 'disk');
  for (const name of ['disk', 'front']) await graph.press(name);
  return {
    disk: graph.get('disk'),
    async stop() {
      for (const name of ['front', 'disk']) await graph.release(name);
      await host.close();
    },
  };
}

/** Hosts for the client, with one server for all that are open at a time. */
function withServer(ring, options) {
  let server = null;
  let users = 0;
  return async () => {
    if (users++ === 0) server = startServer(ring, options);
    const host = await realHost(ring)();
    const close = async () => {
      await host.close();
      if (--users === 0) await (await server).stop();
    };
    return { ...host, server: await server, close };
  };
}

describe('nbd-client', () => {
  for (const ring of rings) {
    describe(`on ${ring}, against our server`, () => {
      describeBrickConformance(new BrickKit(NbdClientBrick, { uri }, { makeHost: withServer(ring) }), {
        allocationFree: false,
        requests: 100,
      });

      describe('with four connections, and sectors', () => {
        const makeHost = withServer(ring, { disk: { align: 512 } });
        describeBrickConformance(new BrickKit(NbdClientBrick, { uri, connections: 4 }, { makeHost }), {
          allocationFree: false,
          requests: 100,
        });
      });

      describe('requests', () => {
        let kit;
        let disk;
        beforeEach(async () => {
          kit = new BrickKit(NbdClientBrick, { uri }, { makeHost: withServer(ring) });
          await kit.open();
          ({ disk } = kit.host.server);
        });
        afterEach(() => kit.close());

        it('keep their operation and FUA all the way', async () => {
          const range = { posBytes: 4096, lenBytes: 4096 };
          for (const op of ['read', 'trim', 'zero', 'cache', 'extents'])
            assert.equal((await kit.answerOf({ op, ...range })).err, 0);
          await kit.answerOf({ op: 'flush' });
          await kit.answerOf({ op: 'write', posBytes: 0, data: Buffer.alloc(512, 1), flags: F_FUA });
          assert.deepEqual(
            disk.seen.map(({ op }) => op),
            ['read', 'trim', 'zero', 'cache', 'extents', 'flush', 'write'],
          );
          assert.equal(disk.seen.at(-1).isFua, true);
        });

        it('are told the errors of the disk', async () => {
          disk.failAt = 1;
          disk.failWith = -28;
          assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' })).err, -28);
          assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data: 'x' })).err, 0);
        });

        it('of 1 MiB come through, many at a time', async () => {
          const data = Buffer.alloc(2 ** 20, 'm');
          assert.equal((await kit.answerOf({ op: 'write', posBytes: 0, data })).err, 0);
          const answers = await Promise.all(
            [1, 2].map(() => kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 2 ** 20 })),
          );
          for (const answer of answers) assert.equal(Buffer.compare(answer.data, data), 0);
        });
      });

      it('a server that is switched off and on again costs nobody an error', async () => {
        let server = await startServer(ring);
        const kit = new BrickKit(NbdClientBrick, { uri, retryWrites: true }, { makeHost: realHost(ring) });
        await kit.open();
        await kit.answerOf({ op: 'write', posBytes: 0, data: 'before' });
        await server.stop();
        const reading = kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 6 });
        const writing = kit.answerOf({ op: 'write', posBytes: 4096, data: 'after' });
        server = await startServer(ring);
        assert.deepEqual([(await reading).err, (await writing).err], [0, 0]);
        assert.equal(Buffer.from(server.disk.store.subarray(4096, 4101)).toString(), 'after');
        await kit.close();
        await server.stop();
      });

      it('another size under the same name is refused, and requests fail after the reconnect time', async () => {
        let server = await startServer(ring);
        const kit = new BrickKit(NbdClientBrick, { uri, reconnect: '200ms' }, { makeHost: realHost(ring) });
        await kit.open();
        await server.stop();
        server = await startServer(ring, { disk: { size: '2M' } });
        assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err, -107);
        assert.equal(server.disk.seen.length, 0, 'a request went to an export that is another one');
        await server.stop();
        server = await startServer(ring);
        for (
          let turns = 0;
          turns < 500 && (await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err !== 0;
          turns++
        ) {
          await kit.runFor(5);
        }
        assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 })).err, 0, 'it never came back');
        await kit.close();
        await server.stop();
      });

      it('a read-only export offers no change, and a missing one does not start', async () => {
        const server = await startServer(ring, { front: { readOnly: true } });
        const kit = new BrickKit(NbdClientBrick, { uri }, { makeHost: realHost(ring) });
        await kit.open();
        assert.deepEqual(kit.advertised, ['read', 'extents', 'cache']);
        await kit.close();
        const lost = new BrickKit(NbdClientBrick, { uri, export: 'nobody' }, { makeHost: realHost(ring) });
        await assert.rejects(lost.open(), /no export of that name/);
        await lost.close();
        await server.stop();
        const alone = new BrickKit(NbdClientBrick, { uri }, { makeHost: realHost(ring) });
        await assert.rejects(alone.open(), /cannot connect: (ENOENT|ECONNREFUSED)/);
        await alone.close();
      });
    });
  }
});
