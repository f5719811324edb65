// Joining by token: real TLS over loopback, real files. Whatever goes wrong: refused, logged once, nothing changed.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { decodeToken } from '@mars/wire';
import { Cluster, errorOf, until } from './cluster.kit.mjs';

const HOUR_IN_DAYS = 1 / 24;

describe('joining', function () {
  this.timeout(30_000);
  let cluster;
  beforeEach(() => (cluster = new Cluster()));
  afterEach(() => cluster.close());

  /** A token from outside changes neither the tree nor the members; it is logged once. */
  async function isRefused(host, newcomer, reason) {
    const before = host.facts.text;
    const trust = readdirSync(host.store.directory).length;
    for (let i = 0; i < 2; i++) {
      const error = await errorOf(newcomer.redeem());
      assert.deepEqual([error.code, error.details.reason], ['JOIN_REFUSED', reason], error.message);
    }
    await until(() => host.net.refusals[reason] === 2);
    assert.deepEqual(host.refused, [[reason, newcomer.name]]);
    assert.equal(host.facts.text, before);
    assert.equal(readdirSync(host.store.directory).length, trust);
    assert.equal(newcomer.store.read().kind, 'joining');
  }

  it('gives a host all that a member has, and a certificate of its own', async () => {
    const a = await cluster.create('nodea');
    const b = cluster.add('nodeb');
    const joined = await b.join(a.invite());
    assert.deepEqual(
      [joined.inviter, joined.uuid, joined.inviterAddress, joined.inviterFingerprintHex],
      ['nodea', 'uuid-of-the-test', a.address, a.store.read().fingerprintHex],
    );
    const [atA, atB] = [a.store.read(), b.store.read()];
    assert.deepEqual([atB.kind, atB.host, atB.caFingerprintHex], ['member', 'nodeb', atA.caFingerprintHex]);
    assert.equal(a.facts.fingerprintOf('nodeb'), joined.fingerprintHex);
    assert.equal(a.facts.ips.get('nodeb'), '127.0.0.1');
    for (const name of ['ca.crt', 'ca.key', 'host.crt', 'host.key']) {
      const file = path.join(b.store.directory, name);
      assert.equal(statSync(file).mode & 0o777, 0o600, name);
      const isShared = name.startsWith('ca.');
      assert.equal(readFileSync(file, 'utf8') === readFileSync(path.join(a.store.directory, name), 'utf8'), isShared);
    }
    assert.equal(statSync(b.store.directory).mode & 0o777, 0o700);
    assert.equal(existsSync(path.join(b.store.directory, 'token')), false);
    await b.up();
    assert.equal(await b.talk(a), 'nodea heard hello');
    assert.equal(await a.talk(b), 'nodeb heard hello');
  });

  it('works when the token was made before the inviting daemon has ever run', async () => {
    const a = cluster.add('nodea');
    await a.store.create('nodea');
    const port = await freePort(cluster);
    const line = a.store.invite({ host: '127.0.0.1', port });
    const b = cluster.add('nodeb');
    b.store.keepToken(line);
    const error = await errorOf(b.redeem());
    assert.deepEqual([error.code, b.store.read().kind], ['SOCKET', 'joining']);
    await a.up();
    a.address = await a.net.listen({ host: '127.0.0.1', port });
    await b.redeem();
    assert.equal(b.store.read().kind, 'member');
  });

  it('gives the same host the same answer again, when the first one was lost', async () => {
    const a = await cluster.create('nodea');
    const b = cluster.add('nodeb');
    const line = a.invite();
    b.store.keepToken(line);
    const key = b.store.joiningKey();
    const complete = b.store.completeJoin.bind(b.store);
    b.store.completeJoin = () => {
      throw Object.assign(new Error('power cut'), { name: 'Crash' });
    };
    await errorOf(b.redeem());
    assert.ok(a.facts.isMember('nodeb'));
    b.store.completeJoin = complete;
    b.store.keepToken(line);
    assert.equal(b.store.joiningKey(), key, 'the key survives the second try');
    await b.redeem();
    assert.equal(a.facts.fingerprintOf('nodeb'), b.store.read().fingerprintHex);
  });

  it('refuses a token that was used, by whatever other host or key', async () => {
    const a = await cluster.create('nodea');
    const line = a.invite();
    await cluster.add('nodeb').join(line);
    const late = cluster.add('nodec');
    late.store.keepToken(line);
    await isRefused(a, late, 'token-used');
  });

  it('refuses a token after an hour', async () => {
    const a = await cluster.create('nodea');
    const b = cluster.add('nodeb');
    b.store.keepToken(a.invite());
    a.days += 1.01 * HOUR_IN_DAYS;
    await isRefused(a, b, 'token-expired');
  });

  it('forgets its invitations when they have expired', async () => {
    const a = await cluster.create('nodea');
    for (let i = 0; i < 5; i++) a.invite();
    const invites = path.join(a.store.directory, 'invites');
    assert.equal(readdirSync(invites).length, 5);
    a.days += 1;
    a.invite();
    assert.equal(readdirSync(invites).length, 1);
  });

  it('refuses a token with a broken seal', async () => {
    const a = await cluster.create('nodea');
    const b = cluster.add('nodeb');
    const { encodeToken } = await import('../../packages/wire/dist/trust/token.js');
    const token = decodeToken(a.invite());
    b.store.keepToken(encodeToken({ ...token, expiresMs: token.expiresMs + 1 }, Buffer.alloc(32, 7)));
    await isRefused(a, b, 'bad-token');
  });

  it('refuses a token that a former member has sealed with the key of the authority', async () => {
    const a = await cluster.create('nodea');
    const evil = cluster.add('evil');
    await evil.join(a.invite());
    a.facts.ips.delete('evil');
    const { encodeToken, tokenKey } = await import('../../packages/wire/dist/trust/token.js');
    const { caKeyPem } = await evil.store.issue('evil', (await keys()).publicKeyDer);
    const invented = { ...decodeToken(a.invite()), nonceHex: 'ab'.repeat(16) };
    const b = cluster.add('nodeb');
    b.store.keepToken(encodeToken(invented, tokenKey(caKeyPem)));
    await isRefused(a, b, 'token-unknown');
  });

  it('refuses the name of a member, and its own', async () => {
    const a = await cluster.create('nodea');
    await cluster.join('nodeb', a);
    for (const name of ['nodeb', 'nodea']) {
      const double = cluster.add(name);
      double.store = new a.store.constructor({
        ...cluster.platform,
        clock: a,
        marsDir: path.join(cluster.directory, `double of ${name}`),
      });
      double.store.keepToken(a.invite());
      const before = a.facts.text;
      const error = await errorOf(double.redeem());
      assert.deepEqual([error.code, error.details.reason], ['JOIN_REFUSED', 'name-taken']);
      assert.equal(a.facts.text, before);
    }
  });

  it('lets only one of two hosts of one name in, when both come at once', async () => {
    const a = await cluster.create('nodea');
    const twins = [0, 1].map((i) => {
      const twin = cluster.add('nodeb');
      const marsDir = path.join(cluster.directory, `twin${i}`);
      twin.store = new a.store.constructor({ ...cluster.platform, clock: a, marsDir });
      twin.store.keepToken(a.invite());
      return twin;
    });
    const results = await Promise.allSettled(twins.map((twin) => twin.redeem()));
    const [first, second] = results.map(({ status }) => status).sort();
    assert.deepEqual([first, second], ['fulfilled', 'rejected']);
    const { reason } = results.find(({ status }) => status === 'rejected');
    assert.ok(['too-many', 'name-taken'].includes(reason.details.reason), reason.message);
    const winner = twins[results.findIndex(({ status }) => status === 'fulfilled')];
    assert.equal(a.facts.fingerprintOf('nodeb'), winner.store.read().fingerprintHex);
  });

  it('lets a host in again under its name after it was removed', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.join('nodeb', a);
    a.facts.ips.delete('nodeb');
    b.store.remove();
    assert.equal(b.store.read().kind, 'none');
    await b.join(a.invite());
    b.net.setIdentity(b.store.read().identity);
    assert.equal(await b.talk(a), 'nodea heard hello');
  });

  it('shows the token to nobody but the host that has made it', async () => {
    const a = await cluster.create('nodea');
    const evil = cluster.add('evil');
    await evil.join(a.invite());
    await evil.up();
    const shown = [];
    evil.net.servers.set('join', (channel) => shown.push(channel));
    const line = a.invite();
    const { encodeToken, tokenKey } = await import('../../packages/wire/dist/trust/token.js');
    const { caKeyPem } = await evil.store.issue('evil', (await keys()).publicKeyDer);
    // The same token, but the packets end up at somebody with a good certificate of the same authority.
    const diverted = encodeToken({ ...decodeToken(line), address: evil.address }, tokenKey(caKeyPem));
    const b = cluster.add('nodeb');
    b.store.keepToken(diverted);
    const error = await errorOf(b.redeem());
    assert.deepEqual([error.code, error.details.reason], ['TLS_REFUSED', 'wrong-certificate']);
    assert.deepEqual(shown, []);
  });

  it('takes nothing from an inviter that does not fit the token', async () => {
    const a = await cluster.create('nodea');
    const other = await cluster.create('other');
    const b = cluster.add('nodeb');
    b.store.keepToken(a.invite());
    const good = a.store.issue.bind(a.store);
    const lies = {
      'another authority': (host, key) => other.store.issue(host, key),
      'another name': (_, key) => good('nodec', key),
      'another key': async (host) => good(host, (await keys()).publicKeyDer),
      'no certificate': async (host, key) => ({ ...(await good(host, key)), certPem: 'nonsense' }),
      'another key of the authority': async (host, key) => ({
        ...(await good(host, key)),
        caKeyPem: (await keys()).keyPem,
      }),
    };
    for (const [name, lie] of Object.entries(lies)) {
      a.store.issue = lie;
      const error = await errorOf(b.redeem());
      assert.equal(error.code, 'TRUST_STATE', name);
      assert.equal(b.store.read().kind, 'joining', name);
    }
    a.store.issue = good;
    await b.redeem();
    assert.equal(b.store.read().kind, 'member');
  });

  it('is not open to somebody who has lost the key for which he asked', async () => {
    const a = await cluster.create('nodea');
    const b = cluster.add('nodeb');
    b.store.keepToken(a.invite());
    const { publicKeyDer } = await keys();
    // A request signed by another key than the one it shows.
    const { JOIN_REQUEST } = await import('../../packages/wire/dist/trust/join-messages.js');
    const { Session } = await import('../../packages/wire/dist/channel/session.js');
    const send = Session.prototype.send;
    Session.prototype.send = function (struct, message, ...rest) {
      return send.call(this, struct, struct === JOIN_REQUEST ? { ...message, publicKeyDer } : message, ...rest);
    };
    try {
      const error = await errorOf(b.redeem());
      assert.deepEqual([error.code, error.details.reason], ['JOIN_REFUSED', 'bad-request']);
    } finally {
      Session.prototype.send = send;
    }
    assert.equal(a.facts.isMember('nodeb'), false);
  });
});

