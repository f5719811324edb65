// Daemons that only exchange facts, in the seeded world.
import { NS_PER_SECOND, TreeExchange, formatStamp, paths } from '@mars/mars-tree';
import { silentLogger } from '@mars/brick-core';
import { openStore } from './stores.kit.mjs';
import { LinePeerNet } from './line-net.kit.mjs';

export const PORT = 7777;

/** How often a daemon writes `time` and `alive`, and looks after tombstones, ms. */
const ROUND_MS = 5_000;

/** One life of a daemon: store, exchange, main loop. `mutate` may break it on purpose. */
export class SimDaemon {
  isRunning = true;

  constructor(host, { mutate = () => {}, mayDial = () => true, log = silentLogger, ...options } = {}) {
    this.host = host;
    this.store = openStore(host, { program: 'marsadm' });
    const { clock } = this.store;
    this.net = new LinePeerNet({
      host,
      mayDial,
      stamps: { now: () => clock.now(), seen: (ns) => clock.advanceLazy(ns) },
    });
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
    this.net.close();
  }
}

/** Writes the links of a cluster that has been joined properly: everybody knows everybody. */
export function makeMembers(store, hosts, uuid = 'a_1700000000.000000000') {
  const stampNs = 1_600_000_000n * NS_PER_SECOND;
  store.batch(() => {
    store.merge({ path: 'uuid', value: uuid, stampNs });
    for (const { name, ip } of hosts) store.merge({ path: paths.ip(name), value: ip, stampNs });
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
