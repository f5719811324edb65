// Who comes in and who does not: real TLS 1.3 over loopback, real files.
import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { PeerNet } from '@mars/wire';
import { Cluster, errorOf, shareFacts, until } from './cluster.kit.mjs';

describe('members of a cluster', function () {
  this.timeout(30_000);
  let cluster;
  beforeEach(() => (cluster = new Cluster()));
  afterEach(() => cluster.close());

  it('talk to each other, whoever has invited whom, over TLS 1.3', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    const c = await cluster.join('nodec', b);
    shareFacts(c, a);
    for (const [from, to] of [
      [a, b],
      [b, a],
      [a, c],
      [c, a],
      [b, c],
    ])
      // prettier-ignore
      assert.equal(await from.talk(to), `${to.name} heard hello`);
    const [channel] = b.arrived;
    assert.deepEqual([channel.remote.host, channel.peer.name], ['nodea', 'nodea']);
    assert.equal(channel.peer.fingerprintHex, a.store.read().fingerprintHex);
    const [protocol, cipher] = await new Promise((resolve) => {
      const socket = connectTls({ ...a.address, rejectUnauthorized: false }, () => {
        resolve([socket.getProtocol(), socket.getCipher().name]);
        socket.destroy();
      });
    });
    assert.deepEqual([protocol, cipher], ['TLSv1.3', 'TLS_AES_128_GCM_SHA256']);
    assert.deepEqual(
      [...a.refused, ...b.refused, ...c.refused].filter(([reason]) => reason !== 'bad-protocol'),
      [],
    );
  });

  it('refuse who shows no certificate, log it once, and change nothing', async () => {
    const a = await cluster.create('nodea');
    const before = a.facts.text;
    const stranger = strangerOf(cluster, 'nodeb', { kind: 'none' });
    for (let i = 0; i < 3; i++) {
      const error = await errorOf(stranger.connect('nodea', a.address, 'tree'));
      assert.deepEqual([error.code, error.details.reason], ['PEER_REFUSED', 'no-certificate']);
    }
    await until(() => a.net.refusals['no-certificate'] === 3);
    assert.deepEqual(a.refused, [['no-certificate', 'nodeb']]);
    assert.equal(a.facts.text, before);
    assert.equal(a.arrived.length, 0);
  });

  it('refuse who belongs to another cluster, on both sides', async () => {
    const a = await cluster.create('nodea');
    const foreign = await cluster.create('nodeb');
    for (const [from, to] of [
      [a, foreign],
      [foreign, a],
    ]) {
      // prettier-ignore
      shareFacts(from, to);
      shareFacts(to, from);
      const error = await errorOf(from.connect(to));
      assert.deepEqual([error.code, error.details.reason], ['TLS_REFUSED', 'foreign-authority']);
    }
    // A client that does not look at our certificate: our door has to do it.
    const { identity } = foreign.store.read();
    const careless = strangerOf(cluster, 'nodeb', { credentials: identity.credentials });
    await errorOf(careless.connect('nodea', a.address, 'tree'));
    await until(() => a.net.refusals['foreign-authority'] === 1);
    assert.equal(a.arrived.length, 0);
  });

  it('refuse a certificate that is over', async () => {
    // Three years behind, so what it issues has been over for two.
    const a = await cluster.create('nodea', { days: -3 * 365 });
    const { credentials } = a.store.read().identity;
    const b = await cluster.create('nodeb');
    const error = await errorOf(
      strangerOf(cluster, 'nodeb', { careful: credentials }).connect('nodea', a.address, 'tree'),
    );
    assert.deepEqual([error.code, error.details.reason], ['TLS_REFUSED', 'expired']);
    await errorOf(strangerOf(cluster, 'nodeb', { credentials }).connect('nodea', a.address, 'tree'));
    await until(() => a.net.refusals.expired === 1);
    assert.equal(b.arrived.length + a.arrived.length, 0);
  });

  it('refuse a member that was removed, everywhere, and close its open channels', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    const c = await cluster.join('nodec', a);
    const open = [await b.connect(a), await a.connect(b)];
    open.forEach((channel) => channel.start());
    const ends = open.map((channel) => new Promise((resolve) => channel.onClose(resolve)));
    for (const host of [a, c]) host.facts.ips.delete('nodeb');
    a.net.recheck();
    const [atB, atA] = await Promise.all(ends);
    assert.deepEqual([atB.code, atB.details.reason, atA.details.reason], ['PEER_REFUSED', 'no-member', 'no-member']);
    for (const host of [a, c]) {
      const error = await errorOf(b.connect(host));
      assert.deepEqual([error.code, error.details.reason], ['PEER_REFUSED', 'no-member']);
      await until(() => host.refused.some(([reason, who]) => reason === 'no-member' && who === 'nodeb'));
      // And nobody goes there by himself.
      assert.equal((await errorOf(host.connect(b))).details.reason, 'no-member');
    }
  });

  it('refuse a host that goes by another name than its certificate', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    const { credentials } = b.store.read().identity;
    for (const name of ['nodec', 'nodea', 'no.name', '']) {
      a.facts.ips.set('nodec', '127.0.0.1');
      a.facts.pins.set('nodec', b.store.read().fingerprintHex);
      const error = await errorOf(strangerOf(cluster, name, { credentials }).connect('nodea', a.address, 'tree'));
      assert.equal(error.code, 'PEER_REFUSED');
      assert.equal(error.details.reason, { nodec: 'wrong-name', nodea: 'own-name' }[name] ?? 'bad-request');
    }
    const error = await errorOf(a.connect(b, 'tree', 'nodec'));
    assert.deepEqual([error.code, error.details.reason], ['PEER_REFUSED', 'wrong-host']);
    assert.equal(a.arrived.length + b.arrived.length, 0);
  });

  it('refuse a former member that makes certificates with the key of the authority', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    const evil = cluster.add('evil');
    await evil.join(a.invite());
    // It calls itself nodeb, with a good certificate of the good authority.
    const forged = await forge(evil, 'nodeb');
    a.facts.ips.delete('evil');
    for (const successions of [[], evil.store.read().identity.successions, [junkSuccession()]]) {
      const error = await errorOf(
        strangerOf(cluster, 'nodeb', { credentials: forged, successions }).connect('nodea', a.address, 'tree'),
      );
      assert.deepEqual([error.code, error.details.reason], ['PEER_REFUSED', 'other-certificate']);
    }
    assert.equal(await b.talk(a), 'nodea heard hello');
  });

  it('know each other after their certificates have changed, also when the news has not arrived', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    const first = b.store.read().fingerprintHex;
    assert.equal(await b.store.renew(), false, 'it is new');
    const open = await b.connect(a);
    open.start();
    for (let i = 0; i < 3; i++) {
      assert.equal(await b.store.renew({ force: true }), true);
      b.net.setIdentity(b.store.read().identity);
    }
    assert.ok(open.isOpen, 'open channels go on');
    assert.equal(a.facts.fingerprintOf('nodeb'), first);
    // As client and as server.
    assert.equal(await b.talk(a), 'nodea heard hello');
    assert.equal(a.facts.fingerprintOf('nodeb'), b.store.read().fingerprintHex);
    a.facts.pins.set('nodeb', first);
    assert.equal(await a.talk(b), 'nodeb heard hello');
    assert.equal(a.facts.fingerprintOf('nodeb'), b.store.read().fingerprintHex);
  });

  it('renew by themselves when half of the time is over', async () => {
    const a = await cluster.create('nodea');
    a.days = 180;
    assert.equal(await a.store.renew(), false);
    a.days = 190;
    assert.equal(await a.store.renew(), true);
    const state = a.store.read();
    assert.equal(state.identity.successions.length, 1);
    assert.ok(state.expiresMs > Number(a.wallNs() / 1_000_000n) + 360 * 86_400_000);
  });

  it('refuse what has no purpose here', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    assert.equal((await errorOf(b.connect(a, 'shell'))).details.reason, 'unknown-purpose');
  });

  it('refuse older versions of TLS', async () => {
    const a = await cluster.create('nodea');
    const error = await new Promise((resolve) =>
      connectTls({ ...a.address, rejectUnauthorized: false, maxVersion: 'TLSv1.2' }).on('error', resolve),
    );
    assert.match(error.message, /protocol version|wrong version|unsupported/i);
    await until(() => a.net.refusals['no-tls'] === 1);
  });
});

