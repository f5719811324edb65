// What the wire costs: bulk frames over TLS 1.3 against plain TCP in Node (goal: 0.6), and small messages. Loopback, sender and receiver in
// two threads; every block is copied once into memory of the receiver, by all contestants. MARS_BENCH_WIRE_S: seconds per run.
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { HEAD_ROOM_BYTES, silentLogger } from '@mars/brick-core';
import { createPlatform } from '@mars/platform';
import { PeerNet, TrustStore } from '@mars/wire';
import { measure, writeResults } from './frame.mjs';
import { BLOCK, NOTE, factsOf } from './wire-structs.mjs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const SECONDS = Number(process.env.MARS_BENCH_WIRE_S ?? 1);
const ROUNDS = 5;
/** Blocks under way: as many as a copy brick has. */
const DEPTH = 8;

let directory, platform, me, ports, fingerprints;
// prettier-ignore

/** Two members of one cluster; the second is issued by the first. */
async function members() {
  const { files, random, loop: clock } = platform;
  const first = new TrustStore({ files, random, clock, marsDir: path.join(directory, 'a') });
  await first.create('source');
  const me = first.read();
  const { newKey, publicKeyOf, readCertificate } = await import('../packages/wire/dist/trust/certificates.js');
  const keyPem = newKey();
  const { caPem, certPem } = await first.issue('sink', publicKeyOf(keyPem));
  const sink = { kind: 'member', credentials: { caPem, certPem, keyPem }, successions: [] };
  return {
    me: me.identity,
    sink,
    fingerprints: { source: me.fingerprintHex, sink: readCertificate(certPem).fingerprintHex },
  };
}

async function setUp() {
  directory = mkdtempSync(path.join(tmpdir(), 'mars-bench-wire-'));
  platform = createPlatform({
    ring: 'threads',
    arenaBytes: 1 << 20,
    poolObjects: 16,
    log: { logger: { ...silentLogger, close() {} } },
  });
  const all = await members();
  ({ me, fingerprints } = all);
  const workerData = { identities: { member: all.sink }, fingerprints };
  const worker = new Worker(new URL('./wire-sink.mjs', import.meta.url), { workerData });
  ports = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return async () => {
    await worker.terminate();
    await platform.close();
    rmSync(directory, { recursive: true });
  };
}

function open(identity, port) {
  const net = new PeerNet({
    net: platform.secureNet,
    clock: platform.loop,
    random: platform.random,
    log: silentLogger,
    stamps: { now: () => platform.loop.wallNs(), seen: () => {} },
    host: 'source',
    version: 'bench',
    identity,
    facts: factsOf(fingerprints),
  });
  return net.connect('sink', { host: '127.0.0.1', port }, 'bench');
}

/** What the last run of each contestant has cost, both threads together, CPU ms per GB. */
const cpuMsPerGb = {};

/** MB/s of `send(done)`, kept DEPTH deep until the time is over. */
async function rate(who, bytes, send) {
  const before = process.cpuUsage();
  const { mbPerS, blocks } = await transfer(bytes, send);
  const { user, system } = process.cpuUsage(before);
  cpuMsPerGb[`${who} ${bytes}`] = (user + system) / 1000 / ((blocks * bytes) / 1e9);
  return mbPerS;
}

function transfer(bytes, send) {
  return new Promise((resolve) => {
    const started = performance.now();
    let sent = 0;
    let answered = 0;
    const next = () => {
      sent++;
      send();
    };
    rate.answered = () => {
      answered++;
      if (performance.now() - started < SECONDS * 1000) next();
      else if (answered === sent)
        resolve({ blocks: answered, mbPerS: (answered * bytes) / (performance.now() - started) / 1000 });
    };
    for (let i = 0; i < DEPTH; i++) next();
  });
}

/** Blocks in an arena: each has room for a header in front. */
function block(bytes) {
  return Buffer.alloc(HEAD_ROOM_BYTES + bytes, 0x5a).subarray(HEAD_ROOM_BYTES);
}

