// Our NBD server against nbdkit and qemu-nbd over a unix socket, each with an image of its own in the page cache, and raw fio on
// the same kind of file. Method: data-path.md 9.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../scripts/steps.mjs';
import { measure, summarize, writeResults } from './frame.mjs';
import { IMAGE_MIB, makeImage, ready, sleep } from './servers.mjs';

/** Length of one run; longer ones are steadier. */
const SECONDS = Number(process.env.MARS_BENCH_SECONDS ?? 2);
const ROUNDS = 3;

class Servers {
  children = [];
  constructor(scratch) {
    this.scratch = scratch;
  }
  async start(name, command, args, socket) {
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, MARS_RUN: this.scratch },
    });
    let errors = '';
    child.stderr.on('data', (text) => (errors += text));
    child.on('exit', (code) => code && console.error(`${name} ended with ${code}: ${errors}`));
    this.children.push(child);
    await ready(socket);
    return { name, socket, pid: child.pid };
  }
  stop() {
    for (const child of this.children) child.kill('SIGTERM');
  }
}

async function startAll(scratch) {
  const servers = new Servers(scratch);
  const at = (name) => ({ image: path.join(scratch, `${name}.img`), socket: path.join(scratch, `${name}.sock`) });
  for (const name of ['ours', 'nbdkit', 'qemu-nbd']) makeImage(at(name).image);
  const ours = at('ours');
  const nbdkit = at('nbdkit');
  const qemu = at('qemu-nbd');
  return {
    servers,
    ours: await servers.start(
      'ours',
      path.join(root, 'node_modules/.bin/mars-stack'),
      [
        'run',
        path.join(root, 'stacks/nbd-file.yaml'),
        '--set',
        `path=${ours.image}`,
        '--set',
        `listen=${ours.socket}`,
        '--json',
      ],
      ours.socket,
    ),
    nbdkit: await servers.start('nbdkit', 'nbdkit', ['-f', '-U', nbdkit.socket, 'file', nbdkit.image], nbdkit.socket),
    'qemu-nbd': await servers.start(
      'qemu-nbd',
      'qemu-nbd',
      ['-k', qemu.socket, '-f', 'raw', '-t', '-e', '16', '--cache=writeback', '--aio=io_uring', qemu.image],
      qemu.socket,
    ),
  };
}

/** Touches every page, because the host's memory daemon pages idle memory out. */
function warm(scratch, name) {
  spawnSync('cat', [path.join(scratch, `${name}.img`)], { stdio: 'ignore' });
}

