// Who comes in and who does not, end to end: real sockets, real certificates, real daemons. What is refused is refused, logged, and changes nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Hosts, until, whyNoHosts } from './hosts.mjs';

const why = whyNoHosts();

describe(why === '' ? 'trust between hosts' : `trust between hosts (skipped: ${why})`, function () {
  this.timeout(120_000);
  let hosts;
  let a, b, stranger;

  before(async function () {
    if (why !== '') return this.skip();
    hosts = await Hosts.make(['nodea', 'nodeb', 'nodec', 'stranger']);
    await hosts.makeCluster({ members: ['nodea', 'nodeb'] });
    [a, b, , stranger] = hosts.all;
  });
  after(() => hosts?.close());

  afterEach(async function () {
    if (this.currentTest.state === 'failed')
      for (const host of hosts.all) console.log(`--- ${host.name}\n${host.log()}`);
  });

  /** A program of Node inside a host; `talk` gets a socket to nodea and must end it. @returns what it printed */
  const dial = (host, body) =>
    host.exec(process.execPath, [
      '-e',
      `const net = require('net'), tls = require('tls'), fs = require('fs'); const to = { host: '${a.ip}', port: 7777 };\n${body}`,
    ]);

  /** What `ips/` and the certificates of a host say: that must not change by anything that is refused. */
  const membership = (host) =>
    ['ips', 'userspace']
      .flatMap((dir) =>
        fs.readdirSync(host.at('mars', dir)).map((name) => `${dir}/${name} ${host.link(`${dir}/${name}`)}`),
      )
      .sort();

  it('needs a certificate: bare TCP and TLS without one get nowhere', async () => {
    const before = membership(a);
    const plain = await dial(
      stranger,
      `const s = net.connect(to, () => s.write('GET / HTTP/1.0\\r\\n\\r\\n')); s.on('data', (d) => console.log('data', d.length)); s.on('close', () => console.log('closed')); s.on('error', () => {});`,
    );
    assert.match(plain.out, /closed/);
    // TLS alone is possible, because that is how a join begins; but nothing is said to somebody who does not follow the protocol.
    const bare = await dial(
      stranger,
      `const s = tls.connect({ ...to, rejectUnauthorized: false }, () => s.write(Buffer.alloc(5000, 0xff))); let n = 0; s.on('data', (d) => (n += d.length)); s.on('close', () => console.log('closed', n < 4096)); s.on('error', () => {});`,
    );
    assert.match(bare.out, /closed true/);
    const old = await dial(
      stranger,
      `const s = tls.connect({ ...to, rejectUnauthorized: false, maxVersion: 'TLSv1.2' }, () => console.log('TLS 1.2!')); s.on('close', () => console.log('closed')); s.on('error', () => {});`,
    );
    assert.equal(old.out, 'closed\n');
    assert.deepEqual(membership(a), before);
    assert.ok(await hosts.areConnected([a, b]), 'the members do not notice');
  });

  it('does not keep somebody who says nothing', async () => {
    const slow = await dial(
      stranger,
      `const s = net.connect(to); const t = Date.now(); s.on('close', () => console.log(Date.now() - t < 60000 ? 'closed' : 'late')); s.on('error', () => {}); s.resume();`,
    );
    assert.equal(slow.out, 'closed\n');
  });

  it('refuses a host of another cluster, although both sides name each other', async () => {
    await stranger.adm(`--ip=${stranger.ip}`, 'create-cluster');
    await stranger.start();
    const before = membership(a);
    stranger.setLink('ips/ip-nodea', a.ip);
    stranger.setLink('userspace/evil', '1');
    await until('the stranger has been refused', async () => {
      const peer = (await stranger.peers()).get('nodea');
      return peer !== undefined && peer.attempts > 1 && peer.lastContactS === null;
    });
    a.setLink('ips/ip-stranger', stranger.ip);
    await until('nodea has been refused, too', async () => ((await a.peers()).get('stranger')?.attempts ?? 0) > 1);
    assert.equal(a.link('userspace/evil'), null);
    assert.deepEqual(
      membership(a).filter((line) => !line.startsWith('ips/ip-stranger')),
      before,
    );
    assert.equal(stranger.link('ips/ip-nodeb'), null, 'nothing was told to it either');
    await a.sh('ln -sfn .deleted $MARS_DIR/ips/ip-stranger');
    await stranger.stop();
  });

  it('takes a token once', async () => {
    const token = (await a.adm('invite')).trim();
    const c = hosts.get('nodec');
    await c.start();
    await c.adm(`--ip=${c.ip}`, `--ip-nodea=${a.ip}`, `--token=${token}`, 'join-cluster', 'nodea');
    await until('nodec is a member', () => hosts.areConnected([a, b, c]));
    await stranger.sh('rm -rf $MARS_DIR/* $MARS_DIR/.trust');
    await stranger.start();
    const before = membership(a);
    const again = await stranger.marsadm(
      `--ip=${stranger.ip}`,
      `--ip-nodea=${a.ip}`,
      `--token=${token}`,
      '--timeout=10',
      'join-cluster',
      'nodea',
    );
    assert.notEqual(again.code, 0, again.out);
    await until('it is said why', () => stranger.log().includes('token-used') || /used/.test(stranger.log()));
    assert.deepEqual(membership(a), before);
    await stranger.stop();
  });

  it('refuses a member that comes under another name', async () => {
    const c = hosts.get('nodec');
    await stranger.sh('rm -rf $MARS_DIR/* $MARS_DIR/.trust');
    // Everything that nodec has: its key as well.
    await stranger.sh(`mkdir -p $MARS_DIR/ips $MARS_DIR/userspace`);
    fs.cpSync(c.at('mars/.trust'), stranger.at('mars/.trust'), { recursive: true });
    for (const host of [a, c]) {
      stranger.setLink(`ips/ip-${host.name}`, host.ip);
      stranger.setLink(`userspace/tls-${host.name}`, a.link(`userspace/tls-${host.name}`));
    }
    stranger.setLink('ips/ip-stranger', stranger.ip);
    stranger.setLink('uuid', a.link('uuid'));
    stranger.setLink('userspace/evil', '1');
    await stranger.start();
    await until('nodea has refused it', () => /wrong-name/.test(a.log()));
    assert.equal(a.link('userspace/evil'), null);
    assert.equal(a.link('ips/ip-stranger'), null);
    const lines = a.said('wrong-name');
    assert.ok(lines.length <= 2, `logged once, not at every attempt: ${lines.length}`);
    await stranger.stop();
  });

  it('ends for a member that is removed: everywhere, at once, although its certificate is good', async () => {
    const c = hosts.get('nodec');
    await c.stop();
    await a.adm('--host=nodec', '--force', 'leave-cluster');
    await until('nodeb knows', () => b.link('ips/ip-nodec') === null);
    await c.start();
    c.setLink('userspace/after', '1');
    await until('nodec has been refused', async () => ((await c.peers()).get('nodea')?.attempts ?? 0) > 1);
    for (const host of [a, b]) assert.equal(host.link('userspace/after'), null);
    a.setLink('userspace/secret', '1');
    await until('nodeb has it', () => b.link('userspace/secret') === '1');
    assert.equal(c.link('userspace/secret'), null);
  });
});

