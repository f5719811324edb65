// What it costs to keep the trees of several hosts alike; part of the bench of the tree. All hosts live in this process, each with a directory and
// a port of its own, so the CPU of the process divided by the hosts is that of one host.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { silentLogger } from '@mars/brick-core';
import { LamportClock, TreeExchange, TreeStore, formatStamp, paths } from '@mars/mars-tree';
import { RealRandom } from '@mars/platform';
import { PeerNet } from '@mars/wire';
import { measure } from './frame.mjs';

/** Changes per measurement; the pause between them is longer than the one between two pushes, so each travels by itself. */
const CHANGES = 40;
const PAUSE_MS = 70;
const ROUNDS = 3;
const IDLE_S = 6;
/** Main loop of the daemon: `time` and `alive` of each host. */
const ROUND_MS = 5_000;
/** Entries of a whole list that are really merged; the rest is reckoned. */
const SAMPLE = 5_000;

/** One host: a copy of the tree, its store, and its exchange. */
class Host {
  constructor(name, root, files, platform, ports) {
    const { loop: clock } = platform;
    const lamport = new LamportClock(clock);
    this.name = name;
    this.root = root;
    this.clock = clock;
    this.store = new TreeStore({ files, clock: lamport, root, me: name, program: 'marsadm' });
    this.store.load();
    const random = new RealRandom();
    this.net = new PeerNet({
      net: platform.secureNet,
      clock,
      random,
      log: silentLogger,
      stamps: { now: () => lamport.now(), seen: (ns) => lamport.advanceLazy(ns) },
      host: name,
      version: 'bench',
      identity: { kind: 'plain' },
      facts: { isMember: () => true, fingerprintOf: () => null, renewed() {} },
    });
    // The tree says where hosts would be; here they all are at home, and some are not there at all.
    const net = {
      serve: (...args) => this.net.serve(...args),
      link: (host, _address, ...rest) =>
        ports.has(host) ? this.net.link(host, { host: '127.0.0.1', port: ports.get(host) }, ...rest) : NO_LINK,
    };
    this.exchange = new TreeExchange({ store: this.store, files, clock, random, log: silentLogger, net, port: 7777 });
  }

  tick() {
    if (this.isStopped) return;
    this.store.batch(() => {
      this.store.write(paths.node(this.name, 'time'), formatStamp(this.store.clock.peek()));
      this.store.write(paths.node(this.name, 'alive'), '1');
    });
    this.clock.after(ROUND_MS, this, (self) => self.tick());
  }

  async stop() {
    this.isStopped = true;
    this.exchange.stop();
    await this.net.close();
  }
}

const NO_LINK = {
  status: { state: 'off', attempts: 0, certificateExpiresMs: null },
  start() {},
  stop() {},
  kick() {},
  setAddress() {},
};

/** @param count hosts that are really there @param cpuMs CPU of a job, ms */
export async function benchExchange({ root, files, platform, resources, entries, count, cpuMs }) {
  const base = mkdtempSync(path.join(path.dirname(root), 'mars-exchange-bench-'));
  const ports = new Map();
  const hosts = [];
  const sleep = (ms) => platform.loop.sleep(ms);
  try {
    for (let h = 0; h < count; h++) {
      const copy = path.join(base, `node${h}`);
      execFileSync('cp', ['-a', root, copy]);
      ports.set(`node${h}`, 0);
      hosts.push(new Host(`node${h}`, copy, files, platform, ports));
    }
    for (const { net, name } of hosts) ports.set(name, (await net.listen({ host: '127.0.0.1', port: 0 })).port);
    for (const host of hosts) {
      host.exchange.start();
      host.tick();
    }
    const isReady = () =>
      hosts.every(({ exchange }) => exchange.status().filter(({ state }) => state === 'in-sync').length === count - 1);
    while (!isReady()) await sleep(50);
    const [first, second] = hosts;
    let n = 0;
    const change = () => {
      const at = paths.todo(`r${n++ % resources}`, 'node1', 'sync');
      first.store.write(at, String(n & 1));
      const { stampNs } = first.store.snapshot.entry(at);
      return () => hosts.every(({ store }) => store.snapshot.stampNs(at) === stampNs);
    };
    const label = (what) => `${what}, ${count} hosts, ${resources} resources`;
    const changes = async () => {
      for (let i = 0; i < CHANGES; i++) {
        const isSeen = change();
        await sleep(PAUSE_MS);
        while (!isSeen()) await sleep(1);
      }
    };
    const pauses = async () => {
      for (let i = 0; i < CHANGES; i++) await sleep(PAUSE_MS);
    };
    const list = [];
    for (const { path: at, entry } of second.store.snapshot.walk()) {
      if (entry.kind === 'link') list.push({ path: at, value: entry.value, stampNs: entry.stampNs });
      if (list.length >= SAMPLE) break;
    }
    return [
      await measure({
        name: label('exchange: CPU per host of one change'),
        unit: 'ms',
        better: 'lower',
        rounds: ROUNDS,
        contestants: {
          ours: async () => Math.max(0, (await cpuMs(changes)) - (await cpuMs(pauses))) / CHANGES / count,
          'whole list merged': async () =>
            ((await cpuMs(() => void first.store.batch(() => list.forEach((fact) => first.store.merge(fact))))) *
              entries) /
            list.length,
        },
      }),
      await measure({
        name: label('exchange: time until a change is seen'),
        unit: 'ms',
        better: 'lower',
        rounds: ROUNDS,
        contestants: {
          ours: async () => {
            let totalMs = 0;
            for (let i = 0; i < 20; i++) {
              await sleep(PAUSE_MS);
              const startedMs = performance.now();
              const isSeen = change();
              while (!isSeen()) await sleep(0.2);
              totalMs += performance.now() - startedMs;
            }
            return totalMs / 20;
          },
        },
      }),
      await measure({
        name: label('exchange: CPU per host of an idle second'),
        unit: 'ms',
        better: 'lower',
        rounds: ROUNDS,
        contestants: { ours: async () => (await cpuMs(() => sleep(IDLE_S * 1000))) / IDLE_S / count },
      }),
    ];
  } finally {
    for (const host of hosts) await host.stop();
    rmSync(base, { recursive: true, force: true });
  }
}
