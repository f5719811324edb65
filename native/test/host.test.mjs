import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import native from '../index.cjs';
import { useTempDir } from './kit.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const index = path.join(here, '..', 'index.cjs');

/** Runs a script in a process of its own and returns what it printed as JSON. */
function child(script, { command = [process.execPath], env = {} } = {}) {
  const wrapped = `const native = require(${JSON.stringify(index)}); console.log(JSON.stringify((() => { ${script} })()));`;
  const run = spawnSync(command[0], [...command.slice(1), '-e', wrapped], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

describe('process marking', () => {
  // In a child: mlockall and the OOM score would outlive the test otherwise.
  it('answers 0 or a negative errno, and takes effect', () => {
    const seen = child(`
      const fs = require('node:fs');
      const results = [native.setIoFlusher(), native.lockMemory(), native.setOomScore(500)];
      const locked = /VmLck:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1];
      return { results, locked: Number(locked), score: Number(fs.readFileSync('/proc/self/oom_score_adj', 'latin1')) };`);
    for (const result of seen.results) assert.ok(result <= 0, `${seen.results}`);
    if (seen.results[1] === 0) assert.ok(seen.locked > 0);
    assert.equal(seen.results[2], 0);
    assert.equal(seen.score, 500);
  });

  it('refuses a score out of range', () => {
    assert.equal(native.setOomScore(5000), -22);
  });

  it('leaves rings and the garbage collector working after memory was locked', () => {
    const seen = child(
      `
      const fs = require('node:fs');
      const lockedKiB = () => Number(/VmLck:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]);
      const status = native.lockMemory();
      const before = lockedKiB();
      let ring = null;
      try { ring = native.open({ entries: 8, arenaBytes: 16 << 20, lockArena: true }); } catch (err) { return { refused: err.code }; }
      for (let round = 0; round < 3; round++) { // grows and shrinks the heap: what mlockall would not survive
        let garbage = Array.from({ length: 300000 }, (_, i) => ({ i }));
        garbage = null;
        gc();
      }
      ring.sq.set([native.OP.ZERO, 0, 0, 16 << 20, 0, 0, 0, 7]);
      ring.tick(1, -1);
      const locked = lockedKiB() - before;
      ring.close();
      return { status, tag: ring.cq[0], locked };`,
      { command: [process.execPath, '--expose-gc'] },
    );
    if (seen.refused) return assert.ok(['ENOMEM', 'EPERM', 'EAGAIN'].includes(seen.refused));
    assert.equal(seen.tag, 7);
    assert.ok(seen.locked >= 16 * 1024, JSON.stringify(seen));
  });
});

describe('a host where io_uring is forbidden', () => {
  const dir = useTempDir();
  let filter = null;

  // A seccomp filter, as containers have it; compiled on the spot because no tool installs one from the command line.
  before(() => {
    const program = path.join(dir.path, 'no-io-uring');
    if (spawnSync('cc', ['-o', program, path.join(here, 'no-io-uring.c')]).status === 0) filter = program;
  });

  for (const [code, errno] of [
    ['EPERM', 1],
    ['ENOSYS', 38],
  ])
    it(`says ${code} with a hint, and everything else works`, function () {
      if (!filter) return this.skip();
      const seen = child(
        `const features = native.kernelFeatures();
        let thrown = null;
        try { native.open({}); } catch (err) { thrown = { code: err.code, errno: err.errno, hint: err.hint, message: err.message }; }
        return { thrown, features, code: features.error.code, hint: features.error.hint, crc: native.crc32c(Buffer.from('123456789'), 0, 9) };`,
        { command: [filter, String(errno), process.execPath] },
      );
      assert.equal(seen.thrown.code, code);
      assert.equal(seen.thrown.errno, -errno);
      assert.match(seen.thrown.hint, /thread-pool fallback/);
      if (code === 'EPERM') assert.match(seen.thrown.hint, /io_uring_disabled.*seccomp/s);
      assert.equal(seen.features.available, false);
      assert.equal(seen.code, code);
      assert.equal(seen.hint, seen.thrown.hint);
      assert.ok(Object.values(seen.features.ops).every((works) => works === false));
      assert.equal(seen.crc, 0xe3069283);
    });

  it('says EMFILE when descriptors run out, and leaks none', function () {
    const seen = child(
      `const fs = require('node:fs');
      const held = [];
      let fd;
      while ((fd = native.openFile('/dev/null', 0)) >= 0) held.push(fd);
      const codes = [];
      for (let free = 0; free < 2; free++) {
        try { native.open({ entries: 8, arenaBytes: 65536 }).close(); codes.push('opened'); } catch (err) { codes.push(err.code); }
        native.closeFd(held.pop());
      }
      let again = 0;
      while ((fd = native.openFile('/dev/null', 0)) >= 0) again++;
      return { codes, again };`,
      { command: ['sh', '-c', 'ulimit -n 200; exec "$0" "$@"', process.execPath] },
    );
    assert.deepEqual(seen, { codes: ['EMFILE', 'EMFILE'], again: 2 });
  });
});

describe('the loader', () => {
  const dir = useTempDir();

  it('never throws at import; without a binary every call says why', () => {
    for (const name of ['index.cjs', 'constants.cjs'])
      fs.copyFileSync(path.join(here, '..', name), path.join(dir.path, name));
    const script = `
      const native = require(${JSON.stringify(path.join(dir.path, 'index.cjs'))});
      let code = '';
      try { native.open({}); } catch (err) { code = err.code; }
      console.log(JSON.stringify({ available: native.available, hasRing: native.hasRing, reason: native.reason, code, read: native.OP.READ }));`;
    const run = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    const seen = JSON.parse(run.stdout);
    assert.deepEqual(
      [seen.available, seen.hasRing, seen.code, seen.read],
      [false, false, 'ERR_MARS_NATIVE_UNAVAILABLE', 1],
    );
    assert.match(seen.reason, /not there/);
  });

  it('offers the same names with and without the addon, to import and to require', async () => {
    const named = await import('../index.cjs');
    for (const [name, value] of Object.entries(native)) {
      assert.ok(value !== undefined, name);
      assert.ok(name in named, `import { ${name} } works`);
    }
    assert.equal(native.available, true);
    assert.equal(native.reason, '');
  });

  it('survives a broken binary', () => {
    const broken = path.join(dir.path, 'prebuilds', `${process.platform}-${process.arch}`);
    fs.mkdirSync(broken, { recursive: true });
    fs.writeFileSync(path.join(broken, 'mars.node'), 'no binary');
    const script = `console.log(require(${JSON.stringify(path.join(dir.path, 'index.cjs'))}).available)`;
    assert.equal(spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stdout.trim(), 'false');
  });
});
