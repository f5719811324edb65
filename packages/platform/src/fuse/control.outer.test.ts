import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EBUSY, MarsError } from '@mars/brick-core';
import { native } from '../native.js';
import { sandbox } from '../testing/index.js';
import {
  ControlFiles,
  clearControlDirectory,
  isDeadMount,
  isMountedOn,
  serveControlFiles,
  type ControlServer,
} from './index.js';

/** Far above what anything here takes: it only ends what hangs. */
const GIVE_UP_MS = 15_000;

/**
 * Runs a shell without stopping this thread: it is the one that answers. The shell itself goes to the directory, because `spawn` with a
 * `cwd` waits for the child's chdir, which would wait for us.
 */
function shell(script: string, cwd: string): Promise<{ out: string; err: string; code: number | null }> {
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', `cd ${cwd} && { ${script}\n}`], { env: { ...process.env, LC_ALL: 'C' } });
    let out = '';
    let err = '';
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    child.on('close', (code) => resolve({ out, err, code }));
  });
}

function makeFiles() {
  const commands: string[] = [];
  const reads = { count: 0 };
  let level = 3;
  let release = (): void => {};
  const files = new ControlFiles()
    .add('version', { mode: 0o400, read: () => 'mars 1\n' })
    .add('large', { mode: 0o400, read: () => 'x'.repeat(300_000) + '\nend\n' })
    .add('clock', { mode: 0o400, isVolatile: true, read: () => `${reads.count++}\n` })
    .add('broken', {
      mode: 0o400,
      read: () => {
        throw new Error('cannot be read now');
      },
    })
    .add('trigger', { mode: 0o200, write: (text) => void commands.push(text) })
    .add('slow', {
      mode: 0o200,
      write: (text, signal) =>
        new Promise((resolve) => {
          commands.push(`slow ${text}`);
          release = resolve;
          signal.addEventListener('abort', () => commands.push('interrupted'));
        }),
    })
    .add('busy', {
      mode: 0o200,
      write: () => {
        throw new MarsError('DEVICE_IN_USE', 'busy', { details: { errno: EBUSY } });
      },
    })
    .add('tuning/level', {
      mode: 0o600,
      read: () => `${level}\n`,
      write: (text) => {
        if (!/^\d+\s*$/.test(text)) throw new Error('no number');
        level = Number(text);
      },
    });
  return { files, commands, release: () => release(), level: () => level };
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + GIVE_UP_MS; !condition();) {
    assert.ok(performance.now() < end, `not within ${GIVE_UP_MS / 1000} s: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('control files over FUSE', function () {
  const dir = sandbox();
  let at: string;
  let server: ControlServer | null = null;
  let world: ReturnType<typeof makeFiles>;

  beforeEach(async function () {
    at = dir.file('sys');
    world = makeFiles();
    if (native === null || !existsSync('/dev/fuse') || process.getuid!() !== 0) this.skip();
    server = await serveControlFiles(at, world.files, { name: 'marstest', kind: 'fuse' });
  });
  afterEach(async () => {
    await server?.close();
    server = null;
  });

  it('are a directory for ls, find and stat, with modes, and sizes of 0 as in /proc', async () => {
    const { out } = await shell('ls; find . -type d | sort; stat -c "%A %s" . version trigger tuning/level', at);
    assert.equal(
      out,
      'broken\nbusy\nclock\nlarge\nslow\ntrigger\ntuning\nversion\n.\n./tuning\ndrwx------ 0\n-r-------- 0\n--w------- 0\n-rw------- 0\n',
    );
  });

  it('can be read with cat, cp, grep, head, tail and dd, whatever their size', async () => {
    const { out, err } = await shell(
      `cat version; cp large ${dir.file('copy')}; grep end large; head -c 3 large; tail -n 1 large; dd if=large bs=1000 status=none | wc -c; df . | tail -1 | cut -d" " -f1`,
      at,
    );
    assert.equal(out, 'mars 1\nend\nxxxend\n300005\nmarstest\n', err);
  });

  it('are complete for programs that look at the size first, although they grow meanwhile', async () => {
    let lines = 1;
    world.files.add('growing', { mode: 0o400, read: () => 'a line\n'.repeat(lines++ * 100) });
    const { out } = await shell(
      `node -e "const fs = require('fs'); for (let i = 0; i < 20; i++) { const t = fs.readFileSync('growing', 'utf8'); if (!t.endsWith('line\\n') || t.length % 700) console.log('cut', t.length); }"; cp growing ${dir.file('grown')}; rm -f x`,
      at,
    );
    assert.equal(out, '');
  });

  it('show a new state to each reader, and one state to one reader', async () => {
    const { out } = await shell('cat clock; cat clock', at);
    const [first, second] = out.trim().split('\n').map(Number);
    assert.ok(second! > first!, out);
  });

  it('take every write as one command, however short the gap, with or without newline', async () => {
    const { code, err } = await shell('echo -n 1 >trigger; (printf "a b"; printf "c") >trigger; echo 8 >>trigger', at);
    assert.equal(code, 0, err);
    assert.deepEqual(world.commands, ['1', 'a b', 'c', '8\n']);
  });

  it('keep writers of several programs apart', async () => {
    await shell(
      'for i in 1 2 3 4 5 6 7 8; do for j in 1 2 3 4 5; do /bin/echo -n "w$i.$j" >trigger; done & done; wait',
      at,
    );
    const wanted = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((i) => [1, 2, 3, 4, 5].map((j) => `w${i}.${j}`));
    assert.deepEqual([...world.commands].sort(), wanted);
  });

  it('can be set with echo and tee, and say EINVAL for what makes no sense', async () => {
    await shell('echo 7 >tuning/level', at);
    assert.equal(world.level(), 7);
    assert.equal((await shell('echo 8 | tee tuning/level', at)).out, '8\n');
    const { code, err } = await shell('/bin/echo nonsense >tuning/level', at);
    assert.notEqual(code, 0);
    assert.match(err, /Invalid argument/);
    assert.equal((await shell('cat tuning/level', at)).out, '8\n');
  });

  it('answer the errno of whoever refuses, and EIO for what cannot be read', async () => {
    assert.match((await shell('/bin/echo x >busy', at)).err, /Device or resource busy/);
    assert.match((await shell('cat broken', at)).err, /Input\/output error/);
  });

  it('permit nothing but what they are for, not even to root', async () => {
    for (const script of [
      'cat trigger',
      'echo x >version',
      'echo x >new',
      'rm version',
      'mkdir d',
      'chmod 777 version',
      'ln -s a b',
      'mv version v',
    ]) {
      const { code } = await shell(script, at);
      assert.notEqual(code, 0, script);
    }
    assert.equal((await shell('cat version', at)).out, 'mars 1\n');
  });

  it('let a writer wait for its command, and be interrupted', async () => {
    const patient = shell('echo -n go >slow', at);
    await until(() => world.commands.includes('slow go'));
    world.release();
    assert.equal((await patient).code, 0);
    const hasty = shell('timeout -s INT 0.2 sh -c "echo -n stop >slow"', at);
    await until(() => world.commands.includes('interrupted'));
    assert.notEqual((await hasty).code, 0);
    assert.equal((await shell('cat version', at)).out, 'mars 1\n');
  });

  it('are gone with their directory after close, also while somebody uses them', async () => {
    const holder = spawn('sh', ['-c', `cd ${at} && echo in && exec sleep 60`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await server!.close();
    server = null;
    assert.ok(!existsSync(at));
    holder.kill();
    await new Promise((resolve) => holder.on('close', resolve));
    assert.ok(!isMountedOn(at));
  });

  it('tell their server when somebody unmounts them', async () => {
    await server!.close();
    let lost = '';
    server = await serveControlFiles(at, world.files, {
      name: 'marstest',
      kind: 'fuse',
      onLost: (why) => (lost = why),
    });
    assert.equal(spawnSync('umount', ['-l', at]).status, 0);
    await until(() => lost !== '');
    assert.match(lost, /ENODEV/);
    server = null;
  });
});

describe('a dead mount', () => {
  const dir = sandbox();

  it('is known for dead, and cleared by the next server', async function () {
    if (native === null || !existsSync('/dev/fuse') || process.getuid!() !== 0) this.skip();
    const at = dir.file('sys');
    mkdirSync(at);
    const fd = native.mountFuse(at, 'fuse.marstest', 'marstest', 'rootmode=40700,user_id=0,group_id=0');
    native.closeFd(fd);
    assert.ok(isDeadMount(at));
    assert.equal(await clearControlDirectory(at), 'dead mount');
    assert.equal(await clearControlDirectory(at), 'nothing');
    const server = await serveControlFiles(at, makeFiles().files, { name: 'marstest', kind: 'fuse' });
    assert.equal((await shell('cat version', at)).out, 'mars 1\n');
    await server.close();
  });
});

describe('control files without FUSE', () => {
  const dir = sandbox();
  let server: ControlServer | null = null;
  afterEach(() => server?.close());

  it('are ordinary files and a pipe whose commands end with a newline or a pause', async () => {
    const at = dir.file('sys');
    const world = makeFiles();
    server = await serveControlFiles(at, world.files, { name: 'marstest', kind: 'plain' });
    assert.equal(server.kind, 'plain');
    assert.equal((await shell('cat version tuning/level', at)).out, 'mars 1\n3\n');
    assert.ok(!existsSync(join(at, 'clock')), 'a clock that stands still is worse than none');
    await shell('(echo 1; echo "p a b") >trigger; sleep 0.2; echo -n 8 >trigger', at);
    await until(() => world.commands.length === 3);
    assert.deepEqual(world.commands, ['1', 'p a b', '8']);
    await shell('echo 9 >tuning/level', at);
    await until(() => world.level() === 9);
    await shell('/bin/echo nonsense >tuning/level', at);
    for (let text = ''; text !== '9\n'; text = (await shell('cat tuning/level', at)).out) await until(() => true);
    await server.close();
    assert.ok(!existsSync(at));
  });
});
