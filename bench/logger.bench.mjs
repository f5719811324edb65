// A logged disk (stacks/primary-local.yaml) over a unix socket against NBD servers that make every write durable, and against one
// that makes none so. Every server has an image of its own. Method: data-path.md 9.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { root } from '../scripts/steps.mjs';
import { measure, summarize, writeResults } from './frame.mjs';
import { IMAGE_MIB, makeImage, ready, sleep } from './servers.mjs';

/** Length of one run; longer ones are steadier. */
const SECONDS = Number(process.env.MARS_BENCH_SECONDS ?? 2);
const ROUNDS = Number(process.env.MARS_BENCH_ROUNDS ?? 3);
/** Rows whose name contains this text; all without it. */
const ONLY = process.env.MARS_BENCH_ONLY ?? '';
/** Where images and logs lie: a real file system, because syncs are what is measured. */
const SCRATCH = process.env.MARS_BENCH_DIR ?? '/var/tmp';

const marsStack = path.join(root, 'node_modules/.bin/mars-stack');
const marsLog = path.join(root, 'node_modules/.bin/mars-log');
/** The servers that are compared; each is started for one run, so that nobody profits from what the other left behind. */
class Servers {
  constructor(scratch) {
    this.scratch = scratch;
    this.children = new Set();
    for (const name of ['ours', 'nbdkit', 'nbdkit-fua', 'qemu-writethrough']) makeImage(this.image(name));
  }

  image(name) {
    return path.join(this.scratch, `${name}.img`);
  }

  async start(name, command, args, socket) {
    rmSync(socket, { force: true });
    const run = path.join(this.scratch, `${name}.run`);
    mkdirSync(run, { recursive: true });
    const child = spawn(command, args, { stdio: 'ignore', env: { ...process.env, MARS_RUN: run } });
    this.children.add(child);
    await ready(socket);
    return { socket, pid: child.pid, child };
  }

  /** @param completion 2 = every write is durable when it is answered */
  ours(completion, logs = path.join(this.scratch, 'logs')) {
    rmSync(logs, { recursive: true, force: true });
    const socket = path.join(this.scratch, 'ours.sock');
    const vars = { disk: this.image('ours'), logs, listen: socket, completion };
    const sets = Object.entries(vars).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    return this.start(
      'ours',
      marsStack,
      ['run', path.join(root, 'stacks/primary-local.yaml'), ...sets, '--json'],
      socket,
    );
  }

  nbdkit() {
    const socket = path.join(this.scratch, 'nbdkit.sock');
    return this.start('nbdkit', 'nbdkit', ['-f', '-U', socket, 'file', this.image('nbdkit')], socket);
  }

  nbdkitFua() {
    const socket = path.join(this.scratch, 'nbdkit-fua.sock');
    const args = ['-f', '-U', socket, '--filter=fua', 'file', this.image('nbdkit-fua'), 'fuamode=force'];
    return this.start('nbdkit-fua', 'nbdkit', args, socket);
  }

  qemu() {
    const socket = path.join(this.scratch, 'qemu.sock');
    const args = ['-k', socket, '-f', 'raw', '-t', '-e', '4', '--cache=writethrough', this.image('qemu-writethrough')];
    return this.start('qemu-writethrough', 'qemu-nbd', args, socket);
  }

  async stop(server) {
    const ended = new Promise((resolve) => server.child.on('exit', resolve));
    server.child.kill('SIGTERM');
    await ended;
    this.children.delete(server.child);
  }

  /** Ends without any tidying up: a crash. */
  async kill(server) {
    const ended = new Promise((resolve) => server.child.on('exit', resolve));
    server.child.kill('SIGKILL');
    await ended;
    this.children.delete(server.child);
  }

  stopAll() {
    for (const child of this.children) child.kill('SIGKILL');
  }
}

/** CPU seconds of a process so far, user and system, all threads. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Peak memory of a process, MB. */
function peakMb(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) / 1000;
}