describe(why === '' ? 'ways into a cluster' : `ways into a cluster (skipped: ${why})`, function () {
  this.timeout(120_000);
  let hosts;
  let a, b;

  beforeEach(async function () {
    if (why !== '') return this.skip();
    hosts = await Hosts.make(['nodea', 'nodeb']);
    [a, b] = hosts.all;
  });
  afterEach(async function () {
    if (this.currentTest.state === 'failed')
      for (const host of hosts.all) console.log(`--- ${host.name}\n${host.log()}`);
    await hosts?.close();
  });

  const meet = () => until('both are in step', () => hosts.areConnected());

  it('joins before any daemon has been started anywhere', async () => {
    await a.adm(`--ip=${a.ip}`, 'create-cluster');
    const token = (await a.adm('invite')).trim();
    await b.adm(`--ip=${b.ip}`, `--ip-nodea=${a.ip}`, `--token=${token}`, 'join-cluster', 'nodea');
    await b.start();
    await a.start();
    await meet();
    assert.equal(b.link('uuid'), a.link('uuid'));
  });

  it('may be plain text, when it is asked for', async () => {
    await hosts.makeCluster({ insecure: true });
    assert.match((await a.status()).network, /^plain text, insecure on /);
  });

  it('is closed for a tree without certificates, and opens while the daemons run', async () => {
    for (const host of hosts.all) {
      for (const { name, ip } of hosts.all) host.setLink(`ips/ip-${name}`, ip);
      host.setLink('uuid', 'nodea_1795190987.123456789');
      await host.start();
      assert.match((await host.status()).network, /^no port is open/);
    }
    await a.adm('trust-create');
    await a.trigger('1');
    await until('the port is open', async () => (await a.status()).network.startsWith('TLS on '));
    const token = (await a.adm('invite')).trim();
    await b.adm('trust-join', token);
    await b.trigger('1');
    await meet();
  });

  it('works when only one side can open connections', async () => {
    await hosts.makeCluster();
    await b.sh('nft add rule inet cut in tcp dport 7777 ct state new drop');
    await b.kill();
    await b.start();
    a.setLink('userspace/through', '1');
    await until('nodeb has it', () => b.link('userspace/through') === '1');
    b.setLink('userspace/back', '1');
    await until('nodea has it', () => a.link('userspace/back') === '1');
  });
});