/** CPU seconds of a process so far, user and system, all threads. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function fio(engineArgs, { rw, bs, depth, mix }) {
  const args = [
    ...['--name=bench', `--rw=${rw}`, `--bs=${bs}`, `--iodepth=${depth}`, `--size=${IMAGE_MIB}M`],
    ...['--time_based', `--runtime=${SECONDS}`, '--randrepeat=0', '--output-format=json', ...engineArgs],
    ...(mix ? [`--rwmixread=${mix}`] : []),
  ];
  // fio's nbd engine hangs for ever when a server stalls, so it gets a hard end.
  const result = spawnSync('timeout', ['-s', 'KILL', String(SECONDS * 5 + 10), 'fio', ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const start = result.stdout.indexOf('\n{');
  const json = JSON.parse(result.stdout.slice(result.stdout.startsWith('{') ? 0 : start));
  const [job] = json.jobs;
  return {
    iops: job.read.iops + job.write.iops,
    mbPerSecond: (job.read.bw_bytes + job.write.bw_bytes) / 1e6,
    bytes: job.read.io_bytes + job.write.io_bytes,
    p99Us:
      Math.max(job.read.clat_ns?.percentile?.['99.000000'] ?? 0, job.write.clat_ns?.percentile?.['99.000000'] ?? 0) /
      1000,
  };
}

const nbdArgs = (server) => ['--ioengine=nbd', `--uri=nbd+unix:///?socket=${server.socket}`];

export default async function bench() {
  const scratch = mkdtempSync(path.join(tmpdir(), 'mars-bench-'));
  let all;
  try {
    all = await startAll(scratch);
    const rows = await measureAll(scratch, all);
    return writeResults(
      'data-path',
      'Our NBD server (`mars-stack run stacks/nbd-file.yaml`) against `nbdkit file`, `qemu-nbd` (writeback, io_uring) and raw fio on a file; one ' +
        'client over a unix socket, image in the page cache. The ratio is against `nbdkit`.',
      rows,
    );
  } finally {
    all?.servers.stop();
    await sleep(500);
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function measureAll(scratch, all) {
  const contestantsFor = (workload, pick) => ({
    ours: async () => (warm(scratch, 'ours'), pick(fio(nbdArgs(all.ours), workload))),
    nbdkit: async () => (warm(scratch, 'nbdkit'), pick(fio(nbdArgs(all.nbdkit), workload))),
    'qemu-nbd': async () => (warm(scratch, 'qemu-nbd'), pick(fio(nbdArgs(all['qemu-nbd']), workload))),
    'raw fio': async () => {
      warm(scratch, 'nbdkit');
      return pick(fio(['--ioengine=io_uring', `--filename=${path.join(scratch, 'nbdkit.img')}`], workload));
    },
  });
  const rows = [];
  const row = async (name, unit, workload, pick, better = 'higher') =>
    rows.push(
      await measure({
        name,
        unit,
        better,
        goalPeer: 'nbdkit',
        rounds: ROUNDS,
        contestants: contestantsFor(workload, pick),
      }),
    );
  for (const rw of ['randread', 'randwrite']) {
    for (const depth of [1, 8, 32, 128])
      await row(`${rw} 4k d${depth}`, 'IOPS', { rw, bs: '4k', depth }, (r) => r.iops);
  }
  await row('randrw 70/30 4k d32', 'IOPS', { rw: 'randrw', bs: '4k', depth: 32, mix: 70 }, (r) => r.iops);
  await row('seqread 256k d16', 'MB/s', { rw: 'read', bs: '256k', depth: 16 }, (r) => r.mbPerSecond);
  await row('seqwrite 256k d16', 'MB/s', { rw: 'write', bs: '256k', depth: 16 }, (r) => r.mbPerSecond);
  await row('p99 randread 4k d32', 'µs', { rw: 'randread', bs: '4k', depth: 32 }, (r) => r.p99Us, 'lower');
  rows.push(await nbdcopyRow(scratch, all));
  rows.push(await cpuRow(scratch, all, 'cpu randread 4k', { rw: 'randread', bs: '4k', depth: 32 }));
  rows.push(await cpuRow(scratch, all, 'cpu seqread 256k', { rw: 'read', bs: '256k', depth: 16 }));
  return rows;
}

/** A whole image with four connections, read to nowhere. */
function nbdcopyRow(scratch, all) {
  const copy = (name) => async () => {
    warm(scratch, name);
    const started = process.hrtime.bigint();
    const { status } = spawnSync('timeout', [
      '-s',
      'KILL',
      '60',
      'nbdcopy',
      '--connections=4',
      `nbd+unix:///?socket=${all[name].socket}`,
      'null:',
    ]);
    if (status !== 0) throw new Error(`nbdcopy from ${name} failed (${status})`);
    return (IMAGE_MIB * 1.048576) / (Number(process.hrtime.bigint() - started) / 1e9);
  };
  const contestants = { ours: copy('ours'), nbdkit: copy('nbdkit'), 'qemu-nbd': copy('qemu-nbd') };
  return measure({
    name: 'nbdcopy read 4 connections',
    unit: 'MB/s',
    better: 'higher',
    goalPeer: 'nbdkit',
    rounds: 5,
    contestants,
  });
}

/** CPU seconds of the server per GB served. */
async function cpuRow(scratch, all, name, workload) {
  const runs = [];
  for (let round = 0; round < ROUNDS; round++) {
    const values = {};
    for (const who of ['ours', 'nbdkit', 'qemu-nbd']) {
      warm(scratch, who);
      const before = cpuSeconds(all[who].pid);
      const { bytes } = fio(nbdArgs(all[who]), workload);
      values[who] = (cpuSeconds(all[who].pid) - before) / (bytes / 1e9);
    }
    runs.push(values);
    console.log(`  ${name}  round ${round + 1}/${ROUNDS}: ${JSON.stringify(values)} s/GB`);
  }
  return summarize({ name, unit: 's/GB', better: 'lower', goalPeer: 'nbdkit', runs });
}
