// Two daemons' exchanges on this machine: real links, real sockets, plain text.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@mars/brick-core';
import { LamportClock, TreeExchange, TreeStore, TreeWatch, paths } from '@mars/mars-tree';
import { RealFiles, createPlatform } from '@mars/platform';
import { PeerNet } from '@mars/wire';
import { makeMembers } from './exchange.kit.mjs';

const HOSTS = [
  { name: 'a', ip: '127.0.0.1' },
  { name: 'b', ip: '127.0.0.2' },
];

describe('the exchange of facts on this machine', () => {
  let base;
  let platform;
  let files;
  let daemons;
  const sleep = (ms) => platform.loop.sleep(ms);

  beforeEach(async () => {
    base = mkdtempSync(path.join(tmpdir(), 'mars-exchange-'));
    platform = createPlatform({ ring: 'threads', arenaBytes: 1 << 20, poolObjects: 16, log: { level: 'silent' } });
    files = new RealFiles();
    daemons = HOSTS.map((host) => compose(host));
    const port = await listen();
    for (const daemon of daemons) startOn(daemon, port);
  });

  afterEach(async () => {
    for (const { exchange, net, watch } of daemons) {
      exchange.stop();
      watch.stop();
      await net.close();
    }
    await platform.close();
    files.shutDown();
    rmSync(base, { recursive: true, force: true });
  });

  function compose({ name, ip }) {
    const root = path.join(base, name);
    mkdirSync(root);
    const clock = platform.loop;
    const lamport = new LamportClock(clock);
    const store = new TreeStore({ files, clock: lamport, root, me: name });
    store.load();
    makeMembers(store, HOSTS);
    const net = new PeerNet({
      net: platform.secureNet,
      clock,
      random: platform.random,
      log: silentLogger,
      stamps: { now: () => lamport.now(), seen: (ns) => lamport.advanceLazy(ns) },
      host: name,
      version: 'test',
      identity: { kind: 'plain' },
      facts: { isMember: () => true, fingerprintOf: () => null, renewed() {} },
    });
    return { name, ip, root, store, net };
  }

  /** The same free port on both addresses: a cluster has one. */
  async function listen() {
    for (let attempt = 0; ; attempt++) {
      const { port } = await daemons[0].net.listen({ host: daemons[0].ip, port: 0 });
      try {
        await daemons[1].net.listen({ host: daemons[1].ip, port });
        return port;
      } catch (error) {
        if (attempt === 5) throw error;
      }
    }
  }

  function startOn(daemon, port) {
    const { store, net } = daemon;
    const { loop: clock, random } = platform;
    daemon.exchange = new TreeExchange({ store, files, clock, random, log: silentLogger, net, port });
    daemon.watch = new TreeWatch({ store, files, clock });
    daemon.watch.start();
    daemon.exchange.start();
  }

  it('brings a link that somebody makes by hand to the other host, and its deletion, with their stamps', async () => {
    const [a, b] = daemons;
    while (!daemons.every(({ exchange }) => exchange.status()[0].state === 'in-sync')) await sleep(5);
    while (a.watch.directories.watched < a.watch.directories.known) await sleep(1);
    mkdirSync(path.join(a.root, 'resource-r'));
    execFileSync('ln', ['-s', '4096', path.join(a.root, 'resource-r/size')]);
    while (b.store.snapshot.value(paths.size('r')) !== '4096') await sleep(2);
    assert.equal(files.readLink(path.join(b.root, 'resource-r/size')), '4096');
    const stampOf = ({ root }) => files.lstat(path.join(root, 'resource-r/size')).mtimeNs;
    assert.equal(stampOf(b), stampOf(a));
    execFileSync('ln', ['-sfn', '.deleted', path.join(b.root, 'resource-r/size')]);
    while (a.store.snapshot.value(paths.size('r')) !== null) await sleep(2);
    assert.equal(files.readLink(path.join(a.root, 'resource-r/size')), '.deleted');
    const [status] = a.exchange.status();
    assert.ok(status.sentBytes > 0 && status.receivedBytes > 0 && status.errors === 0);
  });
});
