// A hundred thousand broken conversations. MARS_FUZZ=1000000 plays more, MARS_FUZZ_SEED another set.
// Whatever arrives: no error but a MarsError, nobody comes in, memory stays small.
import assert from 'node:assert/strict';
import { createRandom, silentLogger } from '@mars/brick-core';
import { JoinService, TrustStore, defineStruct, t } from '@mars/wire';
import { greet, welcome } from '../../packages/wire/dist/channel/handshake.js';
import { Session } from '../../packages/wire/dist/channel/session.js';
import { ManualClock, MemoryLink } from '../../packages/wire/dist/testing/memory-stream.js';
import { newKey, publicKeyOf, signFor } from '../../packages/wire/dist/trust/certificates.js';
import { JOIN_REQUEST, JOIN_SIGNATURE, joinBytes } from '../../packages/wire/dist/trust/join-messages.js';

const INPUTS = Number(process.env.MARS_FUZZ ?? 100_000);
const SEED = Number(process.env.MARS_FUZZ_SEED ?? 1);
/** What may be left over after all inputs, MiB. */
const MOST_GROWTH_MIB = 8;

const INNER = defineStruct('fuzz.inner', { a: t.int, b: t.list(t.str) });
const RICH = defineStruct('fuzz.rich', {
  number: t.int,
  stamp: t.bigint,
  float: t.float,
  flag: t.bool,
  text: t.str,
  bytes: t.bytes,
  list: t.list(t.struct(INNER)),
  maybe: t.optional(t.struct(INNER)),
});
const inner = (a) => ({ a, b: ['x', `${a}`] });
const richOf = (i) => ({
  number: i,
  stamp: 1_795_191_001_250_000_000n,
  float: 0.5,
  flag: true,
  text: 'text '.repeat(i),
  bytes: Buffer.from('bytes'),
  list: [inner(1), inner(2)],
  maybe: i % 2 === 0 ? inner(3) : null,
});
const me = (host, purpose = 'tree') => ({ host, purpose, version: '1', capabilities: ['c'], successions: [] });
const NO_STAMPS = { now: () => 1n, seen: () => {} };
const neverThere = { reason: 'no-certificate', text: 'nobody' };

/** Everything that one side of a good conversation says, as one piece. */
async function record(speak, { isMember = true, purpose = 'tree' } = {}) {
  const { link, clock, a, b } = pair();
  const said = [];
  const write = link.a.write.bind(link.a);
  link.a.write = (bytes) => {
    said.push(Buffer.from(bytes));
    return write(bytes);
  };
  const both = Promise.all([
    greet(a, { clock, me: me('a', purpose), admit: () => null, isMember: () => isMember }),
    welcome(b, { clock, me: me('b', purpose), admit: () => null, isMember: () => isMember }),
  ]);
  await link.run();
  await both;
  const greeting = Buffer.concat(said.splice(0));
  a.start();
  speak(a);
  await link.run();
  return { greeting, rest: Buffer.concat(said) };
}

function pair() {
  const link = new MemoryLink();
  const clock = new ManualClock();
  const a = new Session({ stream: link.a, clock, stamps: NO_STAMPS });
  const b = new Session({ stream: link.b, clock, stamps: NO_STAMPS });
  return { link, clock, a, b };
}

/** Changes some bytes: flips, cuts, doubles, lengths that lie, noise. */
function mutate(good, random) {
  let bytes = Buffer.from(good);
  for (let i = 1 + random.int(4); i > 0; i--) {
    const at = random.int(Math.max(1, bytes.length));
    switch (random.int(7)) {
      case 0:
        if (bytes.length > 0) bytes[at] ^= 1 << random.int(8);
        break;
      case 1:
        if (bytes.length > 0) bytes[at] = random.int(256);
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.int(40))]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.int(bytes.length + 1))]);
        break;
      case 5:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.int(2) ? random.int(2 ** 32) : random.int(2000), at);
        break;
      default: {
        const noise = Buffer.alloc(random.int(64));
        random.bytes(noise);
        bytes = Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
      }
    }
  }
  return bytes;
}

