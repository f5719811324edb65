// Several hosts on one machine: each has network, mount, UTS and PID namespaces of its own, its own tree, and one link to a common switch.
// Nothing of them can be seen outside, and everything goes when the first process of each namespace ends.
//
//   nodea ── eth0 10.77.0.1 ──┐
//   nodeb ── eth0 10.77.0.2 ──┼── bridge in a namespace of its own
//   nodec ── eth0 10.77.0.3 ──┘
//
//   const hosts = await Hosts.make(['nodea', 'nodeb', 'nodec']);
//   await hosts.get('nodea').marsd('start');
//   await hosts.cut(['nodea'], ['nodeb', 'nodec']);        // silently: packets are dropped, nobody is told
//   await hosts.close();
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const MARSD = path.join(root, 'packages/marsd/dist/daemon/main.js');
const MARSADM = path.join(root, 'packages/marsadm/dist/main.js');
const NETWORK = '10.77.0';
/** Packets from and to the hosts of this set are dropped. */
const FILTER = `
table inet cut {
  set gone {
    type ipv4_addr
  }
  chain in {
    type filter hook input priority 0
    ip saddr @gone drop
  }
  chain out {
    type filter hook output priority 0
    ip daddr @gone drop
  }
}
`;
/** Any command of a test, ms: far above what it takes, so that it only ends what hangs. */
const COMMAND_TIMEOUT_MS = 60_000;
/** 2 GiB are enough for a tree (decided.md); it is memory, so it is only taken as it is used. */
const MARS_SIZE = '2G';

/** Why there can be no hosts here; empty when there can. */
export function whyNoHosts() {
  if (process.getuid() !== 0) return 'hosts in namespaces need root';
  for (const [program, debian] of [
    ['unshare', 'util-linux'],
    ['nsenter', 'util-linux'],
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
  ]) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
      return `${program} is missing (Debian: ${debian})`;
  }
  const script =
    'ip link add v0 type veth peer name v1 && ip link add br0 type bridge && nft add table inet t && mount -t tmpfs none /mnt';
  const probe = spawnSync(
    'unshare',
    ['--net', '--mount', '--uts', '--pid', '--fork', '--kill-child', 'sh', '-c', script],
    { encoding: 'utf8' },
  );
  return probe.status === 0
    ? ''
    : `this kernel or container permits no namespaces: ${probe.stderr.trim().split('\n').at(-1)}`;
}

/** Resolves when `what` answers something true; fails with `why` after the time that any honest machine needs. */
export async function until(why, what, timeoutMs = COMMAND_TIMEOUT_MS) {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const result = await what();
    if (result) return result;
    if (performance.now() > end) assert.fail(`not within ${timeoutMs / 1000} s: ${why}`);
    await sleep(10);
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A process that holds namespaces open, as their first process; it adopts and buries what others leave. */
async function namespaces(flags, name) {
  const script = `hostname ${name}; ip link set lo up; echo up; while :; do sleep 3600 & wait $!; done`;
  const keeper = spawn('unshare', [...flags, '--fork', '--kill-child', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise((resolve, reject) => {
    keeper.stdout.once('data', resolve);
    keeper.once('exit', (code) => reject(new Error(`the namespaces of ${name} could not be made (exit ${code})`)));
  });
  keeper.removeAllListeners('exit');
  // unshare itself stays outside; the first process inside is its only child.
  const pid = Number(fs.readFileSync(`/proc/${keeper.pid}/task/${keeper.pid}/children`, 'utf8').trim());
  return { keeper, pid };
}

/** Runs a program to its end without stopping this one. Never throws for its exit status. */
function run(program, args, { env = process.env, input = null, timeoutMs = COMMAND_TIMEOUT_MS } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env,
      stdio: [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: timeoutMs,
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => (err += text));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: signal === null ? code : signal, out, err }));
    if (input !== null) child.stdin.end(input);
  });
}

async function good(result) {
  const { code, out, err } = await result;
  assert.equal(code, 0, `exit ${code}\n${out}${err}`);
  return out;
}