async function plainTcp(bytes) {
  const socket = connect({ host: '127.0.0.1', port: ports.plain });
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.setNoDelay(true);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(bytes, 0);
  socket.write(head);
  socket.on('data', (dots) => {
    for (let i = 0; i < dots.length; i++) rate.answered();
  });
  const payload = block(bytes);
  const result = await rate('plain TCP', bytes, () => socket.write(payload));
  socket.destroy();
  return result;
}

async function channelRate(identity, port, bytes) {
  const channel = await open(identity, port);
  channel.on(BLOCK, () => rate.answered());
  channel.start();
  const payloads = Array.from({ length: DEPTH + 1 }, () => block(bytes));
  const send = () => {
    const payload = payloads.pop();
    channel.sendRaw(BLOCK, { id: 1 }, payload, { headRoomBytes: HEAD_ROOM_BYTES, done: () => payloads.push(payload) });
  };
  // The answer may come before the buffer is back; then the next block waits for it.
  const patient = () => (payloads.length > 0 ? send() : setImmediate(patient));
  const result = await rate(identity.kind, bytes, patient);
  channel.close();
  return result;
}

async function roundTrips(identity, port) {
  const channel = await open(identity, port);
  channel.start();
  const note = {
    number: 1,
    stampNs: 1_795_191_001_250_000_000n,
    text: '/mars/resource-mydata/actual-nodea/is-primary',
  };
  let count = 0;
  const started = performance.now();
  await new Promise((resolve) => {
    channel.on(NOTE, () => {
      count++;
      if (performance.now() - started < SECONDS * 1000) channel.send(NOTE, note);
      else resolve();
    });
    channel.send(NOTE, note);
  });
  channel.close();
  return ((performance.now() - started) * 1000) / count;
}

async function cpuOf(who, run) {
  await run();
  return cpuMsPerGb[`${who} ${1 << 20}`];
}

export default async function () {
  const tearDown = await setUp();
  try {
    return await measureAll();
  } finally {
    await tearDown();
  }
}

async function measureAll() {
  const rows = [];
  for (const [name, bytes] of [
    ['bulk 128k', 128 << 10],
    ['bulk 1M', 1 << 20],
  ])
    // prettier-ignore
    rows.push(
    await measure({
      name: `${name} d${DEPTH}`,
      unit: 'MB/s',
      better: 'higher',
      goalPeer: 'plain TCP',
      rounds: ROUNDS,
      contestants: {
        ours: () => channelRate(me, ports.secure, bytes),
        'plain TCP': () => plainTcp(bytes),
        'channel without TLS': () => channelRate({ kind: 'plain' }, ports.open, bytes),
      },
    }),
  );
  rows.push(
    await measure({
      name: 'CPU of bulk 1M',
      unit: 'ms/GB',
      better: 'lower',
      goalPeer: 'plain TCP',
      rounds: ROUNDS,
      contestants: {
        ours: () => cpuOf('member', () => channelRate(me, ports.secure, 1 << 20)),
        'plain TCP': () => cpuOf('plain TCP', () => plainTcp(1 << 20)),
        'channel without TLS': () => cpuOf('plain', () => channelRate({ kind: 'plain' }, ports.open, 1 << 20)),
      },
    }),
  );
  rows.push(
    await measure({
      name: 'round trip of a small message',
      unit: 'µs',
      better: 'lower',
      rounds: ROUNDS,
      contestants: {
        ours: () => roundTrips(me, ports.secure),
        'channel without TLS': () => roundTrips({ kind: 'plain' }, ports.open),
      },
    }),
  );
  return writeResults('wire', 'Channels of `@mars/wire` over TLS 1.3 (AES-128-GCM, mutual) against plain TCP of Node, on loopback; goal of issue 6: 0.6 for bulk frames.', rows); // prettier-ignore
}
