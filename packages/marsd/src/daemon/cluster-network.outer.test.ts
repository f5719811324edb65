import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createLogger, createPlatform, type Platform } from '@mars/platform';
import { TrustStore } from '@mars/wire';
import { openNetwork } from './cluster-network.js';
import { Daemon } from './daemon.js';
import { resolveSettings } from './settings.js';

/** Far above what anything here takes: it only ends what hangs. */
const GIVE_UP_MS = 15_000;

const PORT = 17_940;
const UUID = 'nodea_1795190987.123456789';

/** Two hosts in this process, with real sockets on two addresses of the loopback: no root needed. The whole thing with namespaces: test/host. */
describe('the network of daemons', function () {
  this.timeout(60_000);
  let dir = '';
  const hosts: TestHost[] = [];

  class TestHost {
    readonly platform: Platform;
    readonly trust: TrustStore;
    readonly said: string[] = [];
    daemon: Daemon | null = null;

    constructor(
      readonly name: string,
      readonly ip: string,
    ) {
      const logger = createLogger({ level: 'debug', destination: { write: (line) => this.said.push(line) } });
      this.platform = createPlatform({ ring: 'threads', arenaBytes: 65_536, poolObjects: 1, log: { logger } });
      mkdirSync(join(dir, name, 'mars'), { recursive: true, mode: 0o700 });
      const { files, loop, random } = this.platform;
      this.trust = new TrustStore({ files, clock: loop, random, marsDir: join(dir, name, 'mars') });
      hosts.push(this);
    }

    async start(insecure = false): Promise<void> {
      const base = join(dir, this.name);
      const given = { mars: join(base, 'mars'), run: join(base, 'run'), host: this.name, ip: this.ip, port: PORT };
      const settings = resolveSettings(
        { ...given, insecure, mountpointCheck: false, controlFiles: 'plain' },
        {},
        {},
        'x',
      );
      const { platform } = this;
      this.daemon = new Daemon({
        settings,
        pid: process.pid,
        files: platform.files,
        clock: platform.loop,
        log: platform.log,
        machine: { isRoot: false, isKernelModuleLoaded: () => false, isMountPoint: () => true },
        lockTree: () => {},
        makeNetwork: (parts) => openNetwork({ ...parts, settings, platform, log: platform.log }),
      });
      await this.daemon.start();
    }

    async close(): Promise<void> {
      await this.daemon?.stop();
      await this.platform.close();
    }

    link(key: string): string | null {
      try {
        return readlinkSync(join(dir, this.name, 'mars', key));
      } catch {
        return null;
      }
    }

    setLink(key: string, value: string): void {
      const target = join(dir, this.name, 'mars', key);
      mkdirSync(dirname(target), { recursive: true });
      symlinkSync(value, `${target}.new`);
      renameSync(`${target}.new`, target);
    }

    get network(): string {
      return this.daemon!.status().network;
    }

    round(): Promise<void> {
      return this.daemon!.rounds.next();
    }
  }

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'marsd-net-'));
    hosts.length = 0;
  });
  afterEach(async () => {
    for (const host of hosts) await host.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function until(what: () => boolean): Promise<void> {
    for (const end = performance.now() + GIVE_UP_MS; !what();) {
      assert.ok(performance.now() < end, `not within ${GIVE_UP_MS / 1000} s: ${String(what)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** The creator of a cluster. */
  async function creator(): Promise<TestHost> {
    const a = new TestHost('nodea', '127.0.0.1');
    a.setLink('ips/ip-nodea', a.ip);
    a.setLink('uuid', UUID);
    await a.trust.create('nodea');
    await a.start();
    return a;
  }

  async function member(a: TestHost): Promise<TestHost> {
    const b = new TestHost('nodeb', '127.0.0.2');
    b.trust.keepToken(a.trust.invite({ host: a.ip, port: PORT }));
    await b.start();
    await until(() => b.link('uuid') === UUID && a.link('ips/ip-nodeb') === b.ip);
    return b;
  }

  it('takes a host in that has a token: certificates, addresses and the tree come by themselves', async () => {
    const a = await creator();
    assert.equal(a.network, `TLS on 127.0.0.1:${PORT}`);
    const b = await member(a);
    await until(() => b.network === `TLS on 127.0.0.2:${PORT}`);
    const state = b.trust.read();
    assert.equal(state.kind === 'member' && state.host, 'nodeb');
    for (const host of ['nodea', 'nodeb'])
      await until(() => a.link(`userspace/tls-${host}`) === b.link(`userspace/tls-${host}`));
    b.setLink('userspace/flag', 'on');
    await until(() => a.link('userspace/flag') === 'on');
  });

  it('shuts a member out as soon as its address is a tombstone', async () => {
    const a = await creator();
    const b = await member(a);
    a.setLink('ips/ip-nodeb', '.deleted');
    await until(() => a.said.some((line) => line.includes('no-member')));
    b.setLink('userspace/late', '1');
    await b.round();
    await until(() => b.daemon!.files.get('peers')!.read!().includes('PEER_REFUSED'));
    assert.equal(a.link('userspace/late'), null);
  });

  it('opens and closes ports as the files of trust come and go, without a restart', async () => {
    const a = new TestHost('nodea', '127.0.0.1');
    a.setLink('ips/ip-nodea', a.ip);
    await a.start();
    assert.match(a.network, /^no port is open/);
    await a.trust.create('nodea');
    await a.round();
    assert.match(a.network, /^TLS on/);
    const fingerprint = a.link('userspace/tls-nodea');
    assert.match(fingerprint!, /^[0-9a-f]{64}$/);
    await a.trust.renew({ force: true });
    await a.round();
    assert.notEqual(a.link('userspace/tls-nodea'), fingerprint, 'the own new certificate is made known');
    a.trust.remove();
    await a.round();
    assert.match(a.network, /^no port is open/);
  });

  it('goes on without a port that somebody else has, and takes it when it is free', async () => {
    const other = new TestHost('other', '127.0.0.1');
    await other.start(true);
    const a = new TestHost('nodea', '127.0.0.1');
    await a.start(true);
    assert.match(a.network, /no port could be opened/);
    await other.daemon!.stop();
    await until(() => (void a.daemon!.rounds.request(), /^plain text, insecure on/.test(a.network)));
  });

  it('uses no trust that is damaged, and says so', async () => {
    const a = await creator();
    await a.daemon!.stop();
    symlinkSync('/nowhere', join(dir, 'nodea/mars/.trust/x'));
    rmSync(join(dir, 'nodea/mars/.trust/host.key'));
    await a.start();
    assert.ok(a.said.some((line) => line.includes('the files of trust cannot be used')));
    assert.doesNotMatch(a.network, / on 127/);
  });
});
