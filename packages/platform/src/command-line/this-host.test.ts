import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from './system-clock.js';
import { ThisHost } from './this-host.js';

describe('ThisHost', () => {
  const host = new ThisHost();
  let dir = '';
  before(() => (dir = mkdtempSync(join(tmpdir(), 'mars-host-'))));
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('runs a program and tells its status and output', async () => {
    const result = await host.run('sh', ['-c', 'echo out; echo err >&2; exit 3'], { timeoutMs: 5000 });
    assert.deepEqual(result, { status: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  it('tells a program that is not there by a status of null', async () => {
    assert.equal((await host.run('/no/such/program', [], { timeoutMs: 1000 })).status, null);
  });

  it('feeds lines to a program, and survives one that is not there', async () => {
    const sink = host.lineSink('sh', ['-c', `cat > ${dir}/lines`]);
    sink.write('one');
    sink.write('two');
    await sink.end();
    assert.equal(readFileSync(join(dir, 'lines'), 'utf8'), 'one\ntwo\n');
    const nobody = host.lineSink('/no/such/program', []);
    nobody.write('lost');
    await nobody.end();
  });

  it('writes once, without creating what is not there', () => {
    const path = join(dir, 'control');
    assert.throws(() => host.writeOnce(path, '1'), { code: 'FILE_IO' });
    writeFileSync(path, '');
    host.writeOnce(path, '3');
    assert.equal(readFileSync(path, 'utf8'), '3');
  });

  it('knows owners, and changes modes', () => {
    assert.equal(host.ownerOf(dir), process.geteuid!());
    assert.equal(host.ownerOf(join(dir, 'nothing')), null);
    host.chmod(dir, 0o755);
    assert.equal(statSync(dir).mode & 0o777, 0o755);
  });
});

describe('SystemClock', () => {
  it('sleeps no shorter than asked, and can be woken by a signal', async () => {
    const clock = new SystemClock();
    const before = clock.nowUs;
    await clock.sleep(20);
    assert.ok(clock.nowUs - before >= 19_000);
    const abort = new AbortController();
    const sleeping = clock.sleep(60_000, { signal: abort.signal });
    abort.abort();
    await assert.rejects(sleeping);
  });
});
