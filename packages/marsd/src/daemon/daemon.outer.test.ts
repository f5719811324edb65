import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Far above what anything here takes: it only ends what hangs. */
const GIVE_UP_MS = 15_000;

const MAIN = new URL('./main.js', import.meta.url).pathname;
/** The daemon's own control files are read by this process, too: a daemon that hangs must not hang the tests. */
const TIMEOUT_MS = 30_000;

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

describe('marsd', function () {
  this.timeout(60_000);
  let dir = '';
  let env: Record<string, string>;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'marsd-'));
    mkdirSync(join(dir, 'mars'), { mode: 0o700 });
    env = {
      ...(process.env as Record<string, string>),
      MARS_DIR: join(dir, 'mars'),
      MARS_RUN: join(dir, 'run'),
      MARS_HOST: 'nodea',
      MARS_ETC: join(dir, 'etc'),
      MARS_NO_MOUNTPOINT_CHECK: '1',
      MARS_PORT: '17900',
    };
  });
  afterEach(() => {
    marsd('stop');
    rmSync(dir, { recursive: true, force: true });
  });

  function marsd(...args: string[]): Ran {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      env,
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
    });
    return { code: status, out: stdout, err: stderr };
  }

  const sys = (name: string): string => join(dir, 'run/sys', name);
  const link = (name: string): string | null => {
    try {
      return readlinkSync(join(dir, 'mars', name));
    } catch {
      return null;
    }
  };
  const statusNow = (): { pid: number; rounds: number; controlFiles: string; network: string } =>
    (JSON.parse(marsd('status', '--json').out) as { status: never }).status;

  async function until(what: () => boolean): Promise<void> {
    for (const end = performance.now() + GIVE_UP_MS; !what();) {
      assert.ok(performance.now() < end, `not within ${GIVE_UP_MS / 1000} s: ${String(what)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  it('starts, answers, and stops; both are good when there is nothing to do', () => {
    assert.deepEqual([marsd('status').code, marsd('stop').code], [3, 0]);
    const started = marsd('start');
    assert.equal(started.code, 0, started.err);
    assert.match(readFileSync(sys('version'), 'utf8'), /^mars\S+ /);
    assert.equal(marsd('start').code, 0);
    assert.equal(marsd('status').code, 0);
    const { pid } = statusNow();
    assert.deepEqual([readlinkSync(`/proc/${pid}/cwd`), readlinkSync(`/proc/${pid}/fd/0`)], ['/', '/dev/null']);
    assert.equal(marsd('stop').code, 0);
    assert.ok(!existsSync(sys('')), 'nothing is left when stop returns');
    assert.equal(marsd('status').code, 3);
  });

  it('says who it is in the tree, every round, and that it is gone at the end', async () => {
    marsd('start');
    assert.deepEqual(
      ['tree', 'features', 'alive', 'emergency'].map((name) => link(`actual-nodea/${name}`)),
      ['0.1', '4,5,0x071f0000', '1', '0'],
    );
    assert.match(link('actual-nodea/buildtag')!, /[1-9]\d\d\(/);
    const before = link('actual-nodea/time');
    writeFileSync(sys('trigger'), '1');
    await until(() => link('actual-nodea/time') !== before);
    assert.match(
      readFileSync(sys('lamport_clock'), 'utf8'),
      /^CURRENT_TIME=\d+\.\d{9}\nlamport_now=\d+\.\d{9}\nCALLS=\d+\n$/,
    );
    marsd('stop');
    assert.equal(link('actual-nodea/alive'), '0');
  });

  it('stamps later than everything that it has found, whatever the system clock says', async () => {
    mkdirSync(join(dir, 'mars/defaults-nodea'));
    const at = join(dir, 'mars/defaults-nodea/sync-limit');
    symlinkSync('3', at);
    const ahead = Math.floor(Date.now() / 1000) + 5000;
    spawnSync('touch', ['-h', '-d', `@${ahead}`, at]);
    marsd('start');
    assert.equal(readFileSync(sys('sync_limit'), 'utf8'), '3\n');
    const now = /lamport_now=(\d+)/.exec(readFileSync(sys('lamport_clock'), 'utf8'))![1];
    assert.ok(Number(now) >= ahead, `${now} is before ${ahead}`);
  });

  it('refuses a second daemon, on the same run directory or on the same tree', () => {
    marsd('start');
    const second = marsd('run');
    assert.equal(second.code, 1);
    assert.match(second.err, /DAEMON_RUNS: process \d+ holds .*run\/marsd.lock/);
    const other = marsd('run', `--run=${dir}/other`);
    assert.equal(other.code, 1);
    assert.match(other.err, /DAEMON_RUNS: .*mars\/\.marsd\.lock/);
    assert.equal(marsd('status').code, 0);
  });

  it('starts again after kill -9, over the mount that the dead one has left', () => {
    marsd('start');
    const { pid } = statusNow();
    process.kill(pid, 'SIGKILL');
    while (existsSync(`/proc/${pid}`) && !/ Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
    assert.equal(marsd('status').code, 3);
    const started = marsd('start');
    assert.equal(started.code, 0, started.err);
    assert.match(readFileSync(sys('version'), 'utf8'), /^mars/);
    const mounts = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(dir));
    assert.ok(mounts.length <= 1, mounts.join('\n'));
  });

  it('runs in the foreground with its log on stderr, and stops orderly on SIGTERM', async () => {
    const child = spawn(process.execPath, [MAIN, 'run'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.on('data', (text: Buffer) => (log += text.toString()));
    await until(() => log.includes('"the daemon runs"'));
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 0, log);
    assert.match(log, /"the daemon has stopped"/);
    assert.equal(link('actual-nodea/alive'), '0');
  });

  it('tells systemd when it is ready and when it stops', async () => {
    const socket = join(dir, 'notify');
    const script = `import socket; s=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("${socket}"); s.settimeout(20)
while True: print(s.recv(4096).decode().split("\\n")[0], flush=True)`;
    const manager = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    let heard = '';
    manager.stdout.on('data', (text: Buffer) => (heard += text.toString()));
    await until(() => existsSync(socket));
    env['NOTIFY_SOCKET'] = socket;
    marsd('start');
    marsd('stop');
    await until(() => heard === 'READY=1\nSTOPPING=1\n');
    manager.kill();
  });

  it('says why it cannot start, in one screen, and leaves nothing behind', () => {
    const missing = marsd('start', `--mars=${dir}/nowhere`);
    assert.equal(missing.code, 1);
    assert.match(missing.err, /DAEMON_CANNOT_START: .*nowhere is no directory/);
    rmSync(join(dir, 'run'), { recursive: true });
    mkdirSync(join(dir, 'etc'));
    writeFileSync(join(dir, 'etc/marsd.yaml'), 'tunables:\n  required_free_space_1_gb: 1000000\n');
    const small = marsd('start');
    assert.equal(small.code, 1);
    assert.match(small.err, /DAEMON_CANNOT_START: .*GiB/);
    assert.match(small.err, /what to do: .*marsd.yaml/);
    assert.ok(!existsSync(sys('')));
    writeFileSync(join(dir, 'etc/marsd.yaml'), 'host: [\n');
    assert.equal(marsd('start').code, 2);
    assert.equal(marsd('frobnicate').code, 2);
    assert.equal(marsd('start', '--port=0').code, 2);
  });

  it('refuses a directory that is no mount point, after it has waited for it', () => {
    delete env['MARS_NO_MOUNTPOINT_CHECK'];
    const refused = marsd('start');
    assert.equal(refused.code, 1);
    assert.match(refused.err, /is not a mount point/);
    assert.match(refused.err, /--no-mountpoint-check/);
    assert.deepEqual(readdirSync(join(dir, 'mars')), [], 'not even a lock is left below the mount that is missing');
  });

  it('takes tunables from control files and marsd.yaml, and refuses nonsense with EINVAL', () => {
    mkdirSync(join(dir, 'etc'));
    writeFileSync(join(dir, 'etc/marsd.yaml'), 'tunables:\n  alive_window: 44\n');
    marsd('start');
    assert.equal(readFileSync(sys('alive_window'), 'utf8'), '44\n');
    writeFileSync(sys('scan_interval_sec'), '2\n');
    assert.equal(readFileSync(sys('scan_interval_sec'), 'utf8'), '2\n');
    assert.throws(() => writeFileSync(sys('scan_interval_sec'), '0\n'), { code: 'EINVAL' });
    assert.throws(() => writeFileSync(sys('trigger'), 'nonsense'), { code: 'EINVAL' });
    assert.throws(() => writeFileSync(sys('version'), 'x'), { code: 'EACCES' });
    assert.match(readFileSync(join(dir, 'run/marsd.log'), 'utf8'), /a control file refused what was written to it/);
  });

  it('works without FUSE: ordinary files, and a pipe for commands', async () => {
    mkdirSync(join(dir, 'etc'));
    writeFileSync(join(dir, 'etc/marsd.yaml'), 'controlFiles: plain\n');
    assert.equal(marsd('start').code, 0);
    assert.equal(statusNow().controlFiles, 'plain');
    assert.ok(!existsSync(sys('lamport_clock')));
    const before = link('actual-nodea/time');
    spawnSync('sh', ['-c', `echo -n 1 > ${sys('trigger')}`]);
    await until(() => link('actual-nodea/time') !== before);
    marsd('stop');
    assert.ok(!existsSync(sys('')));
  });

  it('opens no port without certificates, and a plain one when told so', async () => {
    marsd('start');
    assert.match(statusNow().network, /^no port is open: .*trust-create/);
    marsd('stop');
    env['MARS_INSECURE'] = '1';
    marsd('start', '--ip=127.0.0.1');
    assert.match(statusNow().network, /^plain text, insecure on 127\.0\.0\.1:17900$/);
  });

  it('brings the control files back when somebody has unmounted them', async function () {
    marsd('start');
    if (statusNow().controlFiles !== 'fuse' || process.getuid!() !== 0) this.skip();
    spawnSync('umount', ['-l', sys('')]);
    await until(() => existsSync(sys('version')));
    assert.match(readFileSync(sys('version'), 'utf8'), /^mars/);
  });
});
