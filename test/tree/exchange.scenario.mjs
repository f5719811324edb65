// A cluster of up to eight hosts that exchange facts while everything goes wrong: `npm run sim -- --scenario tree-exchange --seed 7`.
import assert from 'node:assert/strict';
import { NS_PER_SECOND, TOMBSTONE, paths } from '@mars/mars-tree';
import { defineScenario } from '@mars/sim';
import { SimDaemon, admit, makeMembers } from './exchange.kit.mjs';
import { ExchangeJudge } from './exchange.judge.mjs';

const NAMES = 'abcdefgh';
const DAY_MS = 86_400_000;
/** Clocks are wrong by up to so much in either direction, and stay so when they jump. */
const MAX_SKEW_MS = 2 * DAY_MS;
/** Keys that everybody writes. */
const SHARED = [
  'resource-r/primary',
  'resource-r/size',
  'userspace/x',
  'userspace/y',
  'resource-s/todo-a/attach',
  'defaults/z',
];

/** After the last fault: dead connections are noticed within 20 s, opened anew within 10 s, compared within some round trips; twice, through a third host. */
const HEAL_MS = 60_000;
/** Until every tombstone may have gone: a comparison, a minute, and a pass of the collection; twice. */
const COLLECT_MS = 200_000;

/** Everything that happens to one cluster; `mutate` breaks a daemon on purpose, to see whether the judge notices. */
export async function playExchange(world, { mutate = () => {} } = {}) {
  const cluster = new Cluster(world, mutate);
  await cluster.found();
  const { random } = world;
  const steps = 40 + random.int(60);
  for (let i = 0; i < steps; i++) {
    cluster.act();
    await world.advance(pauseMs(random));
    cluster.judge.look();
  }
  cluster.heal();
  await world.advance(HEAL_MS);
  cluster.judge.look();
  cluster.judge.converged('after healing');
  // The long wait costs more than all before it.
  if (random.int(3) === 0) {
    const deleted = cluster.judge.deletedEverywhere();
    await cluster.watchFor(COLLECT_MS);
    cluster.judge.converged('after the collection of tombstones');
    // Hosts that reach each other only through a third one never confirm anything to each other.
    if (cluster.behindNat.size < 2) cluster.judge.collected(deleted);
  }
  cluster.stop();
}

/** Mostly moments, sometimes long enough for a time-out, a commit of the journal, or a collection. */
function pauseMs(random) {
  const kind = random.int(20);
  if (kind === 0) return random.float() * 70_000;
  if (kind < 4) return random.float() * 8_000;
  return random.float() * (kind < 10 ? 20 : 400);
}

class Cluster {
  constructor(world, mutate) {
    this.world = world;
    this.random = world.random;
    this.mutate = mutate;
    this.size = 2 + this.random.int(7);
    this.daemons = new Map();
    this.behindNat = new Set();
    this.judge = new ExchangeJudge(this.daemons);
    this.own = 0;
  }

  /** Half of the clusters are complete from the beginning, the others are joined host by host. */
  async found() {
    const { world, random } = this;
    for (let i = 0; i < this.size; i++) world.addHost(NAMES[i]);
    const isComplete = random.int(2) === 0;
    this.spread();
    for (const host of world.hosts) {
      host.clock.jumpMs(skew(random));
      this.skewOf(host).ms = 0;
      if (random.int(6) === 0 && host.index > 0) this.behindNat.add(host.ip);
      host.files.makeDir('/mars');
      await world.drive(host.files.syncDir('/'));
      const daemon = this.boot(host, (store) =>
        isComplete ? makeMembers(store, world.hosts) : this.join(store, host),
      );
      await world.drive(daemon.store.sync(['uuid', 'ips/x', 'userspace/x']));
      // A member is admitted durably, before it is told so.
      await world.drive(this.daemons.get(world.hosts[0].name).store.sync(['ips/x', 'userspace/x']));
    }
  }

  /** Some hosts are far away: then a comparison takes seconds, and much happens meanwhile. */
  spread() {
    const { world, random } = this;
    for (const one of world.hosts) {
      for (const other of world.hosts) {
        if (one.index >= other.index || random.int(4) > 0) continue;
        world.net.slow(one.name, other.name, { latency: { minUs: 20_000, maxUs: 20_000 + random.int(300_000) } });
      }
    }
  }

  /** As join-cluster leaves it: preliminary links, with a stamp that any other beats. Source: symlink-tree.md 3.9 */
  join(store, host) {
    const first = this.world.hosts[0];
    const isFirst = host === first;
    const stampNs = isFirst ? 1_600_000_000n * NS_PER_SECOND : NS_PER_SECOND;
    store.merge({ path: 'uuid', value: isFirst ? 'a_1600000000.000000000' : '(any)', stampNs });
    admit(store, host, stampNs);
    if (isFirst) return;
    admit(store, first, stampNs);
    // Redeeming the token tells the first host who comes.
    admit(this.daemons.get(first.name).store, host, 2n * NS_PER_SECOND);
  }

  boot(host, prepare = () => {}) {
    const daemon = new SimDaemon(host, {
      mutate: this.mutate,
      // Two hosts behind translators of addresses can reach each other only through others.
      mayDial: (from, ip) => !this.behindNat.has(ip),
    });
    prepare(daemon.store);
    this.daemons.set(host.name, daemon);
    this.judge.born(daemon);
    host.run(() => daemon.start());
    return daemon;
  }

