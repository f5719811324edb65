// What the tree costs: per change, per idle second, per full scan, for growing numbers of resources (8 hosts, 100 logs each). The peer reads
// everything again for each change and every 5 s, as the original does. MARS_BENCH_TREE=10,100,1000 chooses the numbers of resources.
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { LamportClock, TreeStore, TreeWatch, paths, versionValue } from '@mars/mars-tree';
import { createPlatform, RealFiles } from '@mars/platform';
import { benchExchange } from './exchange-cost.mjs';
import { measure, writeResults } from './frame.mjs';

const SIZES = (process.env.MARS_BENCH_TREE ?? '10,100,1000').split(',').map(Number);
const HOSTS = 8;
/** Numbers per resource. Logs are files of one host; version links are of all hosts. */
const LOGS = Number(process.env.MARS_BENCH_TREE_LOGS ?? 100);
const CHANGES = 500;
const ROUNDS = 3;
/** The original's main loop (scan_interval_sec). */
const ORIGINAL_ROUND_S = 5;
const LEDS = [
  'is-attached',
  'is-primary',
  'if-on',
  'open-count',
  'is-replaying',
  'is-copying',
  'is-syncing',
  'replay-code',
];
const SWITCHES = ['attach', 'connect', 'allow-replay', 'sync'];

const hostName = (h) => `node${h}`;

/** A tree as a cluster of 8 hosts leaves it. @returns number of entries */
function build(files, root, resources) {
  let entries = 0;
  const link = (name, value) => {
    files.symlink(value, `${root}/${name}`);
    entries++;
  };
  const dir = (name) => files.makeDir(`${root}/${name}`);
  link(paths.uuid, 'node0_1795190987.123456789');
  dir('ips');
  for (let h = 0; h < HOSTS; h++) {
    link(paths.ip(hostName(h)), `10.0.0.${h}`);
    dir(`actual-${hostName(h)}`);
    link(paths.node(hostName(h), 'time'), '1795191001.250000000');
  }
  for (let r = 0; r < resources; r++) {
    const resource = `r${r}`;
    dir(`resource-${resource}`);
    link(paths.size(resource), '268435456');
    link(paths.primary(resource), hostName(0));
    for (let h = 0; h < HOSTS; h++) {
      const host = hostName(h);
      dir(`resource-${resource}/todo-${host}`);
      dir(`resource-${resource}/actual-${host}`);
      for (const name of SWITCHES) link(paths.todo(resource, host, name), '1');
      for (const name of LEDS) link(paths.actual(resource, host, name), '0');
      link(paths.data(resource, host), '/dev/vg00/lv-0');
      link(paths.device(resource, host), resource);
      link(paths.replay(resource, host), `log-${String(LOGS).padStart(9, '0')}-node0,0,0`);
    }
    let before = null;
    for (let n = 1; n <= LOGS; n++) {
      files.writeFileQuick(`${root}/${paths.log(resource, n, hostName(0))}`);
      entries++;
      before = versionValue(n, hostName(0), 4096, before);
      for (let h = 0; h < HOSTS; h++) link(paths.version(resource, n, hostName(h)), before);
    }
  }
  return entries;
}