/** Delivers in pieces, as a network would. */
function feed(stream, bytes, random) {
  for (let at = 0; at < bytes.length && !stream.isClosed;) {
    const take = random.int(4) === 0 ? 1 + random.int(20) : bytes.length;
    stream.incoming.push(new Uint8Array(bytes.subarray(at, at + take)));
    at += take;
    while (stream.step((size) => size));
  }
}

/** Bytes in use after a collection. The loop has to turn first, because handles of zlib are let go there. */
async function inUse() {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc?.();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function fuzz(inputs, play) {
  const random = createRandom(SEED);
  for (let i = 0; i < Math.min(inputs, 500); i++) await play(random);
  const before = await inUse();
  for (let i = 500; i < inputs; i++) {
    await play(random);
    if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const grownMib = ((await inUse()) - before) / 2 ** 20;
  if (process.env.MARS_FUZZ_VERBOSE) console.log(`      ${grownMib.toFixed(2)} MiB more`);
  assert.ok(grownMib < MOST_GROWTH_MIB, `${grownMib.toFixed(1)} MiB more after ${inputs} inputs`);
}

describe('broken conversations', function () {
  this.timeout(600_000);

  it('of strangers let nobody in, and get no more than a refusal', async () => {
    const { greeting, rest } = await record((a) => a.send(RICH, richOf(3)));
    const good = Buffer.concat([greeting, rest]);
    let asked = 0;
    await fuzz(INPUTS * 0.35, async (random) => {
      const { link, clock, b } = pair();
      b.on(RICH, () => assert.fail('a message before the admission'));
      const met = welcome(b, {
        clock,
        me: me('b'),
        admit: () => {
          asked++;
          return neverThere;
        },
        isMember: () => true,
      });
      feed(link.b, mutate(good, random), random);
      link.a.end();
      while (link.b.step((size) => size));
      clock.advance(20_000);
      await met.then(
        () => assert.fail('somebody came in'),
        (error) => assert.equal(error.name, 'MarsError', error.stack),
      );
      assert.ok(link.a.incomingBytes < 1000, 'a stranger gets nothing but a refusal');
    });
    assert.ok(asked > INPUTS * 0.02, `only ${asked} got as far as a hello: the fuzzer is too coarse`);
  });

  it('of members end the channel at the worst, and deliver nothing that is not a message', async () => {
    const { greeting, rest } = await record((a) => {
      for (let i = 0; i < 3; i++) a.send(RICH, richOf(i));
      a.sendRaw(INNER, inner(1), Buffer.from('payload'));
      a.send(RICH, { ...richOf(1), text: 'compressible '.repeat(200) });
      a.sendRaw(INNER, inner(2), Buffer.alloc(300, 1));
    });
    let [delivered, raws, ended] = [0, 0, 0];
    await fuzz(INPUTS * 0.35, async (random) => {
      const { link, clock, b } = pair();
      const met = welcome(b, { clock, me: me('b'), admit: () => null, isMember: () => true });
      feed(link.b, greeting, random);
      await met;
      b.on(RICH, (message) => {
        delivered++;
        assert.deepEqual(Object.keys(message), Object.keys(RICH.fields));
        assert.equal(typeof message.stamp, 'bigint');
        assert.ok(Array.isArray(message.list));
      });
      let left = 0;
      b.onRaw(INNER, {
        begin: (_, bytes) => (left = bytes),
        data: (bytes) => (left -= bytes.length),
        end: () => {
          raws++;
          assert.equal(left, 0);
        },
      });
      b.onClose((error) => {
        ended++;
        assert.ok(error === null || error.name === 'MarsError');
      });
      b.start();
      feed(link.b, mutate(rest, random), random);
      link.a.end();
      while (link.b.step((size) => size));
      clock.advance(20_000);
      assert.ok(link.b.isClosed);
    });
    assert.ok(delivered > INPUTS * 0.1 && raws > INPUTS * 0.1 && ended > INPUTS * 0.3, `${delivered} ${raws} ${ended}`);
  });

  it('of hosts that want to join admit nobody without his token', async () => {
    const clock = new ManualClock();
    const random = createRandom(SEED + 1);
    const store = new TrustStore({ files: memoryFiles(), clock, random, marsDir: '/mars' });
    await store.create('nodea');
    const token = store.invite({ host: '192.0.2.1', port: 7777 });
    const trust = store.read();
    const keyPem = newKey();
    const requestOf = (line, host, ip) => ({
      token: line,
      host,
      ip,
      publicKeyDer: publicKeyOf(keyPem),
      signature: signFor(JOIN_SIGNATURE, keyPem, joinBytes(line, host, ip)),
    });
    let serve = null;
    let refusals = 0;
    const admitted = [];
    new JoinService({
      peers: { serve: (_, accept) => (serve = accept), noteRefusal: () => refusals++ },
      store,
      facts: { isMember: () => false, fingerprintOf: () => null },
      clock,
      log: silentLogger,
      host: 'nodea',
      uuid: () => 'uuid',
      admit: (host) => admitted.push(host),
    });
    // Signed requests with a token that is wrong in one way or another, and frames that are broken anywhere.
    const wrongTokens = Array.from({ length: 200 }, () => mutate(Buffer.from(token), random).toString('latin1'));
    const recordings = [];
    for (const line of [token.slice(0, -1), ...wrongTokens.filter((line) => line.trim() !== token)])
      recordings.push(await record((a) => a.send(JOIN_REQUEST, requestOf(line, 'nodeb', '192.0.2.2')), { isMember: false, purpose: 'join' })); // prettier-ignore
    const unsigned = await record((a) => a.send(JOIN_REQUEST, { ...requestOf(token, 'nodeb', '192.0.2.2'), host: 'nodec' }), { isMember: false, purpose: 'join' }); // prettier-ignore
    await fuzz(INPUTS * 0.35, async (draw) => {
      const { link, b } = pair();
      const met = welcome(b, { clock, me: me('b'), admit: () => null, isMember: () => false });
      const one = draw.int(4) === 0 ? unsigned : recordings[draw.int(recordings.length)];
      feed(link.b, one.greeting, draw);
      await met;
      serve(b);
      feed(link.b, draw.int(3) === 0 ? one.rest : mutate(one.rest, draw), draw);
      link.a.end();
      while (link.b.step((size) => size));
      clock.timers.length = 0;
      await Promise.resolve();
    });
    assert.ok(refusals > INPUTS * 0.05, `only ${refusals} requests were understood: the fuzzer is too coarse`);
    assert.deepEqual(admitted, []);
    assert.deepEqual(store.read(), trust);
    // And the token is still good for its owner.
    const { link, b } = pair();
    const met = welcome(b, { clock, me: me('b'), admit: () => null, isMember: () => false });
    const owner = await record((a) => a.send(JOIN_REQUEST, requestOf(token, 'nodeb', '192.0.2.2')), { isMember: false, purpose: 'join' }); // prettier-ignore
    feed(link.b, owner.greeting, random);
    await met;
    serve(b);
    feed(link.b, owner.rest, random);
    while (admitted.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(admitted, ['nodeb']);
  });
});

/** As much of a file system as the trust store needs. */
function memoryFiles() {
  const files = new Map();
  const directories = new Set();
  return {
    readFile: (path) => files.get(path) ?? null,
    writeFile: (path, data) => void files.set(path, Buffer.from(data)),
    unlink: (path) => void files.delete(path),
    makeDir: (path) => void directories.add(path),
    removeDir: (path) => void directories.delete(path),
    lstat: (path) => (directories.has(path) ? { kind: 'directory', mode: 0o700 } : files.has(path) ? { kind: 'file', mode: 0o600 } : null), // prettier-ignore
    readDir: (path) => {
      if (!directories.has(path)) return null;
      const here = [...files.keys()].filter((name) => name.startsWith(`${path}/`) && !name.slice(path.length + 1).includes('/')); // prettier-ignore
      return here.map((name) => ({ name: name.slice(path.length + 1), kind: 'file' }));
    },
    syncDir: async () => {},
  };
}
