// Three real hosts in namespaces: how soon a change is seen elsewhere, after how long a cut network is forgotten, and what daemons cost.
// Goals of issue 5: 0.2 s (median) on an idle link, 2 s after a cut; 5 ms of CPU per change and host with 1,000 resources; idle below 1 % of
// a core. MARS_BENCH_EXCHANGE=latency,heal,idle,change chooses; MARS_BENCH_RESOURCES=1000. Needs root.
import fs from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Hosts, sleep, until, whyNoHosts } from '../test/host/hosts.mjs';
import { median, summarize, writeResults } from './frame.mjs';

const PARTS = (process.env.MARS_BENCH_EXCHANGE ?? 'latency,heal,idle,change').split(',');
const RESOURCES = Number(process.env.MARS_BENCH_RESOURCES ?? 1000);
const CHANGES = 100;
const ROUNDS = 3;
const CUT_S = Number(process.env.MARS_BENCH_CUT_S ?? 3);
const IDLE_S = 10;

/** CPU time of a process with all its threads, ms; to the nanosecond, unlike /proc/PID/stat. */
function cpuMs(pid) {
  const tasks = fs.readdirSync(`/proc/${pid}/task`);
  return (
    tasks.reduce(
      (sum, task) => sum + Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
      0,
    ) / 1e6
  );
}

/** Waits for a link without leaving the CPU for long. */
async function seen(host, key, value) {
  while (host.link(key) !== value) await sleep(1);
}

/** From the moment the link stands on one host to the moment it stands on the other two, ms. */
async function latency(hosts) {
  const [from, ...others] = hosts.all;
  const times = [];
  for (let i = 0; i < CHANGES; i++) {
    const started = performance.now();
    from.setLink('userspace/bench', `value-${i}-${started}`);
    await Promise.all(others.map((host) => seen(host, 'userspace/bench', `value-${i}-${started}`)));
    times.push(performance.now() - started);
    await sleep(20);
  }
  return median(times);
}

/** From the moment that packets pass again to the moment that both sides have what the other wrote meanwhile, ms. */
async function healing(hosts, round) {
  const [a, b, c] = hosts.all;
  await hosts.cut(['nodea'], ['nodeb', 'nodec']);
  a.setLink('userspace/left', `left-${round}`);
  b.setLink('userspace/right', `right-${round}`);
  await sleep(CUT_S * 1000);
  await hosts.heal();
  const started = performance.now();
  await Promise.all([
    seen(b, 'userspace/left', `left-${round}`),
    seen(c, 'userspace/left', `left-${round}`),
    seen(a, 'userspace/right', `right-${round}`),
  ]);
  return performance.now() - started;
}

/** Share of one core that a daemon takes when nothing happens, %. */
async function idle(hosts) {
  const pids = hosts.all.map((host) => host.daemonPid());
  const before = pids.map(cpuMs);
  await sleep(IDLE_S * 1000);
  const shares = pids.map((pid, i) => ((cpuMs(pid) - before[i]) / (IDLE_S * 1000)) * 100);
  return median(shares);
}

/** CPU of one daemon for one change of one host, in a tree of many resources, ms; the idle cost of the same time is taken off. */
async function change(hosts, idlePercent) {
  const pids = hosts.all.map((host) => host.daemonPid());
  const started = performance.now();
  const before = pids.map(cpuMs);
  for (let i = 0; i < CHANGES; i++) {
    const host = hosts.all[i % 3];
    host.setLink(`resource-r${i}/todo-${host.name}/sync`, String(performance.now()).replace('.', ''));
    await sleep(20);
  }
  await sleep(1000);
  const elapsedMs = performance.now() - started;
  const costs = pids.map((pid, i) => cpuMs(pid) - before[i] - (elapsedMs * idlePercent) / 100);
  return Math.max(...costs) / CHANGES;
}

/** Resources as marsadm leaves them, on one host; the others get them by exchange. */
async function addResources(hosts) {
  const [first] = hosts.all;
  for (let r = 0; r < RESOURCES; r++) {
    const at = `resource-r${r}`;
    first.setLink(`${at}/size`, '268435456');
    first.setLink(`${at}/maxnr`, '1');
    for (const { name } of hosts.all) {
      for (const key of ['attach', 'connect', 'allow-replay', 'sync']) first.setLink(`${at}/todo-${name}/${key}`, '0');
      for (const key of ['is-attached', 'is-primary', 'if-on', 'open-count'])
        first.setLink(`${at}/actual-${name}/${key}`, '0');
    }
  }
  const last = `resource-r${RESOURCES - 1}/actual-${hosts.all.at(-1).name}/open-count`;
  await until('all hosts have all resources', () => hosts.all.every((host) => host.link(last) === '0'), 120_000);
  await sleep(5000);
}

async function rounds(name, unit, rounds, measureOnce) {
  const runs = [];
  for (let i = 0; i < rounds; i++) {
    runs.push({ ours: await measureOnce(i) });
    console.log(`  ${name}  round ${i + 1}/${rounds}: ${runs.at(-1).ours.toPrecision(3)} ${unit}`);
  }
  return summarize({ name, unit, better: 'lower', runs });
}

export default async function bench() {
  const why = whyNoHosts();
  if (why !== '') return console.log(`  skipped: ${why}`);
  const rows = [];
  const hosts = await Hosts.make(['nodea', 'nodeb', 'nodec']);
  const wants = (part) => PARTS.includes(part);
  try {
    await hosts.makeCluster();
    await sleep(3000);
    if (wants('latency')) rows.push(await rounds('seen on both other hosts after', 'ms', ROUNDS, () => latency(hosts)));
    if (wants('heal'))
      rows.push(await rounds(`in step after a cut of ${CUT_S} s`, 'ms', ROUNDS, (i) => healing(hosts, i)));
    if (wants('idle')) rows.push(await rounds('idle daemon, empty tree', '% of a core', 1, () => idle(hosts)));
    if (wants('change')) {
      await addResources(hosts);
      const idlePercent = await idle(hosts);
      rows.push(
        summarize({
          name: `idle daemon, ${RESOURCES} resources`,
          unit: '% of a core',
          better: 'lower',
          runs: [{ ours: idlePercent }],
        }),
      );
      rows.push(
        await rounds(`CPU per change and host, ${RESOURCES} resources`, 'ms', ROUNDS, () => change(hosts, idlePercent)),
      );
    }
  } finally {
    await hosts.close();
  }
  return writeResults(
    'exchange',
    'Three hosts in network, mount and PID namespaces of one machine, TLS, daemons as an operator starts them. `npm run bench -- exchange`, as root.',
    rows,
  );
}