describe('a plain-text cluster', function () {
  this.timeout(30_000);
  let cluster;
  beforeEach(() => (cluster = new Cluster()));
  afterEach(() => cluster.close());

  it('works without certificates, and still wants the right host', async () => {
    const [a, b] = [cluster.add('nodea'), cluster.add('nodeb')];
    for (const host of [a, b]) {
      host.store.createInsecure();
      assert.equal(host.store.read().kind, 'insecure');
      await host.up();
    }
    assert.equal(await a.talk(b), 'nodeb heard hello');
    assert.equal(b.arrived[0].peer, null);
    assert.equal((await errorOf(a.connect(b, 'tree', 'nodec'))).details.reason, 'wrong-host');
  });

  it('and one with certificates leave each other alone', async () => {
    const a = await cluster.create('nodea');
    const b = cluster.add('nodeb');
    b.store.createInsecure();
    await b.up();
    for (const host of [a, b]) for (const name of ['nodea', 'nodeb']) host.admit(name, '127.0.0.1', 'x');
    const toB = await errorOf(a.connect(b));
    assert.ok(['TLS_REFUSED', 'SOCKET'].includes(toB.code), toB.message);
    const toA = await errorOf(b.connect(a));
    assert.ok(['WIRE_PROTOCOL', 'SOCKET'].includes(toA.code), toA.message);
    await until(() => a.net.refusals['no-tls'] === 1 && b.net.refusals['bad-protocol'] === 1);
    assert.equal(a.arrived.length + b.arrived.length, 0);
  });
});