function fio(engineArgs, { rw, bs, depth, mix, fsync, seconds = SECONDS }) {
  const args = [
    ...['--name=bench', `--rw=${rw}`, `--bs=${bs}`, `--iodepth=${depth}`, `--size=${IMAGE_MIB}M`],
    ...['--time_based', `--runtime=${seconds}`, '--randrepeat=0', '--output-format=json', ...engineArgs],
    ...(mix ? [`--rwmixread=${mix}`] : []),
    ...(fsync ? [`--fsync=${fsync}`] : []),
  ];
  // fio's nbd engine hangs for ever when a server stalls, so it gets a hard end.
  const result = spawnSync('timeout', ['-s', 'KILL', String(seconds * 5 + 10), 'fio', ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const { stdout } = result;
  const start = stdout.startsWith('{') ? 0 : stdout.indexOf('\n{');
  if (start < 0) throw new Error(`fio ended with ${result.status}: ${result.stderr}`);
  const [job] = JSON.parse(stdout.slice(start)).jobs;
  const p99 = (side) => (side.clat_ns?.percentile?.['99.000000'] ?? 0) / 1000;
  return {
    iops: job.read.iops + job.write.iops,
    readIops: job.read.iops,
    requests: job.read.total_ios + job.write.total_ios,
    mbPerSecond: (job.read.bw_bytes + job.write.bw_bytes) / 1e6,
    p99Us: Math.max(p99(job.read), p99(job.write)),
  };
}

const nbdArgs = ({ socket }) => ['--ioengine=nbd', `--uri=nbd+unix:///?socket=${socket}`];

export default async function bench() {
  const scratch = mkdtempSync(path.join(SCRATCH, 'mars-bench-'));
  const servers = new Servers(scratch);
  try {
    const rows = await measureAll(servers);
    return writeResults(
      'logger',
      'A logged disk (`mars-stack run stacks/primary-local.yaml`: plain growing log, crc32c) over a unix socket. Rows `durable …`: each write is ' +
        'acknowledged only when safe (`completion=2`), against `nbdkit --filter=fua file fuamode=force` and `qemu-nbd --cache=writethrough`; the ratio is ' +
        'against the better one. Rows `flush …`: normal flush semantics against `nbdkit file`.',
      rows,
    );
  } finally {
    servers.stopAll();
    await sleep(500);
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function measureAll(servers) {
  const rows = [];
  const wants = (name) => name.includes(ONLY);
  /** One run against a fresh server. */
  const run = (start, workload, pick) => async () => {
    const server = await start();
    // Every page of the image is touched first, because the memory daemon of the host pages idle memory out.
    spawnSync('cat', [servers.image('ours'), servers.image('nbdkit-fua')], { stdio: 'ignore' });
    const cpuBefore = cpuSeconds(server.pid);
    const result = fio(nbdArgs(server), workload);
    result.cpuUsPerRequest = ((cpuSeconds(server.pid) - cpuBefore) * 1e6) / result.requests;
    result.peakMb = peakMb(server.pid);
    await servers.stop(server);
    return pick(result);
  };
  const row = async (name, unit, workload, pick, contestants, better = 'higher') => {
    if (!wants(name)) return;
    const runs = Object.entries(contestants).map(([who, start]) => [who, run(start, workload, pick)]);
    rows.push(await measure({ name, unit, better, rounds: ROUNDS, contestants: Object.fromEntries(runs) }));
  };
  const durable = {
    ours: () => servers.ours(2),
    'nbdkit fua': () => servers.nbdkitFua(),
    'qemu-nbd writethrough': () => servers.qemu(),
  };
  const volatile = { ours: () => servers.ours(1), nbdkit: () => servers.nbdkit() };
  const nbdkitOnly = { ours: () => servers.ours(2), 'nbdkit fua': () => servers.nbdkitFua() };
  for (const depth of [1, 32, 128])
    await row(`durable randwrite 4k d${depth}`, 'IOPS', { rw: 'randwrite', bs: '4k', depth }, (r) => r.iops, durable);
  await row('durable seqwrite 256k d16', 'MB/s', { rw: 'write', bs: '256k', depth: 16 }, (r) => r.mbPerSecond, durable);
  const random = { rw: 'randwrite', bs: '4k', depth: 32 };
  await row('p99 durable randwrite 4k', 'µs', random, (r) => r.p99Us, durable, 'lower');
  await row('cpu durable randwrite 4k', 'µs/request', random, (r) => r.cpuUsPerRequest, nbdkitOnly, 'lower');
  await row('flush randwrite 4k d32', 'IOPS', { ...random, fsync: 64 }, (r) => r.iops, volatile);
  await row('flush randwrite 4k d32 without flushes', 'IOPS', random, (r) => r.iops, volatile);
  const mixed = { rw: 'randrw', bs: '4k', depth: 32, mix: 70 };
  await row('reads under write load 4k d32', 'IOPS', mixed, (r) => r.readIops, volatile);
  await row('memory under write load', 'MB', random, (r) => r.peakMb, { ours: () => servers.ours(1) }, 'lower');
  if (wants('replay')) rows.push(await replayRow(servers));
  return rows;
}

/** A log of random 4k writes, replayed onto a file, against fio writing as many blocks to the same kind of file. */
async function replayRow(servers) {
  const logs = path.join(servers.scratch, 'replay-logs');
  const server = await servers.ours(1, logs);
  fio(nbdArgs(server), { rw: 'randwrite', bs: '4k', depth: 128, seconds: 2 * SECONDS });
  await servers.kill(server);
  const [log] = readdirSync(logs).filter((name) => name.startsWith('log-'));
  const file = path.join(logs, log);
  const blocks = Math.floor(statSync(file).size / (4096 + 84));
  const target = servers.image('nbdkit');
  const seconds = (command, args) => {
    const started = process.hrtime.bigint();
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} failed (${status}): ${stderr}`);
    return Number(process.hrtime.bigint() - started) / 1e9;
  };
  const fioArgs = [
    ...['--name=raw', '--ioengine=io_uring', `--filename=${target}`, '--rw=randwrite', '--bs=4k', '--iodepth=32'],
    ...[`--size=${IMAGE_MIB}M`, `--io_size=${blocks * 4096}`, '--end_fsync=1', '--norandommap'],
  ];
  const runs = [];
  for (let round = 0; round < ROUNDS; round++) {
    const values = {
      ours: blocks / seconds(marsLog, ['replay', file, '--onto', target]),
      'raw fio': blocks / seconds('fio', fioArgs),
    };
    runs.push(values);
    console.log(`  replay 4k  round ${round + 1}/${ROUNDS}: ${JSON.stringify(values)} blocks/s`);
  }
  return summarize({ name: 'replay 4k', unit: 'blocks/s', better: 'higher', goalPeer: 'raw fio', runs });
}
