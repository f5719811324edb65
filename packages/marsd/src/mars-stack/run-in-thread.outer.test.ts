import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunResult } from './result.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const CORE = dirname(fileURLToPath(import.meta.resolve('@mars/brick-core/package.json')));
/** A run that takes longer hangs. */
const LIMIT_MS = 60_000;

/** Every byte that is read is compared with what was written: by the load, and once more above the file. */
const onFile = (path: string): string => `
mars: 1
stack: file
bricks:
  disk:  { type: aio, params: { path: ${path}, create: true, size: 16M } }
  check: { type: check, in: disk, params: { verifyReads: true } }
  load:  { type: load, in: check, params: { depth: 16, mix: 50r/45w/5f, verify: true COUNT } }
`;

/** A brick of a package that breaks an invariant, as a bug would. */
const CRASH = `
import { Brick, FilterBrick, InvariantError } from '@mars/brick-core';
let requests = 0;
export class Crash extends FilterBrick {
  io(o) {
    if (++requests > 2000) throw new InvariantError('invariant violated: two and two are five');
    this.next.io(o);
  }
}
Brick({ type: 'test/crash', inputs: { next: {} }, ops: 'all' })(Crash);
`;

interface Ended {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
}

describe('mars-stack run, with the stack in a thread of its own', function () {
  this.timeout(2 * LIMIT_MS);
  let dir = '';
  const children = new Set<ChildProcess>();

  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'mars-thread-'))));
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  });

  for (const ring of ['io_uring where there is one', 'the thread pool']) {
    it(`reads from a file what it wrote, over ${ring}`, async () => {
      const env = ring === 'the thread pool' ? { MARS_NO_NATIVE: '1' } : {};
      const { ended } = start(env, 'run', stack(', count: 20000'), '--json', '--no-ctl');
      const { code, out, err } = await ended;
      assert.equal(code, 0, err);
      const { ended: why, requests, bricks, problems } = JSON.parse(out) as RunResult;
      assert.deepEqual([why, problems], ['finished', []]);
      // At its end the load reads once more everything that it has written.
      assert.ok(requests >= 20_000);
      assert.equal(bricks.check!.counters.requests, requests);
      assert.equal(bricks.check!.counters.faults, 0);
      assert.ok(bricks.load!.counters.flushes! > 0);
    });
  }

  it('takes filters in and out under verified load, and drains on SIGTERM', async () => {
    const { child, ended } = start({}, 'run', stack(''), '--json');
    await until(async () => (await mars('ctl', 'status')).out.includes('● load'));
    for (let i = 0; i < 3; i++) {
      assert.equal((await mars('ctl', 'insert', 'check.next', 'delay', 'write=1ms', '--name', 'extra')).code, 0);
      assert.match((await mars('ctl', 'status')).out, /● check .*next → extra[^]*● extra .*next → disk/);
      assert.equal((await mars('ctl', 'remove', 'extra')).out, 'done\n');
    }
    child.kill('SIGTERM');
    const { code, signal, out, err } = await ended;
    assert.deepEqual([code, signal], [0, null], err);
    const { ended: why, requests, bricks, problems } = JSON.parse(out) as RunResult;
    assert.deepEqual([why, problems], ['signal', []]);
    assert.ok(requests > 0);
    assert.deepEqual([bricks.check!.counters.requests, bricks.check!.counters.faults], [requests, 0]);
    assert.deepEqual(
      readdirSync(dir).filter((name) => name.endsWith('.sock')),
      [],
    );
  });

  it('says what its thread died of, with exit code 1, and leaves no socket', async () => {
    installCrash();
    const crashing = onFile(join(dir, 'disk.img'))
      .replace(' COUNT', '')
      .replace('type: check, in: disk, params: { verifyReads: true }', 'type: test/crash, in: disk');
    writeFileSync(join(dir, 'stack.yaml'), crashing);
    const { code, signal, out } = await start({}, 'run', join(dir, 'stack.yaml'), '--quiet').ended;
    assert.deepEqual([code, signal], [1, null]);
    assert.match(
      out,
      /^file: its thread died after .*\n[^]*✖ the thread of stack "file" died: .*two and two are five\n/,
    );
    assert.deepEqual(
      readdirSync(dir).filter((name) => name.endsWith('.sock')),
      [],
    );
  });

  it('runs in the main thread when it is asked to', async () => {
    const { ended } = start({}, 'run', stack(', count: 2000'), '--in-process', '--json', '--no-ctl');
    const { requests, ok } = JSON.parse((await ended).out) as RunResult;
    assert.ok(ok && requests >= 2000);
  });

  function stack(count: string): string {
    const path = join(dir, 'stack.yaml');
    writeFileSync(path, onFile(join(dir, 'disk.img')).replace(' COUNT', count));
    return path;
  }

  /** A plugin directory as npm would leave it. */
  function installCrash(): void {
    const home = join(dir, 'plugins/node_modules/crash');
    mkdirSync(join(dir, 'plugins/node_modules/@mars'), { recursive: true });
    mkdirSync(home);
    symlinkSync(CORE, join(dir, 'plugins/node_modules/@mars/brick-core'));
    const json = (path: string, content: object): void => writeFileSync(path, JSON.stringify(content));
    json(join(dir, 'plugins/package.json'), { dependencies: { crash: '1.0.0' } });
    writeFileSync(join(dir, 'plugins/allow.yaml'), 'mars: 1\nallow: [{ name: crash }]\n');
    const brick = { type: 'test/crash', module: './index.js', export: 'Crash' };
    json(join(home, 'package.json'), {
      ...{ name: 'crash', version: '1.0.0', type: 'module', keywords: ['mars-brick'] },
      mars: { api: 1, bricks: [brick] },
    });
    writeFileSync(join(home, 'index.js'), CRASH);
  }

  function start(env: object, ...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, MARS_RUN: dir, MARS_ETC: dir, NO_COLOR: '1', ...env },
      timeout: LIMIT_MS,
    });
    children.add(child);
    let [out, err] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    const ended = new Promise<Ended>((resolve) =>
      child.on('close', (code, signal) => {
        children.delete(child);
        resolve({ code, signal, out, err });
      }),
    );
    return { child, ended };
  }

  function mars(...args: string[]): Promise<Ended> {
    return start({}, ...args).ended;
  }

  async function until(isTrue: () => Promise<boolean>): Promise<void> {
    for (let i = 0; i < 100; i++) if (await isTrue()) return;
    throw new Error('it did not happen');
  }
});
