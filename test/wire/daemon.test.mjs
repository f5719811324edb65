// The network of the daemon over real TLS and real trees: join before the daemons run, a new authority, removal, rotation.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LamportClock, TOMBSTONE, TreeStore, paths } from '@mars/mars-tree';
import { createPlatform } from '@mars/platform';
import { TrustStore } from '@mars/wire';
import { openNetwork } from '../../packages/marsd/dist/daemon/cluster-network.js';
import { captureLog } from './cluster.kit.mjs';

const tlsPath = (host) => `userspace/tls-${host}`;

class Daemon {
  constructor(directory, host, ip, port) {
    this.host = host;
    this.ip = ip;
    this.settings = {
      host,
      ip,
      port,
      insecure: false,
      mars: path.join(directory, host),
      run: path.join(directory, 'run'),
    };
    mkdirSync(this.settings.mars, { mode: 0o700 });
    const log = captureLog();
    this.log = log;
    this.platform = createPlatform({ ring: 'threads', arenaBytes: 1 << 20, poolObjects: 16, log: { logger: { ...log, close() {} } } }); // prettier-ignore
    const { files, loop, random } = this.platform;
    this.trust = new TrustStore({ files, random, clock: loop, marsDir: this.settings.mars });
    this.lamport = new LamportClock(loop);
    this.store = new TreeStore({ files, clock: this.lamport, root: this.settings.mars, me: host, log });
    this.store.load();
  }

  start() {
    const { settings, store, lamport, platform, log } = this;
    this.network = openNetwork({ settings, store, lamport, platform, log, notified: () => {} });
    return this.network.start();
  }

  /** What marsadm writes. */
  put(name, value) {
    this.store.push({ path: name, value, stampNs: this.lamport.now() });
  }

  value(name) {
    return this.store.snapshot.value(name);
  }

  async stop() {
    await this.network?.stop();
    await this.platform.close();
  }
}

describe('the network of a daemon', function () {
  this.timeout(60_000);
  let directory;
  let daemons;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'mars-net-'));
    daemons = [];
  });
  afterEach(async () => {
    for (const daemon of daemons) await daemon.stop();
    rmSync(directory, { recursive: true });
  });

  /** Runs rounds of all daemons until something is so. */
  async function until(isSo) {
    while (!isSo()) {
      for (const { network } of daemons) await network?.round();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  function hosts(port, ...names) {
    daemons = names.map((name, i) => new Daemon(directory, name, `127.0.0.${i + 1}`, port));
    return daemons;
  }

  async function clusterOf(a, ...others) {
    await a.trust.create(a.host);
    a.put('uuid', 'nodea_1795190987.123456789');
    a.put(paths.ip(a.host), a.ip);
    for (const b of others) {
      b.trust.keepToken(a.trust.invite({ host: a.ip, port: a.settings.port }));
      b.put(paths.ip(b.host), b.ip);
    }
    for (const daemon of [...others, a]) await daemon.start();
    await until(() => others.every((b) => b.value('uuid') === a.value('uuid')));
  }

  let marks = 0;
  /** A value written at one host arrives at the others. */
  async function talks(from, ...to) {
    const name = `userspace/mark${++marks}`;
    from.put(name, 'x');
    await until(() => to.every((daemon) => daemon.value(name) === 'x'));
  }

  it('completes joins that were made before any daemon ran, and brings everybody together', async () => {
    const [a, b, c] = hosts(17_931, 'nodea', 'nodeb', 'nodec');
    await clusterOf(a, b, c);
    await talks(a, b, c);
    await talks(b, a, c);
    await talks(c, a, b);
    for (const { host, trust } of daemons)
      for (const other of daemons) assert.equal(other.value(tlsPath(host)), trust.read().fingerprintHex);
  });

  it('goes over to a new authority with fresh tokens, and the old certificates are worth nothing', async () => {
    const [a, b, c] = hosts(17_935, 'nodea', 'nodeb', 'nodec');
    await clusterOf(a, b, c);
    await talks(c, a, b);
    // Stamps of certificates have whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await a.trust.create('nodea');
    b.trust.keepToken(a.trust.invite({ host: a.ip, port: a.settings.port }));
    await until(() => b.trust.read().kind === 'member');
    await talks(a, b);
    await talks(b, a);
    const seenByC = c.value('userspace/mark3');
    assert.equal(seenByC, null, 'nodec has only an old certificate');
    c.trust.keepToken(a.trust.invite({ host: a.ip, port: a.settings.port }));
    await talks(a, c);
    await talks(c, a, b);
  });

  it('shuts out a host that was removed, and lets it in again by token', async () => {
    const [a, b] = hosts(17_939, 'nodea', 'nodeb');
    await clusterOf(a, b);
    await talks(b, a);
    a.put(paths.ip('nodeb'), TOMBSTONE);
    await until(() => a.log.records.some(({ reason }) => reason === 'no-member'));
    b.put('userspace/secret', 'x');
    await until(() => b.log.records.some(({ err }) => err?.details?.reason === 'no-member'));
    assert.equal(a.value('userspace/secret'), null);
    b.trust.keepToken(a.trust.invite({ host: a.ip, port: a.settings.port }));
    await until(() => a.value('userspace/secret') === 'x');
  });

  it('keeps its peers when certificates change', async () => {
    const [a, b] = hosts(17_943, 'nodea', 'nodeb');
    await clusterOf(a, b);
    for (const daemon of [b, a, b]) {
      assert.ok(await daemon.trust.renew({ force: true }));
      const { fingerprintHex } = daemon.trust.read();
      await until(() => daemons.every((each) => each.value(tlsPath(daemon.host)) === fingerprintHex));
      await talks(a, b);
      await talks(b, a);
    }
  });
});
