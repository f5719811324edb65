// A stack with a log, killed with -9 under load and started again, many times. Real processes, real files.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createRandom } from '@mars/brick-core';
import { JudgedClient } from './judged-client.mjs';
import { dial } from './nbd-client.mjs';

const MARS_STACK = fileURLToPath(new URL('../../packages/marsd/dist/mars-stack/main.js', import.meta.url));
const STACK = fileURLToPath(new URL('../../stacks/primary-local.yaml', import.meta.url));
const MIB = 2 ** 20;
/** fio writes to the first part of the device, the judged client to the rest. */
const FIO_BYTES = 192 * MIB;
const FIO_DEPTH = 16;
const JUDGED_BYTES = 16 * MIB;
/** A stack that does not serve by then does not recover, ms. */
const UP_MS = 60_000;
/** Programs that do not end by themselves are killed, ms. */
const END_MS = 60_000;

/** Everything that belongs to one run, in a directory of its own. */
export class KilledStack {
  kills = 0;
  recoveryKills = 0;
  cleanStops = 0;
  fioVerified = 0;
  #dir = mkdtempSync(path.join(tmpdir(), 'mars-kill9-'));
  #socket = path.join(this.#dir, 's.sock');
  #random;
  #client;
  #child = null;
  #round = 0;
  /** Offsets that fio was not answered; `null` = it did not say which. */
  #unanswered = null;
  #hasFio = spawnSync('fio', ['--enghelp=nbd']).status === 0;