describe('the door of a member', function () {
  this.timeout(30_000);
  let cluster, a;
  beforeEach(async () => {
    cluster = new Cluster();
    a = await cluster.create('nodea', { handshakeTimeoutMs: 300 });
  });
  afterEach(() => cluster.close());

  const open = () =>
    new Promise((resolve) => {
      const socket = connectTcp(a.address, () => resolve(socket));
      socket.on('error', () => {}).resume();
    });
  const openTls = (options = {}) =>
    new Promise((resolve) => {
      const socket = connectTls({ ...a.address, rejectUnauthorized: false, ...options }, () => resolve(socket));
      socket.on('error', () => {}).resume();
    });
  const ended = (socket) => new Promise((resolve) => (socket.destroyed ? resolve() : socket.once('close', resolve)));

  it('closes on who says nothing, or a byte now and then, with and without TLS', async () => {
    const sockets = [await open(), await openTls()];
    const dripping = [await open(), await openTls()];
    const drips = dripping.map((socket) => setInterval(() => socket.write('\x16'), 20));
    await Promise.all([...sockets, ...dripping].map(ended));
    drips.forEach(clearInterval);
    await until(() => (a.net.refusals.timeout ?? 0) >= 1 && (a.net.refusals.slow ?? 0) >= 1);
  });

  it('closes on garbage, with and without TLS, and on frames that are too long', async () => {
    const oversize = Buffer.alloc(16);
    oversize.writeUInt32LE(0xfffffff0, 0);
    oversize[4] = 1;
    for (const socket of [await open(), await openTls()]) {
      socket.write('GET / HTTP/1.1\r\nHost: mars\r\n\r\n'.repeat(10));
      await ended(socket);
    }
    const socket = await openTls();
    socket.write(oversize);
    await ended(socket);
    await until(() => a.net.refusals['no-tls'] === 1 && a.net.refusals['bad-protocol'] === 2);
    assert.equal(a.log.records.filter(({ reason }) => reason === 'bad-protocol').length, 1, 'logged once');
    assert.equal(a.arrived.length, 0);
  });

  it('does not let strangers use up the places of members', async () => {
    const b = await cluster.join('nodeb', a);
    const crowd = await Promise.all(Array.from({ length: 100 }, open));
    await until(() => (a.net.refusals['too-many'] ?? 0) > 0);
    await Promise.all(crowd.map(ended));
    assert.equal(await b.talk(a), 'nodea heard hello');
  });

  it('has few places for strangers of one address, and does not count joins as channels of a member', async () => {
    // With all the time of the real world, so that a slow machine does not let go of the first before the last has come.
    const a = await cluster.create('patient');
    const b = await cluster.join('nodeb', a);
    const silent = await Promise.all(Array.from({ length: 40 }, () => openTls(a.address)));
    await until(() => a.net.refusals['too-many'] >= 40 - 16);
    assert.equal(await errorOrIn(b.connect(a)), 'PEER_REFUSED or closed');
    silent.forEach((socket) => socket.destroy());
    await until(() => a.net.pendingCount === 0);
    const joins = [];
    for (let i = 0; i < 80; i++) {
      const stranger = strangerOf(cluster, 'nodeb', { kind: 'none' });
      joins.push(await stranger.connect('patient', a.address, 'join').catch((error) => error.details.reason));
    }
    assert.equal(joins.filter((join) => join === 'too-many').length, 80 - 16);
    assert.equal(await b.talk(a), 'patient heard hello');
    joins.forEach((join) => join.close?.());
  });

  it('closes on a member that sends nonsense', async () => {
    const b = await cluster.join('nodeb', a);
    const channel = await b.connect(a);
    channel.start();
    const end = new Promise((resolve) => channel.onClose(resolve));
    const frame = Buffer.alloc(16);
    frame.writeUInt32LE(0x7fffffff, 0);
    frame[4] = 3;
    channel.stream.write(frame);
    const error = await end;
    assert.deepEqual([error.code, a.arrived[0].isOpen], ['WIRE_PROTOCOL', false]);
    assert.equal(await b.talk(a), 'nodea heard hello');
  });
});

