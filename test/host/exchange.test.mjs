// Three hosts, as an operator sets them up: certificates, marsadm, daemons. What is written on one is there on all.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Hosts, until, whyNoHosts } from './hosts.mjs';

const why = whyNoHosts();

describe(why === '' ? 'three hosts' : `three hosts (skipped: ${why})`, function () {
  this.timeout(120_000);
  let hosts;
  let a, b, c;

  before(async function () {
    if (why !== '') return this.skip();
    hosts = await Hosts.make(['nodea', 'nodeb', 'nodec']);
    await hosts.makeCluster();
    [a, b, c] = hosts.all;
  });
  after(() => hosts?.close());

  afterEach(async function () {
    if (this.currentTest.state === 'failed')
      for (const host of hosts.all) console.log(`--- ${host.name}\n${host.log()}`);
    if (hosts !== undefined) await hosts.heal();
  });

  const everywhere = (key, value, among = hosts.all) =>
    until(`${key} is ${value} on ${among.map((host) => host.name)}`, () =>
      among.every((host) => host.link(key) === value),
    );

  it('know each other, and speak TLS', async () => {
    for (const host of hosts.all) {
      assert.match((await host.status()).network, /^TLS on /);
      assert.deepEqual(
        hosts.all.map(({ name }) => [
          host.link(`ips/ip-${name}`),
          /^[0-9a-f]{64}$/.test(host.link(`userspace/tls-${name}`)),
        ]),
        hosts.all.map(({ ip }) => [ip, true]),
      );
      assert.equal(host.link('uuid'), a.link('uuid'));
    }
  });

  it('pass on what marsadm writes, and what an administrator writes with ln', async () => {
    await b.adm('set-link', 'on', '/mars/userspace/flag');
    await everywhere('userspace/flag', 'on');
    await c.sh('ln -sfn off $MARS_DIR/userspace/flag');
    await everywhere('userspace/flag', 'off');
  });

  it('pass on deletions, and bring nothing back', async () => {
    await a.adm('set-link', '1', '/mars/userspace/gone');
    await everywhere('userspace/gone', '1');
    await b.adm('delete-file', '/mars/userspace/gone');
    await everywhere('userspace/gone', null);
    await c.trigger('8');
    await a.adm('update-cluster');
    for (const host of hosts.all) assert.equal(host.link('userspace/gone'), null);
  });

  it('let the newest of many writes win, on whichever host it was made', async () => {
    for (let i = 0; i < 30; i++) hosts.all[i % 3].setLink('userspace/contested', `write-${i}`);
    const stampOf = (host) => fs.lstatSync(host.at('mars/userspace/contested'), { bigint: true }).mtimeNs;
    await until('all hosts agree', () => {
      const values = hosts.all.map((host) => `${host.link('userspace/contested')} ${stampOf(host)}`);
      return new Set(values).size === 1;
    });
    assert.equal(a.link('userspace/contested'), 'write-29');
  });

  it('answer update-cluster on every host', async () => {
    for (const host of hosts.all) assert.match(await host.adm('update-cluster'), /2\/2 peer\(s\) seem to be alive/);
  });

  it('go on by themselves after a partition, whatever both sides wrote meanwhile', async () => {
    await hosts.cut(['nodea'], ['nodeb', 'nodec']);
    for (let i = 0; i < 20; i++) {
      a.setLink(`userspace/left-${i}`, 'from-a');
      b.setLink(`userspace/right-${i}`, 'from-b');
      a.setLink('userspace/both', `a-${i}`);
      c.setLink('userspace/both', `c-${i}`);
    }
    await everywhere('userspace/right-19', 'from-b', [b, c]);
    assert.equal(a.link('userspace/right-19'), null, 'the cut is real');
    assert.equal(c.link('userspace/left-19'), null, 'the cut is real');
    await hosts.heal();
    for (let i = 0; i < 20; i++) {
      await everywhere(`userspace/left-${i}`, 'from-a');
      await everywhere(`userspace/right-${i}`, 'from-b');
    }
    await everywhere('userspace/both', 'c-19');
    await until('all trees are alike', () => hosts.all.every((host) => treeText(host) === treeText(a)));
  });

  it('reach each other over a third one when their own link is cut', async () => {
    await hosts.cut(['nodea'], ['nodeb']);
    a.setLink('userspace/detour', 'from-a');
    await everywhere('userspace/detour', 'from-a');
  });

  it('catch up after a daemon was killed, and after it was stopped', async () => {
    await c.kill();
    a.setLink('userspace/missed', '1');
    await everywhere('userspace/missed', '1', [a, b]);
    assert.equal((await c.marsd('status')).code, 3);
    await c.start();
    await everywhere('userspace/missed', '1');
    await c.stop();
    await until('the others hear that it is gone', () => a.link('actual-nodec/alive') === '0');
    b.setLink('userspace/missed', '2');
    await c.start();
    await everywhere('userspace/missed', '2');
    await until('it is back', () => a.link('actual-nodec/alive') === '1');
  });

  it('keep each host its own: nothing of the tree, the locks and the log of one lies with another', () => {
    for (const host of hosts.all) {
      assert.ok(fs.existsSync(host.at('mars/.trust/host.crt')));
      assert.ok(fs.existsSync(host.at('run/marsd.lock')));
      const actual = fs.readdirSync(host.at('mars')).filter((name) => name.startsWith('actual-'));
      assert.deepEqual(actual.sort(), ['actual-nodea', 'actual-nodeb', 'actual-nodec']);
    }
    assert.ok(!fs.existsSync('/mars/.trust') && !fs.existsSync('/run/mars/sys'), 'nothing outside of the sandbox');
  });

  /** Everything that is exchanged, but what changes in every round. */
  function treeText(host) {
    const lines = [];
    const walk = (dir) => {
      for (const entry of fs.readdirSync(host.at('mars', dir), { withFileTypes: true })) {
        const key = path.join(dir, entry.name);
        if (entry.name.startsWith('.') || /^(cache|defaults|local)-/.test(entry.name)) continue;
        if (/^actual-[^/]+\/(time|alive|read-stamp)$/.test(key)) continue;
        if (entry.isDirectory()) walk(key);
        else if (entry.isSymbolicLink()) lines.push(`${key} -> ${fs.readlinkSync(host.at('mars', key))}`);
      }
    };
    walk('');
    return lines.sort().join('\n');
  }
});
