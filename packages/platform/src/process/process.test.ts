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
function inChild(script: string, env: Record<string, string> = {}): { stdout: string; status: number | null } {
  const args = ['--input-type=module', '-e', `import * as p from ${JSON.stringify(INDEX)};\n${script}`];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env } });
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
