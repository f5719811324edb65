// Daemons that only exchange facts, in the seeded world.
import { NS_PER_SECOND, TreeExchange, formatStamp, paths } from '@mars/mars-tree';
import { ErrorCode, MarsError, silentLogger } from '@mars/brick-core';
import { simCredentials, simFingerprint } from '@mars/sim';
import { PeerNet } from '@mars/wire';
import { openStore } from './stores.kit.mjs';

export const PORT = 7777;

/** How often a daemon writes `time` and `alive`, and looks after tombstones, ms. */
const ROUND_MS = 5_000;

/** One life of a daemon: store, exchange, main loop. `mutate` may break it on purpose. */
export class SimDaemon {
  isRunning = true;

  constructor(
    host,
    { mutate = () => {}, mayDial = () => true, log = silentLogger, program = 'marsadm', ...options } = {},
  ) {
    this.host = host;
    this.store = openStore(host, { program });
    const { clock } = this.store;
    const dialed = [];
    const noted = (from, ip) => dialed.push(ip) > 0 && mayDial(from, ip);
    this.net = peerNetOf(host, { clock, facts: factsOf(this.store), mayDial: noted, log });
    /** Addresses to which a connection was tried. */
    this.dialed = dialed;
    this.exchange = new TreeExchange({
      store: this.store,
      files: host.files,
      clock: host.loop,
      random: host.random,
      log,
      net: this.net,
      port: PORT,
      notified: () => this.round(),
      ...options,
    });
    mutate(this);
  }

  async start() {
    this.exchange.start();
    await this.net.listen({ host: this.host.ip, port: PORT });
    this.tick();
  }

  tick() {
    if (!this.isRunning) return;
    this.round();
    this.host.loop.after(ROUND_MS, this, (self) => self.tick());
  }

  /** What the main loop of a daemon writes in each pass. */
  round() {
    const { store, host } = this;
    store.batch(() => {
      store.write(paths.node(host.name, 'time'), formatStamp(store.clock.peek()));
      store.write(paths.node(host.name, 'alive'), '1');
    });
    this.exchange.collect();
  }

  stop() {
    this.isRunning = false;
    this.exchange.stop();
    return this.net.close();
  }
}

function credentialsOf(name) {
  return simCredentials('the authority', name);
}

/** Who may come in, as the tree says. */
function factsOf(store) {
  return {
    isMember: (name) => store.snapshot.value(paths.ip(name)) !== null,
    fingerprintOf: (name) => store.snapshot.value(`userspace/tls-${name}`),
    renewed() {},
  };
}

/** A network in which some addresses cannot be reached from here. */
function behindNat(net, mayDial) {
  return {
    listen: (...args) => net.listen(...args),
    connect: (address, ...rest) =>
      mayDial(address.host)
        ? net.connect(address, ...rest)
        : Promise.reject(new MarsError(ErrorCode.SOCKET, `no way to ${address.host}`)),
  };
}

/** The network as one host sees it. */
export function peerNetOf(host, { clock, facts, mayDial = () => true, log = silentLogger }) {
  return new PeerNet({
    net: behindNat(host.secureNet, (ip) => mayDial(host.name, ip)),
    clock: host.loop,
    random: host.random,
    log,
    stamps: { now: () => clock.now(), seen: (ns) => clock.advanceLazy(ns) },
    host: host.name,
    version: 'test',
    identity: { kind: 'member', credentials: credentialsOf(host.name), successions: [] },
    facts,
  });
}

/** What the admission of a member leaves in a tree. */
export function admit(store, { name, ip }, stampNs) {
  store.merge({ path: paths.ip(name), value: ip, stampNs });
  store.merge({ path: `userspace/tls-${name}`, value: simFingerprint(credentialsOf(name)), stampNs });
}

/** Writes the links of a cluster that has been joined properly: everybody knows everybody. */
export function makeMembers(store, hosts, uuid = 'a_1700000000.000000000') {
  const stampNs = 1_600_000_000n * NS_PER_SECOND;
  store.batch(() => {
    store.merge({ path: 'uuid', value: uuid, stampNs });
    for (const host of hosts) admit(store, host, stampNs);
  });
}

/** What two hosts must agree on: every exchanged link but tombstones, as text. */
export function contentOf(store) {
  const lines = [];
  for (const { path, entry } of store.snapshot.walk()) {
    if (entry.kind !== 'link' || entry.isTombstone) continue;
    if (/^(cache-|probe-|backups-)|\/read-stamp$/.test(path)) continue;
    lines.push(`${path} -> ${entry.value} @ ${entry.stampNs}`);
  }
  return lines.join('\n');
}