/** One host. Paths of its tree are the same inside and outside; what is mounted there can only be seen through its first process. */
class Host {
  constructor(name, ip, pid, keeper, dir) {
    Object.assign(this, { name, ip, pid, keeper, dir });
    this.env = {
      PATH: process.env.PATH,
      LC_ALL: 'C',
      MARS_DIR: path.join(dir, 'mars'),
      MARS_RUN: path.join(dir, 'run'),
      MARS_ETC: path.join(dir, 'etc'),
      MARS_HOST: name,
    };
  }

  /** A program inside this host. @returns { code, out, err } */
  exec(program, args = [], options = {}) {
    const enter = ['-t', String(this.pid), '-m', '-n', '-u', '-p', '--'];
    return run('nsenter', [...enter, program, ...args], { ...options, env: { ...this.env, ...options.env } });
  }

  /** The same, and it must succeed. @returns what it printed */
  sh(script, options) {
    return good(this.exec('sh', ['-c', script], options));
  }

  marsd(...args) {
    return this.exec(process.execPath, [MARSD, ...args]);
  }

  /** Must succeed. @returns stdout */
  start(...args) {
    return good(this.marsd('start', ...args));
  }

  stop() {
    return good(this.marsd('stop'));
  }

  marsadm(...args) {
    return this.exec(process.execPath, [MARSADM, ...args]);
  }

  /** A command of marsadm that must succeed. @returns stdout */
  adm(...args) {
    return good(this.marsadm(...args));
  }

  /** Where this program finds a path of the host's, mounts included. */
  at(...names) {
    return path.join(`/proc/${this.pid}/root`, this.dir, ...names);
  }

  /** Value of a link of the tree; null = not there, or deleted. Costs no process. */
  link(key) {
    try {
      const value = fs.readlinkSync(this.at('mars', key));
      return value === '.deleted' ? null : value;
    } catch {
      return null;
    }
  }

  /** Writes a link as marsadm does, with the time of now, without a process. */
  setLink(key, value) {
    const target = this.at('mars', key);
    fs.mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 });
    const temporary = path.join(path.dirname(target), `.tmp.${process.pid}.${path.basename(target)}`);
    fs.symlinkSync(value, temporary);
    fs.renameSync(temporary, target);
  }

  /** Reads a control file without stopping this process: the daemon that serves it is another one, but it may hang. */
  control(name) {
    return fs.promises.readFile(this.at('run/sys', name), 'utf8');
  }

  trigger(text) {
    return fs.promises.writeFile(this.at('run/sys/trigger'), text);
  }

  /** What the daemon says about its peers: host → line. */
  async peers() {
    const lines = (await this.control('peers')).split('\n').filter(Boolean);
    return new Map(lines.map((line) => JSON.parse(line)).map((peer) => [peer.host, peer]));
  }

  async status() {
    return JSON.parse(await good(this.marsd('status', '--json'))).status;
  }

  log() {
    const file = this.at('run/marsd.log');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  /** Lines of the log with this message. */
  said(message) {
    return this.log()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(message))
      .map((line) => JSON.parse(line));
  }

  /** Number of the daemon's process, as this machine counts. */
  daemonPid() {
    const inside = Number(fs.readFileSync(this.at('run/marsd.lock'), 'utf8').split(' ')[0]);
    const below = (pid) => {
      const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
      return [Number(pid), ...children.flatMap((child) => below(child))];
    };
    return below(this.pid).find((pid) => {
      const numbers = /^NSpid:\s*(.*)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1].split(/\s+/);
      return numbers !== undefined && numbers.length > 1 && Number(numbers.at(-1)) === inside;
    });
  }

  /** CPU time of the daemon so far, seconds. */
  cpuSeconds() {
    const fields = fs.readFileSync(`/proc/${this.daemonPid()}/stat`, 'utf8').split(') ').at(-1).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** As by kill -9: no farewell, no cleaning up. */
  async kill() {
    const pid = this.daemonPid();
    process.kill(pid, 'SIGKILL');
    await until(
      `process ${pid} is gone`,
      () => !fs.existsSync(`/proc/${pid}`) || / Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')),
    );
  }
}

export class Hosts {
  constructor(dir, hub) {
    Object.assign(this, { dir, hub, byName: new Map() });
  }