  constructor(seed) {
    this.#random = createRandom(seed);
    this.#client = new JudgedClient(JUDGED_BYTES, seed + 1);
    const fd = openSync(path.join(this.#dir, 'disk.img'), 'w');
    ftruncateSync(fd, FIO_BYTES + JUDGED_BYTES);
    closeSync(fd);
  }

  get summary() {
    const { kills, recoveryKills, cleanStops, fioVerified } = this;
    return {
      kills,
      recoveryKills,
      cleanStops,
      answered: this.#client.answered,
      judged: this.#client.judged,
      fioVerified,
    };
  }

  get dir() {
    return this.#dir;
  }

  /** Load, death, recovery (which may die as well), and a look at everything that had been answered. */
  async round() {
    this.#round++;
    if (this.#child === null) await this.#start();
    const lifeMs = 50 + this.#random.int(500);
    const fio = this.#hasFio ? this.#fioWrites() : { connected: Promise.resolve(), ended: Promise.resolve() };
    const dead = fio.connected.then(() => sleep(lifeMs)).then(() => this.#kill());
    await Promise.all([this.#client.work(this.#socket, dead), dead, fio.ended]);
    while (this.#random.int(4) === 0) await this.#dieInRecovery();
    await this.#start();
    await this.#client.survey(this.#socket);
    if (this.#hasFio) await this.#fioVerifies();
    if (this.#random.int(8) === 0) await this.#stopCleanly();
  }

  /** Takes back the end of the newest log, as if it had been lost; the next round must notice. */
  async loseEndOfLog(bytes) {
    await this.#start();
    const dead = sleep(600).then(() => this.#kill());
    await Promise.all([this.#client.work(this.#socket, dead), dead]);
    const logs = readdirSync(this.#path('logs')).filter((name) => /^log-\d+-/.test(name) && this.#sizeOf(name) > 0);
    const newest = logs.sort().at(-1);
    const fd = openSync(this.#path(`logs/${newest}`), 'r+');
    ftruncateSync(fd, Math.max(0, this.#sizeOf(newest) - bytes));
    closeSync(fd);
    await this.#start();
    await this.#client.survey(this.#socket);
  }

  async end() {
    if (this.#child !== null) await this.#stopCleanly();
  }

  /** Whatever happens: no process and no file is left. */
  async cleanUp({ keepFiles = false } = {}) {
    if (this.#child !== null) await this.#kill();
    if (!keepFiles) rmSync(this.#dir, { recursive: true, force: true });
  }

  #sizeOf(log) {
    return statSync(this.#path(`logs/${log}`)).size;
  }

  #path(name) {
    return path.join(this.#dir, name);
  }

  #spawn() {
    const logs = JSON.stringify({ path: this.#path('logs'), host: 'crash', rotate: 4 * MIB, keep: 1 });
    const vars = { disk: this.#path('disk.img'), logs, listen: this.#socket, memory: '16M' };
    const sets = Object.entries(vars).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
    const out = openSync(this.#path('stack.out'), 'a');
    const child = spawn(process.execPath, [MARS_STACK, 'run', STACK, ...sets, '--quiet'], {
      stdio: ['ignore', out, out],
    });
    closeSync(out);
    return child;
  }

  /** Resolves when the device is served. */
  async #start() {
    const child = (this.#child = this.#spawn());
    const untilMs = performance.now() + UP_MS;
    while (performance.now() < untilMs) {
      if (child.exitCode !== null) throw new Error(`the stack ended with ${child.exitCode}: ${this.#said()}`);
      const client = await dial(this.#socket);
      client?.close();
      if (client !== null) return;
      await sleep(20);
    }
    throw new Error(`the stack does not serve within ${UP_MS} ms: ${this.#said()}`);
  }

  async #kill() {
    this.kills++;
    await this.#ended('SIGKILL');
  }

  async #dieInRecovery() {
    this.#child = this.#spawn();
    this.recoveryKills++;
    await sleep(200 + this.#random.int(800));
    await this.#ended('SIGKILL');
  }

  async #stopCleanly() {
    this.cleanStops++;
    const code = await this.#ended('SIGTERM');
    if (code !== 0) throw new Error(`a clean stop ended with ${code}: ${this.#said()}`);
    const link = readlinkSync(this.#path('logs/replay-crash'));
    const [log, posBytes, dirtyBytes] = link.split(',');
    const size = this.#sizeOf(log);
    if (Number(posBytes) !== size || dirtyBytes !== '0')
      throw new Error(`after a clean stop the link says ${link}, and the log has ${size} bytes`);
  }

  async #ended(signal) {
    const child = this.#child;
    this.#child = null;
    if (child.exitCode !== null) return child.exitCode;
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
    child.kill(signal);
    const [code] = await once(child, 'close');
    clearTimeout(timer);
    return code;
  }

  #said() {
    return readFileSync(this.#path('stack.out'), 'utf8').slice(-2000);
  }

  get #fioState() {
    return this.#path('local-v-0-verify.state');
  }

  get #fioJob() {
    const uri = `--uri=nbd+unix:///?socket=${this.#socket}`;
    const where = ['--rw=randwrite', '--bs=4k', `--iodepth=${FIO_DEPTH}`, `--size=${FIO_BYTES}`];
    return ['--name=v', '--ioengine=nbd', uri, ...where, '--verify=crc32c', `--randseed=${this.#round}`];
  }

  /** Ends when the server dies, and leaves behind how far it came. */
  #fioWrites() {
    rmSync(this.#fioState, { force: true });
    const fio = this.#fio([...this.#fioJob, '--do_verify=0', '--verify_state_save=1']);
    const ended = fio.ended.then(({ err }) => {
      // What was under way when the server died counts as done in the state that fio saves. Mostly fio says which that was.
      const offsets = [...err.matchAll(/write offset=(\d+)/g)].map(([, offset]) => Number(offset));
      this.#unanswered = offsets.length > 0 ? new Set(offsets) : null;
    });
    return { connected: fio.connected, ended };
  }

  async #fioVerifies() {
    // The server died before fio had connected.
    if (!existsSync(this.#fioState)) return;
    const args = ['--verify_only', '--verify_state_load=1', '--continue_on_error=verify', '--output-format=json'];
    const { out, err } = await this.#fio([...this.#fioJob, ...args]).ended;
    const bad = new Set([...err.matchAll(/^verify: .* offset (\d+)/gm)].map(([, offset]) => Number(offset)));
    const lost = [...bad].filter((offset) => !(this.#unanswered?.has(offset) ?? bad.size <= FIO_DEPTH));
    if (lost.length > 0)
      throw new Error(`fio does not find what it was answered, at ${lost.join(' ')}: ${err.slice(0, 500)}`);
    const { jobs } = JSON.parse(out.slice(out.indexOf('{')));
    const verified = jobs[0].read.total_ios;
    if (verified === 0) throw new Error(`fio has verified nothing: ${err.slice(0, 500)}`);
    this.fioVerified += verified - bad.size;
  }

  #fio(args) {
    const child = spawn('fio', args, { cwd: this.#dir, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    const connected = new Promise((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text) => {
        out += text;
        if (out.includes('connected to NBD server')) resolve();
      });
      child.on('close', resolve);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
    const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
    const ended = once(child, 'close').then(() => {
      clearTimeout(timer);
      return { out, err };
    });
    return { connected, ended };
  }
}
