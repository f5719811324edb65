// Hosts of one cluster in one process: real TLS over loopback, real files, a tree that is two maps.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createPlatform } from '@mars/platform';
import { JoinService, PeerNet, TrustStore, defineStruct, redeemToken, t } from '@mars/wire';

export const NOTE = defineStruct('test.note', { text: t.str });
export const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** What the tree of one host says about members. */
export class Facts {
  ips = new Map();
  pins = new Map();

  isMember(host) {
    return this.ips.has(host);
  }

  fingerprintOf(host) {
    return this.pins.get(host) ?? null;
  }

  renewed(host, fingerprintHex) {
    this.pins.set(host, fingerprintHex);
  }

  /** For "nothing has changed". */
  get text() {
    return JSON.stringify([[...this.ips].sort(), [...this.pins].sort()]);
  }
}

/** Keeps what was logged. */
export function captureLog(records = []) {
  const log = Object.fromEntries(
    ['error', 'warn', 'info', 'debug'].map((level) => [
      level,
      (fields, message) => records.push({ level, message, ...fields }),
    ]),
  );
  return { ...log, child: () => captureLog(records), records };
}

/** One test's world; call `close` after it. */
export class Cluster {
  directory = mkdtempSync(path.join(tmpdir(), 'mars-wire-'));
  platform = createPlatform({
    ring: 'threads',
    arenaBytes: 1 << 20,
    poolObjects: 16,
    log: { logger: closable(captureLog()) },
  });
  hosts = [];

  /** A host without trust and without network; see `Host`. */
  add(name, options = {}) {
    const host = new Host(this, name, options);
    this.hosts.push(host);
    return host;
  }

  /** The first member; it listens. */
  async create(name, options) {
    const host = this.add(name, options);
    await host.store.create(name);
    return host.up();
  }

  /** A further member, joined by token; it listens. */
  async join(name, inviter, options) {
    const host = this.add(name, options);
    await host.join(inviter.invite());
    await host.up();
    for (const other of this.hosts) if (other.net) shareFacts(inviter, other);
    return host;
  }

  async close() {
    for (const { net } of this.hosts) await net?.close();
    await this.platform.close();
    rmSync(this.directory, { recursive: true });
  }
}

export class Host {
  facts = new Facts();
  log = captureLog();
  arrived = [];
  net = null;
  address = null;

  constructor(cluster, name, { days = 0, ...netOptions } = {}) {
    this.cluster = cluster;
    this.name = name;
    this.days = days;
    this.netOptions = netOptions;
    this.marsDir = path.join(cluster.directory, name);
    const { files, random } = cluster.platform;
    this.store = new TrustStore({ files, random, clock: this, marsDir: this.marsDir });
  }

  /** Wall clock of this host, off by `days`. */
  wallNs() {
    return this.cluster.platform.loop.wallNs() + BigInt(Math.round(this.days * 86_400)) * 1_000_000_000n;
  }

  get clock() {
    return this.cluster.platform.loop;
  }

  async up() {
    const state = this.store.read();
    const { platform } = this.cluster;
    this.net = new PeerNet({
      net: platform.secureNet,
      clock: this.clock,
      random: platform.random,
      log: this.log,
      stamps: { now: () => this.wallNs(), seen: () => {} },
      host: this.name,
      version: 'test',
      identity: state.kind === 'member' ? state.identity : { kind: 'plain' },
      facts: this.facts,
      ...this.netOptions,
    });
    this.net.serve('tree', (channel) => {
      this.arrived.push(channel);
      channel.on(NOTE, ({ text }) => channel.send(NOTE, { text: `${this.name} heard ${text}` }));
      channel.start();
    });
    if (state.kind === 'member') {
      this.admit(this.name, '127.0.0.1', state.fingerprintHex);
      this.joins = new JoinService({
        peers: this.net,
        store: this.store,
        facts: this.facts,
        clock: this.clock,
        log: this.log,
        host: this.name,
        uuid: () => 'uuid-of-the-test',
        admit: (host, ip, fingerprintHex) => this.admit(host, ip, fingerprintHex),
      });
    }
    this.address = await this.net.listen(LOOPBACK);
    return this;
  }

  admit(host, ip, fingerprintHex) {
    this.facts.ips.set(host, ip);
    this.facts.pins.set(host, fingerprintHex);
  }

  invite() {
    return this.store.invite(this.address);
  }

  async join(line) {
    this.store.keepToken(line);
    const joined = await this.redeem();
    this.admit(joined.inviter, joined.inviterAddress.host, joined.inviterFingerprintHex);
    return joined;
  }

  redeem() {
    const { net = this.cluster.platform.secureNet } = this.netOptions;
    const { store, clock, name: host } = this;
    return redeemToken({ net, clock, store, host, version: 'test', ip: null });
  }

  connect(other, purpose = 'tree', name = other.name) {
    return this.net.connect(name, other.address, purpose);
  }

  /** Says something and waits for the answer. */
  async talk(other, text = 'hello') {
    const channel = await this.connect(other);
    const answer = new Promise((resolve, reject) => {
      channel.on(NOTE, (note) => resolve(note.text));
      channel.onClose((error) => reject(error ?? new Error('closed')));
    });
    channel.start();
    channel.send(NOTE, { text });
    const said = await answer;
    channel.close();
    return said;
  }

  /** Refusals in the log: reason, who it said to be. */
  get refused() {
    return this.log.records
      .filter(({ message }) => message === 'connection refused')
      .map(({ reason, host }) => [reason, host]);
  }
}

/** What the tree would bring: everything that one knows is known to the other. */
export function shareFacts(from, to) {
  for (const [host, ip] of from.facts.ips) to.facts.ips.set(host, ip);
  for (const [host, pin] of from.facts.pins) to.facts.pins.set(host, pin);
}

export function errorOf(promise) {
  return promise.then(
    () => {
      throw new Error('nothing was thrown');
    },
    (error) => error,
  );
}

/** Until something is so; the test's own time limit is the end. */
export async function until(isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function closable(log) {
  return { ...log, close: () => {} };
}
