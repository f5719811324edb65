// The other side of wire.bench.mjs, in a thread of its own: swallows what comes, and says how much that was.
import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '@mars/brick-core';
import { createPlatform } from '@mars/platform';
import { PeerNet } from '@mars/wire';
import { BLOCK, NOTE, factsOf } from './wire-structs.mjs';

const { identities, fingerprints } = workerData;
const platform = createPlatform({ ring: 'threads', arenaBytes: 1 << 20, poolObjects: 16, log: { logger: { ...silentLogger, close() {} } } }); // prettier-ignore
const target = Buffer.alloc(4 << 20);

async function listen(identity) {
  const net = new PeerNet({
    net: platform.secureNet,
    clock: platform.loop,
    random: platform.random,
    log: silentLogger,
    stamps: { now: () => platform.loop.wallNs(), seen: () => {} },
    host: 'sink',
    version: 'bench',
    identity,
    facts: factsOf(fingerprints),
  });
  net.serve('bench', (channel) => {
    let at = 0;
    channel.on(NOTE, (note) => channel.send(NOTE, note));
    channel.onRaw(BLOCK, {
      begin: () => (at = 0),
      // What a real receiver does: once into its own memory.
      data: (bytes) => {
        target.set(bytes, at);
        at += bytes.length;
      },
      end: () => channel.send(BLOCK, { id: at }),
    });
    channel.start();
  });
  return (await net.listen({ host: '127.0.0.1', port: 0 })).port;
}

/** Plain TCP: blocks of a size that the first four bytes name, answered by one byte each. */
const plain = createServer((socket) => {
  let size = 0;
  let at = 0;
  socket.setNoDelay(true);
  socket.on('data', (bytes) => {
    let from = 0;
    if (size === 0) {
      size = bytes.readUInt32LE(0);
      from = 4;
    }
    while (from < bytes.length) {
      const take = Math.min(size - at, bytes.length - from);
      target.set(bytes.subarray(from, from + take), at);
      from += take;
      at += take;
      if (at === size) {
        at = 0;
        socket.write('.');
      }
    }
  });
  socket.on('error', () => {});
});
plain.listen(0, '127.0.0.1', async () =>
  parentPort.postMessage({
    plain: plain.address().port,
    secure: await listen(identities.member),
    open: await listen({ kind: 'plain' }),
  }),
);