  static async make(names) {
    const dir = fs.mkdtempSync(path.join(tmpdir(), 'mars-hosts-'));
    const hub = await namespaces(['--net', '--uts', '--pid', '--mount', '--mount-proc'], 'hub');
    const hosts = new Hosts(dir, hub);
    try {
      await hosts.inHub('ip link add br0 type bridge && ip link set br0 up');
      for (const [i, name] of names.entries()) await hosts.add(name, i + 1);
    } catch (error) {
      await hosts.close();
      throw error;
    }
    return hosts;
  }

  async add(name, number) {
    const { keeper, pid } = await namespaces(['--net', '--mount', '--uts', '--pid', '--mount-proc'], name);
    const dir = path.join(this.dir, name);
    for (const sub of ['mars', 'run', 'etc']) fs.mkdirSync(path.join(dir, sub), { recursive: true, mode: 0o700 });
    const ip = `${NETWORK}.${number}`;
    const host = new Host(name, ip, pid, keeper, dir);
    this.byName.set(name, host);
    await this.inHub(
      `ip link add p${number} type veth peer name eth0 netns ${pid} && ip link set p${number} master br0 && ip link set p${number} up`,
    );
    await host.sh(
      `ip addr add ${ip}/24 dev eth0 && ip link set eth0 up && mount -t tmpfs -o size=${MARS_SIZE},mode=0700 mars ${dir}/mars`,
    );
    await host.sh('nft -f -', { input: FILTER });
    return host;
  }

  get all() {
    return [...this.byName.values()];
  }

  get(name) {
    return this.byName.get(name);
  }

  inHub(script) {
    return good(run('nsenter', ['-t', String(this.hub.pid), '-n', '--', 'sh', '-c', script]));
  }

  /** Nothing passes any more between these two groups, and nobody is told. */
  async cut(some, others) {
    for (const a of some) for (const b of others) await this.filter(a, b, 'add');
  }

  /** Everything passes again. */
  async heal() {
    for (const host of this.all) await host.sh('nft flush set inet cut gone');
  }

  async filter(a, b, verb) {
    await this.get(a).sh(`nft ${verb} element inet cut gone '{ ${this.get(b).ip} }'`);
    await this.get(b).sh(`nft ${verb} element inet cut gone '{ ${this.get(a).ip} }'`);
  }

  /** The link of a host carries so much at most, in both directions. @param rate as tc writes it: `8mbit`; null = unlimited */
  async shape(name, rate) {
    const number = [...this.byName.keys()].indexOf(name) + 1;
    const qdisc = (dev) =>
      rate === null
        ? `tc qdisc del dev ${dev} root 2>/dev/null || true`
        : `tc qdisc replace dev ${dev} root tbf rate ${rate} burst 32kb latency 200ms`;
    await this.get(name).sh(qdisc('eth0'));
    await this.inHub(qdisc(`p${number}`));
  }

  /** A cluster of all hosts, made the way an operator makes it: the first creates it, invites, and the others join. */
  async makeCluster({ insecure = false, members = [...this.byName.keys()] } = {}) {
    const [first, ...others] = members.map((name) => this.get(name));
    const flags = insecure ? ['--insecure'] : [];
    await first.adm(`--ip=${first.ip}`, ...flags, 'create-cluster');
    await first.start();
    for (const host of others) {
      await host.start();
      const token = insecure ? [] : [`--token=${(await first.adm('invite')).trim()}`];
      await host.adm(
        `--ip=${host.ip}`,
        `--ip-${first.name}=${first.ip}`,
        ...flags,
        ...token,
        'join-cluster',
        first.name,
      );
    }
    await until('all hosts know each other', () => this.areConnected([first, ...others]));
  }

  /** True when every daemon has every other host as a peer in step. */
  async areConnected(among = this.all) {
    for (const host of among) {
      const peers = await host.peers();
      if (among.some((other) => other !== host && peers.get(other.name)?.state !== 'in-sync')) return false;
    }
    return true;
  }

  /** Ends everything, and leaves nothing. */
  async close() {
    const keepers = [...this.all, this.hub];
    await Promise.all(
      keepers.map(({ keeper }) => {
        if (keeper.exitCode !== null || keeper.signalCode !== null) return null;
        const gone = new Promise((resolve) => keeper.once('exit', resolve));
        keeper.kill('SIGKILL');
        return gone;
      }),
    );
    fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 10 });
  }
}
