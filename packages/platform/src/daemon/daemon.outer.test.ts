import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { isMarsError } from '@mars/brick-core';
import { sandbox } from '../testing/index.js';
import { LockFile, startDetached } from './index.js';

const INDEX = new URL('./index.js', import.meta.url).href;

function script(path: string, body: string): string {
  writeFileSync(`${path}.mjs`, `import { LockFile, reportStart } from ${JSON.stringify(INDEX)};\n${body}`);
  return `${path}.mjs`;
}

describe('LockFile', () => {
  const dir = sandbox();

  for (const env of [{}, { MARS_NO_NATIVE: '1' }]) {
    it(`is held by one process until that ends, even by SIGKILL (${JSON.stringify(env)})`, async () => {
      const path = dir.file('lock');
      const holder = script(
        dir.file(),
        `LockFile.take(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000);`,
      );
      const asker = script(
        dir.file(),
        `const lock = LockFile.take(${JSON.stringify(path)}); console.log(lock instanceof LockFile ? 'mine' : lock.holder.pid);`,
      );
      const child = spawn(process.execPath, [holder], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, ...env },
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const ask = (): string =>
        spawnSync(process.execPath, [asker], { encoding: 'utf8', env: { ...process.env, ...env } }).stdout;
      assert.equal(ask(), `${child.pid}\n`);
      child.kill('SIGKILL');
      await new Promise((resolve) => child.on('exit', resolve));
      assert.equal(ask(), 'mine\n');
    });
  }

  it('can be released and asked about, and follows no link', () => {
    const path = dir.file('lock');
    assert.equal(LockFile.holder(path), null);
    const lock = LockFile.take(path);
    assert.ok(lock instanceof LockFile);
    assert.deepEqual(LockFile.holder(path), { holder: { pid: process.pid } });
    lock.release();
    assert.equal(LockFile.holder(path), null);
    const link = dir.file('link');
    spawnSync('ln', ['-s', '/etc/passwd', link]);
    assert.throws(
      () => LockFile.take(link),
      (error) => isMarsError(error),
    );
  });
});

describe('startDetached', () => {
  const dir = sandbox();
  const start = (body: string, timeoutMs = 10_000) =>
    startDetached({ script: script(dir.file(), body), args: ['a', 'b'], stderrPath: dir.file('log'), timeoutMs });

  it('starts a process with a session of its own and nothing of ours, and hears its report', async () => {
    const result = await start(`
      import { readlinkSync, readdirSync } from 'node:fs';
      const links = [0, 1].map((fd) => readlinkSync('/proc/self/fd/' + fd));
      reportStart(JSON.stringify({ links, cwd: process.cwd(), args: process.argv.slice(2) }));
      const still = readdirSync('/proc/self/fd').includes('3') && readlinkSync('/proc/self/fd/3').startsWith('pipe');
      if (still) process.kill(process.pid);
      setTimeout(() => {}, 60_000);`);
    assert.equal(result.kind, 'reported');
    const { report, pid } = result as { report: string; pid: number };
    assert.deepEqual(JSON.parse(report), { links: ['/dev/null', '/dev/null'], cwd: '/', args: ['a', 'b'] });
    const session = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[3];
    assert.equal(Number(session), pid);
    process.kill(pid, 'SIGKILL');
  });

  it('tells that a process ended before it reported', async () => {
    assert.deepEqual(await start('process.exit(7);'), { kind: 'ended', code: 7, signal: null });
  });

  it('tells a failure that the process reported before it ended', async () => {
    const result = await start(`reportStart('failed'); process.exit(1);`);
    assert.equal(result.kind === 'reported' && result.report, 'failed');
  });

  it('does not wait for ever', async () => {
    const result = await start('setTimeout(() => {}, 60_000);', 300);
    assert.equal(result.kind, 'timeout');
    process.kill((result as { pid: number }).pid, 'SIGKILL');
  });
});