describe('the files of trust', function () {
  this.timeout(30_000);
  let cluster;
  beforeEach(() => (cluster = new Cluster()));
  afterEach(() => cluster.close());

  it('are refused when others may read them, when one is missing, damaged, or belongs elsewhere', async () => {
    const a = await cluster.create('nodea');
    const b = await cluster.create('nodeb');
    const { directory } = a.store;
    const isBad = (what) => assert.throws(() => a.store.read(), { code: 'TRUST_STATE' }, what);
    chmodSync(directory, 0o750);
    isBad('readable by the group');
    chmodSync(directory, 0o700);
    for (const name of ['ca.crt', 'ca.key', 'host.crt', 'host.key']) {
      const file = path.join(directory, name);
      const good = readFileSync(file);
      writeFileSync(file, readFileSync(path.join(b.store.directory, name)));
      isBad(`${name} of another host`);
      writeFileSync(file, 'nonsense');
      isBad(`${name} damaged`);
      writeFileSync(file, good);
      assert.equal(a.store.read().kind, 'member');
    }
  });

  it('are replaced as a whole, and removed as a whole', async () => {
    const a = cluster.add('nodea');
    await a.store.create('nodea');
    const first = a.store.read().caFingerprintHex;
    a.store.invite({ host: '127.0.0.1', port: 1 });
    await a.store.create('nodea');
    assert.notEqual(a.store.read().caFingerprintHex, first);
    assert.deepEqual(readdirSync(path.join(a.store.directory, 'invites')), []);
    a.store.createInsecure();
    assert.deepEqual(readdirSync(a.store.directory).sort(), ['insecure', 'invites']);
    a.store.remove();
    assert.equal(existsSync(a.store.directory), false);
    a.store.remove();
    assert.equal(a.store.read().kind, 'none');
  });

  it('say what is wrong with a token before anything is changed', async () => {
    const a = await cluster.create('nodea');
    const line = a.invite();
    for (const bad of [
      '',
      'nonsense',
      line.slice(1),
      line.slice(0, -1),
      `${line.slice(0, 40)} ${line.slice(40)}`,
      'A'.repeat(5000),
    ])
      assert.throws(() => a.store.keepToken(bad), { code: 'BAD_TOKEN' });
    assert.equal(a.store.read().kind, 'member');
    assert.match(line, /^[-A-Za-z0-9_]+$/);
    assert.ok(line.length < 250);
    assert.deepEqual(decodeToken(`  ${line}\n`).address, a.address);
  });

  it('invite nobody where there is no authority', () => {
    const a = cluster.add('nodea');
    assert.throws(() => a.store.invite({ host: 'x', port: 1 }), { code: 'TRUST_STATE' });
    a.store.createInsecure();
    assert.throws(() => a.store.invite({ host: 'x', port: 1 }), { code: 'TRUST_STATE' });
  });
});

async function keys() {
  const { newKey, publicKeyOf } = await import('../../packages/wire/dist/trust/certificates.js');
  const keyPem = newKey();
  return { keyPem, publicKeyDer: publicKeyOf(keyPem) };
}

async function freePort(cluster) {
  const listener = await cluster.platform.net.listen({ host: '127.0.0.1', port: 0 }, () => {});
  await listener.close();
  return listener.address.port;
}
