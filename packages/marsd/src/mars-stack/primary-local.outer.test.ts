import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const MARS_LOG = fileURLToPath(new URL('../mars-log/main.js', import.meta.url));
const STACKS = fileURLToPath(new URL('../../../../stacks', import.meta.url));
/** Whoever needs longer hangs. */
const LIMIT_MS = 60_000;
const DISK_BYTES = 64 * 2 ** 20;

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** `stacks/primary-local.yaml` as a process, in a directory of its own. */
class Primary {
  readonly dir = mkdtempSync(join(tmpdir(), 'mars-primary-'));
  readonly disk = join(this.dir, 'disk');
  readonly logs = join(this.dir, 'logs');
  readonly socket = join(this.dir, 'sock');
  private child: ChildProcess | null = null;
  private ended: Promise<Ended> | null = null;

  constructor() {
    writeFileSync(this.disk, '');
    truncateSync(this.disk, DISK_BYTES);
  }

  get uri(): string {
    return `nbd+unix:///?socket=${this.socket}`;
  }

  /** Starts it, and waits until its socket answers. */
  async start(wishes: object = {}): Promise<void> {
    this.spawn(wishes);
    for (let waitedMs = 0; !(await this.answers()); waitedMs += 50) {
      if (this.child!.exitCode !== null) assert.fail(`it ended: ${(await this.ended!).err}`);
      assert.ok(waitedMs < LIMIT_MS, 'the device does not appear');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Starts it where it is expected to refuse. */
  refusal(wishes: object = {}): Promise<Ended> {
    this.spawn(wishes);
    return this.ended!;
  }

  /** Waits until the newest log has so many bytes, or the rotation has just made another one. */
  async hasLogged(bytes: number): Promise<void> {
    const [name] = this.logNames.slice(-1);
    for (let waitedMs = 0; waitedMs < LIMIT_MS; waitedMs += 10) {
      if (this.logNames.at(-1) !== name || statSync(join(this.logs, name!)).size >= bytes) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.fail('nobody writes');
  }

  async kill(): Promise<void> {
    this.child!.kill('SIGKILL');
    await this.ended;
    rmSync(this.socket, { force: true });
  }

  async stop(): Promise<Ended> {
    this.child!.kill('SIGINT');
    return this.ended!;
  }

  get replayLink(): string {
    return readlinkSync(join(this.logs, 'replay-here'));
  }

  get logNames(): string[] {
    return readdirSync(this.logs)
      .filter((name) => name.startsWith('log-'))
      .sort();
  }

  remove(): void {
    if (this.child?.exitCode === null) this.child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true });
  }

  private spawn(wishes: object): void {
    const logs = JSON.stringify({ path: this.logs, host: 'here', ...wishes });
    const values = { disk: this.disk, logs, listen: this.socket };
    const set = Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
    const args = [MAIN, 'run', `${STACKS}/primary-local.yaml`, ...set, '--no-ctl', '--quiet'];
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = collect(this.child);
  }

  private answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.socket);
      socket.once('data', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  }
}

function collect(child: ChildProcess): Promise<Ended> {
  const ended: Ended = { code: null, out: '', err: '' };
  child.stdout!.on('data', (text: Buffer) => (ended.out += text.toString()));
  child.stderr!.on('data', (text: Buffer) => (ended.err += text.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...ended, code })));
}

describe('stacks/primary-local.yaml', function () {
  this.timeout(3 * LIMIT_MS);
  let primary: Primary;

  beforeEach(() => (primary = new Primary()));
  afterEach(() => primary.remove());

  it('loses nothing acknowledged when it is killed again and again under a verified load, with rotations', async () => {
    const wishes = { rotate: '16M', keep: 1 };
    await primary.start(wishes);
    const load = spawn(
      process.execPath,
      [
        MAIN,
        'run',
        `${STACKS}/nbd-import.yaml`,
        '--set',
        `uri=${primary.uri}`,
        '--set',
        'count=40000',
        '--json',
        '--no-ctl',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const loaded = collect(load);
    for (let kill = 0; kill < 4; kill++) {
      await primary.hasLogged((1 + kill) * 2 ** 20);
      await primary.kill();
      await primary.start(wishes);
    }
    const { code, out, err } = await loaded;
    assert.equal(code, 0, `${err}${out.slice(-2000)}`);
    const { ok, ended } = JSON.parse(out.trimEnd().split('\n').at(-1)!) as { ok: boolean; ended: string };
    assert.deepEqual([ok, ended], [true, 'finished']);
    assert.equal((await primary.stop()).code, 0);
    const current = primary.logNames.at(-1)!;
    assert.match(primary.replayLink, new RegExp(`^${current},\\d+,0$`), 'after a clean stop nothing is dirty');
    assert.ok(primary.logNames.length <= 3, `old logs are removed: ${primary.logNames.join(' ')}`);
    assert.equal(spawnSync(process.execPath, [MARS_LOG, 'verify', join(primary.logs, current)]).status, 0);
  });

  it('keeps what fio has written and flushed, when it is killed before the disk has it', async function () {
    if (!/\bnbd\b/.test(spawnSync('fio', ['--enghelp']).stdout?.toString() ?? '')) this.skip(); // fio with its nbd engine is not installed
    await primary.start();
    const job = [
      ...[
        '--name=x',
        '--ioengine=nbd',
        `--uri=${primary.uri}`,
        '--rw=randwrite',
        '--bs=4k',
        '--iodepth=32',
        '--size=32M',
      ],
      ...['--verify=crc32c', '--randseed=7', `--aux-path=${primary.dir}`],
    ];
    const write = await fio([...job, '--do_verify=0', '--end_fsync=1']);
    assert.equal(write.code, 0, write.out + write.err);
    const before = readFileSync(primary.disk);
    await primary.kill();
    await primary.start();
    assert.ok(!readFileSync(primary.disk).equals(before), 'the disk had everything already: the log was not needed');
    const verify = await fio([...job, '--verify_only']);
    assert.equal(verify.code, 0, verify.out + verify.err);
    await primary.stop();
  });

  it('refuses a second process on the same logs, and damage that no crash leaves', async () => {
    await primary.start();
    const rival = await new Promise<Ended>((resolve) => {
      const logs = JSON.stringify({ path: primary.logs, host: 'here' });
      const set = ['--set', `disk=${primary.disk}`, '--set', `logs=${logs}`, '--set', `listen=${primary.socket}2`];
      const child = spawn(
        process.execPath,
        [MAIN, 'run', `${STACKS}/primary-local.yaml`, ...set, '--no-ctl', '--quiet'],
        {
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      void collect(child).then(resolve);
    });
    assert.equal(rival.code, 1);
    assert.match(rival.err, /DEVICE_IN_USE: the logs in .* are in use by process \d+/);
    await primary.stop();
    rmSync(join(primary.logs, 'replay-here'));
    writeFileSync(join(primary.logs, primary.logNames[0]!), Buffer.alloc(10_000, 7));
    const { code, err } = await primary.refusal();
    assert.equal(code, 1);
    assert.match(err, /LOGS_NOT_USABLE: .*no replay link/);
  });

  function fio(args: string[]): Promise<Ended> {
    return collect(spawn('fio', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: primary.dir }));
  }
});