  act() {
    const { random, world } = this;
    const up = world.hosts.filter((host) => host.isUp);
    const host = up[random.int(up.length)];
    const other = world.hosts[random.int(world.hosts.length)];
    const kind = random.int(100);
    if (host === undefined) return this.restart();
    const daemon = this.daemons.get(host.name);
    if (kind < 30) this.write(daemon, SHARED[random.int(SHARED.length)]);
    else if (kind < 42) this.writeOwn(daemon);
    else if (kind < 56) this.remove(daemon);
    else if (kind < 60) this.writeAtOnce();
    else if (kind < 63) this.burst(daemon);
    else if (kind < 74) this.damage(host, other);
    else if (kind < 80) world.net.healAll();
    else if (kind < 86) this.crash(host);
    else if (kind < 93) this.restart();
    else if (kind < 97) this.jump(host);
    else daemon.exchange.compare({ fully: random.int(2) === 0 });
  }

  write({ store }, path) {
    store.write(path, this.valueFor(path));
    this.judge.wrote(store.me, path);
    // Whoever writes links triggers the daemon.
    if (this.random.int(2) === 0) this.daemons.get(store.me).round();
  }

  valueFor(path) {
    if (path.endsWith('/primary')) return NAMES[this.random.int(8)];
    return String(this.random.int(path.endsWith('/attach') ? 2 : 1000));
  }

  /** What only this host writes; `time` and `alive` promise it. */
  writeOwn({ store }) {
    const name = ['emergency', 'rest-space', 'total-space'][this.random.int(3)];
    store.write(paths.node(store.me, name), String(++this.own));
    this.judge.wrote(store.me, paths.node(store.me, name));
    if (this.random.int(2) === 0) this.daemons.get(store.me).round();
  }

  remove({ store }) {
    const path = SHARED[this.random.int(SHARED.length)];
    if (store.delete(path) === 'written') this.judge.wrote(store.me, path);
  }

  /** Two hosts write the same key with the same stamp, as marsadm does within one second while no daemon runs. */
  writeAtOnce() {
    const path = SHARED[this.random.int(SHARED.length)];
    const up = [...this.daemons.values()].filter(({ host }) => host.isUp);
    const stampNs = up.reduce((max, { store }) => (store.clock.peek() > max ? store.clock.peek() : max), 0n) + 1_000n;
    for (const { store } of up) {
      if (this.random.int(2) === 0) continue;
      const value = this.random.int(4) === 0 ? TOMBSTONE : this.valueFor(path);
      store.merge({ path, value, stampNs });
      this.judge.wrote(store.me, path);
    }
  }

  /** Enough names in one directory that it is compared by buckets. */
  burst({ store }) {
    const from = this.random.int(100);
    store.batch(() => {
      for (let i = from; i < from + 80; i++) {
        const path = `resource-t/version-${String(i).padStart(9, '0')}-a`;
        if (this.random.int(3) === 0) store.delete(path);
        else store.write(path, `${'0'.repeat(32)},log-${String(i).padStart(9, '0')}-a,${this.random.int(100)}:`);
      }
    });
  }

  damage(one, other) {
    const { net } = this.world;
    if (one === other) return;
    const kind = this.random.int(6);
    if (kind === 0) for (const host of this.world.hosts) if (host !== one) net.cut(one.name, host.name);
    if (kind === 1) net.cut(one.name, other.name, { oneWay: true });
    if (kind === 2 || kind === 3) net.cut(one.name, other.name);
    if (kind === 4) net.reset(one.name, other.name);
    if (kind === 5) net.stall(one.name, other.name, this.random.float() * 3_000);
  }

  crash(host) {
    this.judge.died(this.daemons.get(host.name));
    host.crash(this.random.int(4) === 0 ? 'process' : 'power');
    if (this.random.int(3) === 0) this.jump(host);
  }

  restart() {
    const down = this.world.hosts.filter((host) => !host.isUp);
    if (down.length > 0) this.start(down[this.random.int(down.length)]);
  }

  start(host) {
    host.restart();
    this.boot(host);
  }

  jump(host) {
    const state = this.skewOf(host);
    const toMs = skew(this.random) / 2;
    host.clock.jumpMs(toMs - state.ms);
    state.ms = toMs;
  }

  skewOf(host) {
    this.skews ??= new Map();
    if (!this.skews.has(host.name)) this.skews.set(host.name, { ms: 0 });
    return this.skews.get(host.name);
  }

  heal() {
    for (const host of this.world.hosts) if (!host.isUp) this.start(host);
    this.world.net.healAll();
  }

  async watchFor(ms) {
    for (let passed = 0; passed < ms; passed += 10_000) {
      await this.world.advance(10_000);
      this.judge.look();
    }
  }

  stop() {
    for (const { host, ...daemon } of this.daemons.values()) assert.ok(host.isUp, daemon);
    for (const daemon of this.daemons.values()) daemon.stop();
  }
}

function skew(random) {
  return (random.float() * 2 - 1) * (random.int(2) === 0 ? MAX_SKEW_MS : 2_000);
}

export const treeExchange = defineScenario(
  'tree-exchange',
  'trees of up to eight hosts end alike after partitions, crashes and wrong clocks, and nothing deleted comes back',
  { hosts: 0, seeds: 50 },
  (world) => playExchange(world),
);
