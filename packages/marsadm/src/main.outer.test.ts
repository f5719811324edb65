import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

describe('marsadm, the executable', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'marsadm-main-'));
    mkdirSync(join(dir, 'mars'), { mode: 0o700 });
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  function marsadm(...argv: string[]): { stdout: string; stderr: string; status: number | null } {
    const env = {
      ...process.env,
      MARS_DIR: join(dir, 'mars'),
      MARS_RUN: join(dir, 'run'),
      MARS_HOST: 'nodea',
      MARS_NO_MOUNTPOINT_CHECK: '1',
    };
    const { stdout, stderr, status } = spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8', env });
    return { stdout, stderr, status };
  }

  it('makes a cluster with certificates, and invites', () => {
    const created = marsadm('--ip=192.0.2.1', 'create-cluster');
    assert.equal(created.status, 0, created.stderr);
    assert.match(created.stdout, /^New cluster UUID is 'nodea_\d+\.\d{9}'\n$/);
    assert.equal(statSync(join(dir, 'mars/.trust')).mode & 0o777, 0o700);
    const invited = marsadm('invite');
    assert.equal(invited.status, 0, invited.stderr);
    assert.match(invited.stdout, /^[\w-]{40,}\n$/);
    assert.equal(invited.stderr, '');
  });

  it('gives links the time of now, to the nanosecond, and leaves no temporary ones', () => {
    writeFileSync(join(dir, 'disk'), Buffer.alloc(1 << 20));
    const { status, stderr } = marsadm('create-resource', 'mydata', join(dir, 'disk'));
    assert.equal(status, 0, stderr);
    const link = join(dir, 'mars/resource-mydata/primary');
    assert.equal(readlinkSync(link), 'nodea');
    assert.ok(Math.abs(lstatSync(link).mtimeMs - Date.now()) < 60_000);
    assert.equal(statSync(join(dir, 'mars/resource-mydata/log-000000001-nodea')).mode & 0o777, 0o600);
    const left = spawnSync('find', [join(dir, 'mars'), '-name', '.tmp*'], { encoding: 'utf8' }).stdout;
    assert.equal(left, '');
  });

  it('shows what it has made', () => {
    const { stdout, status } = marsadm('view', 'all');
    assert.equal(status, 0);
    assert.match(stdout, /^--------- resource mydata 1\.000 MiB \[1\/1\]$/m);
    assert.match(stdout, /ModuleNotLoaded/);
  });

  it('tells scripts its version in the form they look for', () => {
    const { stdout, status } = marsadm('--version');
    assert.equal(status, 0);
    assert.match(stdout, /^[^\n]*Version: 2\.9[^\n]*\n$/);
  });

  it('ends a wait at Ctrl-C, and says so', async () => {
    const env = { ...process.env, MARS_DIR: join(dir, 'mars'), MARS_RUN: join(dir, 'run'), MARS_HOST: 'nodea' };
    const child = spawn(process.execPath, [MAIN, 'wait-resource', 'mydata', 'is-primary'], { env });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    child.stdout.once('data', () => child.kill('SIGINT'));
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^DYING: interrupted by SIGINT$/m);
  });

  it('wakes a daemon that has a pipe instead of a control file, with a command that has an end', async () => {
    const sys = join(dir, 'run/sys');
    mkdirSync(sys, { recursive: true });
    assert.equal(spawnSync('mkfifo', [join(sys, 'trigger')]).status, 0);
    const reader = spawn('cat', [join(sys, 'trigger')]);
    let heard = '';
    reader.stdout.on('data', (data: Buffer) => (heard += data.toString()));
    const ended = new Promise((resolve) => reader.on('close', resolve));
    // Nobody waits for a reader: until there is one, the trigger is lost, and the daemon would see the link by itself.
    for (let i = 0; heard === '' && i < 20; i++) {
      const { status, stderr } = marsadm('set-link', `v${i}`, '/mars/userspace/flag');
      assert.equal(status, 0, stderr);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await ended;
    assert.match(heard, /^(1\n)+$/);
    rmSync(sys, { recursive: true });
  });

  it('completes commands, options and resources in bash', () => {
    const bin = join(dir, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'marsadm'), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
    const complete = (...words: string[]): string[] => {
      const list = words.map((word) => `'${word}'`).join(' ');
      const script = `source <(marsadm completion bash); COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; compopt() { :; }; _marsadm; echo "\${COMPREPLY[@]}"`;
      const env = {
        ...process.env,
        PATH: `${bin}:${process.env['PATH']}`,
        MARS_DIR: join(dir, 'mars'),
        MARS_HOST: 'nodea',
      };
      const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', env });
      assert.equal(stderr, '');
      return stdout.trim().split(' ');
    };
    assert.deepEqual(complete('marsadm', 'prim'), ['primary']);
    assert.deepEqual(complete('marsadm', '--time'), ['--timeout=']);
    assert.deepEqual(complete('marsadm', '--force', 'primary', 'm'), ['mydata']);
  });

  it('ends well when its reader goes away', () => {
    const { status } = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" --help | head -1 > /dev/null`]);
    assert.equal(status, 0);
  });
});