/** CPU milliseconds of this process while `job` runs. */
async function cpuMs(job) {
  const before = process.cpuUsage();
  await job();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function benchSize(resources) {
  // Memory if there is room (a long version link takes a block on ext4), else the disk.
  const { bavail, bsize } = statfsSync('/dev/shm');
  const base = bavail * bsize > 8 * 2 ** 30 ? '/dev/shm' : tmpdir();
  const root = mkdtempSync(path.join(base, 'mars-tree-bench-'));
  const files = new RealFiles();
  const { closeSync, openSync } = await import('node:fs');
  files.writeFileQuick = (at) => closeSync(openSync(at, 'wx', 0o600));
  const platform = createPlatform({ ring: 'threads', arenaBytes: 1 << 20, poolObjects: 16, log: { level: 'silent' } });
  const rows = [];
  try {
    const entries = build(files, root, resources);
    console.log(`  ${resources} resources, ${HOSTS} hosts, ${LOGS} logs: ${entries} entries in ${base}`);
    const makeStore = () =>
      new TreeStore({ files, clock: new LamportClock(platform.loop), root, me: hostName(0), program: 'marsadm' });
    const name = (what) => `${what}, ${resources} resources`;
    rows.push(
      await measure({
        name: name('full scan'),
        unit: 'us/entry',
        better: 'lower',
        rounds: ROUNDS,
        contestants: { ours: async () => ((await cpuMs(() => makeStore().load())) * 1000) / entries },
      }),
    );
    globalThis.gc?.();
    const heapBefore = process.memoryUsage().heapUsed;
    const store = makeStore();
    store.load();
    globalThis.gc?.();
    const heap = process.memoryUsage().heapUsed - heapBefore;
    rows.push(
      await measure({
        name: name('full scan again, nothing changed'),
        unit: 'us/entry',
        better: 'lower',
        rounds: ROUNDS,
        contestants: { ours: async () => ((await cpuMs(() => store.refreshDirectory('', true))) * 1000) / entries },
      }),
    );
    const watch = new TreeWatch({ store, files, clock: platform.loop });
    const starting = await cpuMs(async () => {
      watch.start();
      while (watch.directories.watched < watch.directories.known) await platform.loop.sleep(5);
    });
    const { known } = watch.directories;
    console.log(
      `  ${known} directories watched in ${starting.toFixed(0)} ms CPU; snapshot ${(heap / entries).toFixed(0)} bytes/entry`,
    );
    let i = 0;
    const someSwitch = () => paths.todo(`r${i++ % resources}`, hostName(i % HOSTS), 'sync');
    const rescan = async () => {
      const changes = Math.max(1, Math.min(20, Math.floor(200_000 / entries)));
      return (await cpuMs(() => { for (let n = 0; n < changes; n++) store.refreshDirectory('', true); })) / changes; // prettier-ignore
    };
    rows.push(
      await measure({
        name: name('CPU of a change by somebody else, seen and compared'),
        unit: 'ms',
        better: 'lower',
        rounds: ROUNDS,
        contestants: {
          ours: () => changesByOthers(store, files, root, someSwitch, platform),
          'read everything again': rescan,
        },
      }),
      await measure({
        name: name('CPU of an own change'),
        unit: 'ms',
        better: 'lower',
        rounds: ROUNDS,
        contestants: {
          ours: async () =>
            (await cpuMs(() => { for (let n = 0; n < CHANGES; n++) store.write(someSwitch(), String(n & 1)); })) / CHANGES, // prettier-ignore
        },
      }),
      await measure({
        name: name('CPU of an idle second'),
        unit: 'ms',
        better: 'lower',
        rounds: ROUNDS,
        contestants: {
          ours: async () => (await cpuMs(() => platform.loop.sleep(4000))) / 4,
          'read everything again': async () => (await rescan()) / ORIGINAL_ROUND_S,
        },
      }),
    );
    watch.stop();
    const exchange = { root, files, platform, resources, entries, cpuMs };
    rows.push(...(await benchExchange({ ...exchange, count: 2 })));
    // Eight copies of a large tree would need more memory than a bench may take.
    if (resources <= 10) rows.push(...(await benchExchange({ ...exchange, count: HOSTS })));
    return rows;
  } finally {
    await platform.close();
    files.shutDown();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Another program replaces links; costs of its own writes are measured apart and taken off. */
async function changesByOthers(store, files, root, someSwitch, platform) {
  const replace = (at, value) => {
    const temporary = `${root}/${path.posix.dirname(at)}/.tmp.4711.x`;
    files.symlink(value, temporary);
    files.rename(temporary, `${root}/${at}`);
  };
  const names = Array.from({ length: CHANGES }, someSwitch);
  let seen = 0;
  const unsubscribe = store.subscribe((before, after) => (seen += before.changesTo(after).length));
  let own = 0;
  const all = await cpuMs(async () => {
    for (const [n, name] of names.entries()) {
      const started = performance.now();
      replace(name, String(n & 1));
      own += performance.now() - started;
      if (n % 10 === 9) await platform.loop.sleep(10);
    }
    while (new Set(names).size > seen) await platform.loop.sleep(5);
  });
  unsubscribe();
  return (all - own) / CHANGES;
}

export default async function bench() {
  const rows = [];
  for (const resources of SIZES) rows.push(...(await benchSize(resources)));
  const about = `The tree of ${HOSTS} hosts with ${LOGS} logs per resource: what a change, an idle second, a scan and the exchange between hosts cost (CPU of the process). "Read everything again" is one rescan per change, and one every ${ORIGINAL_ROUND_S} s when idle, as the original does.`;
  writeResults('tree', about, rows);
}
