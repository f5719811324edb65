import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { isMarsError } from '@mars/brick-core';
import { sandbox } from '../testing/index.js';
import { runDir } from './run-dir.js';
import { onSignal } from './signals.js';

const INDEX = new URL('../index.js', import.meta.url).href;

/** Runs a script in a process of its own, because marks and signals belong to the whole process. */
function inChild(
  script: string,
  env: Record<string, string> = {},
  under: readonly string[] = [process.execPath],
): { stdout: string; status: number | null } {
  const args = ['--input-type=module', '-e', `import * as p from ${JSON.stringify(INDEX)};\n${script}`];
  const [program, ...first] = under;
  const { stdout, status } = spawnSync(program!, [...first, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { stdout, status };
}

describe('markAsBlockServer', () => {
  const script = 'console.log(JSON.stringify(p.markAsBlockServer()))';

  it('reports on every protection, with a reason for each that failed', () => {
    const { stdout, status } = inChild(script);
    assert.equal(status, 0);
    const results = JSON.parse(stdout) as { mark: string; ok: boolean; reason?: string }[];
    assert.deepEqual(
      results.map((r) => r.mark),
      ['io-flusher', 'memory-lock', 'oom-score'],
    );
    for (const result of results) assert.equal(result.ok, result.reason === undefined);
  });

  it('fails softly without the addon', () => {
    const { stdout } = inChild(script, { MARS_NO_NATIVE: '1' });
    assert.ok(
      (JSON.parse(stdout) as { ok: boolean; reason: string }[]).every(
        (r) => !r.ok && r.reason.includes('MARS_NO_NATIVE'),
      ),
    );
  });
});

describe('lockArena', () => {
  const script = `
    const said = [];
    const log = { level: 'warn', destination: { write: (line) => said.push(line) } };
    const fs = await import('node:fs');
    const platform = p.createPlatform({ lockArena: true, arenaBytes: 32 * 2 ** 20, log });
    const [, lockedKb] = /VmLck:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'));
    console.log(JSON.stringify({ kind: platform.ringKind, lockedKb: Number(lockedKb), said: said.join('') }));
    await platform.close();`;
  const look = (stdout: string) => JSON.parse(stdout) as { kind: string; lockedKb: number; said: string };

  it('locks the payload memory where that is permitted, and says so where it is not', function () {
    const { kind, lockedKb, said } = look(inChild(script).stdout);
    if (kind !== 'io_uring') this.skip();
    if (said === '') assert.ok(lockedKb >= 32 * 1024, `${lockedKb} kB are locked`);
    else assert.match(said, /may be swapped out/);
  });

  it('is no reason to do without io_uring when the limit is too low', function () {
    // Enough for the ring itself, which some kernels count too.
    const limited = ['--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock', process.execPath];
    const command = `ulimit -l 16384; exec setpriv ${limited.join(' ')} "$@"`;
    const { stdout, status } = inChild(script, {}, ['sh', '-c', command, 'sh']);
    if (status !== 0) this.skip(); // no setpriv, or it may not
    const { kind, said } = look(stdout);
    if (kind !== 'io_uring') this.skip();
    assert.match(said, /ENOMEM.*may be swapped out|EPERM.*may be swapped out/);
  });
});

describe('onSignal', () => {
  it('calls the handler, and no more after it was removed', async () => {
    const got: string[] = [];
    const remove = onSignal(['SIGUSR2', 'SIGHUP'], (signal) => got.push(signal));
    process.kill(process.pid, 'SIGUSR2');
    while (got.length === 0) await new Promise((resolve) => setImmediate(resolve));
    remove();
    assert.deepEqual(got, ['SIGUSR2']);
    assert.equal(process.listenerCount('SIGHUP'), 0);
  });

  it('lets an operator who insists end the process', () => {
    const { stdout, status } = inChild(`
      p.onSignal(['SIGTERM'], () => { console.log('stopping'); process.kill(process.pid, 'SIGTERM'); });
      setInterval(() => {}, 1000);
      process.kill(process.pid, 'SIGTERM');`);
    assert.deepEqual([stdout, status], ['stopping\n', 143]);
  });
});

describe('runDir', () => {
  const dir = sandbox();

  it('takes the option before MARS_RUN, and makes what is missing, private', () => {
    const before = process.env['MARS_RUN'];
    process.env['MARS_RUN'] = join(dir.path, 'env');
    try {
      assert.equal(runDir(), join(dir.path, 'env'));
      assert.equal(runDir({ run: join(dir.path, 'opt'), sub: 'nbd' }), join(dir.path, 'opt/nbd'));
      assert.equal(statSync(join(dir.path, 'opt')).mode & 0o777, 0o700);
    } finally {
      if (before === undefined) delete process.env['MARS_RUN'];
      else process.env['MARS_RUN'] = before;
    }
  });

  it('says what to do when it cannot be made', () => {
    assert.throws(
      () => runDir({ run: '/proc/nowhere' }),
      (error) => isMarsError(error) && /MARS_RUN/.test(error.hint ?? ''),
    );
  });
});