/** A crowd at the door keeps newcomers of the same address out for a moment. */
function errorOrIn(promise) {
  return promise.then(
    () => 'in',
    () => 'PEER_REFUSED or closed',
  );
}

/** Somebody with other papers than a good host: it believes every certificate, unless it is `careful`. */
function strangerOf(cluster, name, { credentials, careful, successions = [] }) {
  const { platform } = cluster;
  const anyPin = { isMember: () => true, fingerprintOf: () => null, renewed: () => {} };
  const facts = { ...anyPin, fingerprintOf: () => stranger.pin };
  const stranger = { pin: null };
  const net = {
    async connect(address) {
      const trust = careful ? { kind: 'member', credentials: careful } : null;
      const stream = trust
        ? await platform.secureNet.connect(address, trust)
        : await carelessly(platform, address, credentials);
      stranger.pin = stream.peer?.fingerprintHex ?? null;
      return stream;
    },
  };
  const peers = new PeerNet({
    net,
    clock: platform.loop,
    random: platform.random,
    log: platform.log,
    stamps: { now: () => 0n, seen: () => {} },
    host: name,
    version: 'evil',
    identity: { kind: 'member', credentials: {}, successions },
    facts,
  });
  return peers;
}

/** TLS without looking at the other side. */
async function carelessly(platform, address, credentials) {
  const { RealSecureStream } = await import('../../packages/platform/dist/net/secure-stream.js');
  const { certificateOf, peerOf } = await import('../../packages/platform/dist/net/peer-certificate.js');
  const papers = credentials ? { cert: credentials.certPem, key: credentials.keyPem } : {};
  return new Promise((resolve, reject) => {
    const socket = connectTls({ ...address, ...papers, rejectUnauthorized: false }, () =>
      resolve(new RealSecureStream(socket, peerOf(certificateOf(socket)), true)),
    );
    socket.once('error', reject);
  });
}

/** A certificate for any name, made by somebody who once was a member. */
async function forge(evil, name) {
  const { issueCertificate, newKey, publicKeyOf } = await import('../../packages/wire/dist/trust/certificates.js');
  const { caPem, caKeyPem } = await evil.store.issue(name, publicKeyOf(newKey()));
  const keyPem = newKey();
  const now = Number(evil.wallNs() / 1_000_000n);
  const certPem = await issueCertificate({ certPem: caPem, keyPem: caKeyPem }, name, publicKeyOf(keyPem), now);
  return { caPem, certPem, keyPem };
}

function junkSuccession() {
  return { certificateDer: Uint8Array.of(1, 2, 3), signature: Uint8Array.of(4) };
}
