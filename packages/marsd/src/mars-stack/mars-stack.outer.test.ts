import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkStack } from '@mars/stack';
import { allBrickTypes } from '../compose.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const STACKS = fileURLToPath(new URL('../../../../stacks', import.meta.url));
/** A run that takes longer hangs. */
const LIMIT_MS = 60_000;

const ENDLESS = `
mars: 1
stack: endless
bricks:
  disk: { type: ram, params: { size: 16M } }
  slow: { type: delay, in: disk }
  load: { type: load, in: slow, params: { depth: 8, mix: 50r/50w, verify: true } }
`;

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

describe('mars-stack', function () {
  this.timeout(2 * LIMIT_MS);
  let dir = '';
  const children = new Set<ChildProcess>();

  before(() => (dir = mkdtempSync(join(tmpdir(), 'mars-stack-'))));
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  });

  it('ends the fault test by itself, with the same result line for the same seed and another one for another seed', async () => {
    const run = (seed: number): Promise<Ended> =>
      mars('run', `${STACKS}/fault-test.yaml`, '--set', `seed=${seed}`, '--set', 'count=3000', '--json');
    const [first, second, other] = [await run(7), await run(7), await run(8)];
    assert.equal(first.code, 0, first.err);
    assert.equal(first.out, second.out);
    const result = JSON.parse(first.out.trimEnd().split('\n').at(-1)!) as {
      ok: boolean;
      ended: string;
      resultHash: string;
    };
    assert.deepEqual([result.ok, result.ended], [true, 'finished']);
    assert.match(result.resultHash, /^[0-9a-f]{16}$/);
    assert.notEqual((JSON.parse(other.out) as { resultHash: string }).resultHash, result.resultHash);
  });

  it('runs a stack for a while and sums it up', async () => {
    const { code, out } = await mars(
      'run',
      file('endless.yaml', ENDLESS),
      '--duration',
      '300ms',
      '--quiet',
      '--no-ctl',
    );
    assert.equal(code, 0);
    assert.match(
      out,
      /^endless: stopped after .*\n {2}[\d,]+ requests, .*\n.*p50 .*\n {2}result hash [0-9a-f]{16}\n {2}no failure\n$/,
    );
  });

  it('fails, with exit code 1, when a brick of the stack finds a fault', async () => {
    const flipped = ENDLESS.replace('type: delay, in: disk', 'type: error, in: disk, params: { flip: 0.01 }').replace(
      'depth: 8',
      'depth: 8, count: 5000',
    );
    const { code, out } = await mars('run', file('flipped.yaml', flipped), '--world', 'sim', '--json');
    assert.equal(code, 1);
    const { ok, problems } = JSON.parse(out) as { ok: boolean; problems: string[] };
    assert.equal(ok, false);
    assert.match(problems[0]!, /^load failed: /);
  });

  it('refuses a simulated stack that would never end, and one that cannot start', async () => {
    const idle = 'mars: 1\nstack: idle\nworld: sim\nbricks: { disk: { type: ram } }';
    assert.match((await mars('run', file('idle.yaml', idle))).err, /SIM_STUCK: .*never end/);
    const misfit = ENDLESS.replace('depth: 8', 'depth: 8, start: 1G');
    const { code, out } = await mars('run', file('misfit.yaml', misfit), '--world', 'sim', '--quiet');
    assert.equal(code, 1);
    assert.match(out, /could not start[^]*load is not on: .*do not fit/);
  });

  describe('bad input: exit code 2, place and remedy, nothing started', () => {
    const cases: [string, string, RegExp][] = [
      [
        'an unknown brick type',
        ENDLESS.replace('type: delay', 'type: dealy'),
        /:6:17: UNKNOWN_BRICK_TYPE: .*\n.*Did you mean "delay"/,
      ],
      [
        'an unknown parameter',
        ENDLESS.replace('depth', 'dpeth'),
        /:7:43: BAD_PARAMETER: .*"dpeth"\n.*Did you mean "depth"/,
      ],
      [
        'an ill-typed parameter',
        ENDLESS.replace('16M', 'big'),
        /:5:38: BAD_PARAMETER: .*"size" is "big"\n.*Write a size/,
      ],
      ['a missing wire', ENDLESS.replace(', in: slow', ''), /:7:3: MISSING_WIRE: .*\n.*in: BRICK/],
      [
        'a cycle',
        ENDLESS.replace('in: disk', 'in: other').replace('  load:', '  other: { type: delay, in: slow }\n  load:'),
        /WIRE_CYCLE: .*slow → other → slow/,
      ],
      ['a second writer', `${ENDLESS}  more: { type: load, in: disk }`, /:8:27: PERMISSION_CONFLICT/],
      ['YAML that cannot be read', `${ENDLESS}  more: { type: `, /BAD_STACK_FILE: this is not YAML/],
    ];
    for (const [what, text, screen] of cases) {
      it(what, async () => {
        const { code, out, err } = await mars('run', file('bad.yaml', text));
        assert.deepEqual([code, out], [2, '']);
        assert.match(err, screen);
        assert.ok(err.split('\n').length <= 24, 'one screen');
      });
    }

    it('a file that is not there, an unknown option, no command, an unknown type', async () => {
      assert.equal((await mars('check', `${dir}/nothing.yaml`)).code, 2);
      assert.equal((await mars('run', file('endless.yaml', ENDLESS), '--wrold=sim')).code, 2);
      assert.equal((await mars()).code, 2);
      assert.equal((await mars('show', 'dealy')).code, 2);
      assert.equal((await mars('run', file('endless.yaml', ENDLESS), '--set', 'x=1')).code, 2);
      assert.equal((await mars('run', file('endless.yaml', ENDLESS), '--duration', 'soon')).code, 2);
    });

    it('as JSON, too', async () => {
      const { code, out } = await mars('check', file('bad.yaml', ENDLESS.replace('delay', 'dealy')), '--json');
      assert.equal(code, 2);
      const { ok, error } = JSON.parse(out) as {
        ok: boolean;
        error: { code: string; place: { line: number }; problems: unknown[] };
      };
      assert.deepEqual([ok, error.code, error.place.line, error.problems.length], [false, 'UNKNOWN_BRICK_TYPE', 6, 1]);
    });
  });

  it('shows the catalogue, every type with a stack that is good', async () => {
    const { out } = await mars('list', '--json');
    const { types } = JSON.parse(out) as { types: { type: string }[] };
    for (const type of ['ram', 'delay', 'load']) {
      assert.ok(types.some((one) => one.type === type));
      const { example } = JSON.parse((await mars('show', type, '--json')).out) as { example: string };
      assert.notEqual(checkStack(example, { registry: allBrickTypes() }).plan, null, type);
    }
    assert.match((await mars('show', 'delay')).out, /write +duration +\(0ms\).*\[live\]/);
  });

  it('checks and draws every stack of the repository', async () => {
    for (const name of readdirSync(STACKS).filter((one) => one.endsWith('.yaml'))) {
      const { plan } = checkStack(
        { file: name, text: readFileSync(join(STACKS, name), 'utf8') },
        { registry: allBrickTypes() },
      );
      assert.notEqual(plan, null, name);
    }
    assert.equal((await mars('check', `${STACKS}/demo-ram.yaml`)).code, 0);
    const overlay = ['--overlay', `${STACKS}/overlays/slow-disk.yaml`];
    assert.match(
      (await mars('graph', `${STACKS}/demo-ram.yaml`, ...overlay)).out,
      /slow_disk +delay +write: 20ms +\[slow-disk\]/,
    );
    assert.match((await mars('graph', `${STACKS}/demo-ram.yaml`, '--format', 'svg')).out, /^<svg [^]*<\/svg>\n$/);
    assert.match((await mars('graph', `${STACKS}/demo-ram.yaml`, '--format', 'dot')).out, /^digraph "demo-ram"/);
  });

  it('has help with examples', async () => {
    const { code, out } = await mars('run', '--help');
    assert.equal(code, 0);
    assert.match(out, /Examples:[^]*mars-stack run stacks\/demo-ram\.yaml/);
  });

  describe('a running stack', () => {
    let running: ReturnType<typeof start>;

    beforeEach(async () => {
      running = start('run', file('endless.yaml', ENDLESS));
      await until(() => readdirSync(dir).includes('stack-endless.sock'));
      await until(async () => (await mars('ctl', 'status')).out.includes('● load'));
    });

    afterEach(async () => {
      running.child.kill('SIGTERM');
      await running.ended;
    });

    it('shows leds and statistics, and takes a filter in and out under load', async () => {
      assert.equal(statSync(`${dir}/stack-endless.sock`).mode & 0o777, 0o600);
      assert.equal(
        (await mars('ctl', 'insert', 'load.next', 'delay', 'write=1ms', '--name', 'extra')).out,
        'inserted "extra"\n',
      );
      assert.match((await mars('ctl', 'status')).out, /● load .*next → extra[^]*● extra .*next → slow/);
      assert.equal((await mars('ctl', 'set', 'extra', 'write=2ms')).code, 0);
      assert.equal((await mars('ctl', 'remove', 'extra')).out, 'done\n');
      assert.doesNotMatch((await mars('ctl', '--stack', 'endless', 'status')).out, /extra/);
      const { result } = JSON.parse((await mars('ctl', 'stats', '--json')).out) as {
        result: { load: { counters: Record<string, number>; facts: Record<string, unknown> } };
      };
      assert.ok(result.load.counters.reads! > 0);
      assert.equal(result.load.facts.failed, false);
      assert.equal((await mars('ctl', 'reset-stats')).code, 0);
    });

    it('refuses what is wrong, and goes on', async () => {
      assert.equal((await mars('ctl', 'insert', 'load.nxet', 'delay')).code, 2);
      assert.equal((await mars('ctl', 'insert', 'load.next', 'ram')).code, 2);
      assert.equal((await mars('ctl', 'set', 'slow', 'seed=3')).code, 1);
      assert.equal((await mars('ctl', 'frobnicate')).code, 2);
      assert.match(await rawly('this is not JSON\n'), /"ok":false.*not JSON/);
      assert.match(await rawly('{"id":1,"do":"insert","wire":7}\n'), /"ok":false.*wrong type/);
      assert.match((await mars('ctl', 'status')).out, /● load/);
    });

    it('stops cleanly on a signal, with a summary, and leaves no socket', async () => {
      running.child.kill('SIGINT');
      const { code, out } = await running.ended;
      assert.equal(code, 0);
      assert.match(out, /endless: stopped on request after[^]*no failure\n$/);
      assert.ok(!readdirSync(dir).includes('stack-endless.sock'));
      assert.equal((await mars('ctl', 'status')).code, 1);
    });

    it('stops when it is asked to at its socket', async () => {
      assert.equal((await mars('ctl', `${dir}/stack-endless.sock`, 'stop')).code, 0);
      assert.equal((await running.ended).code, 0);
    });
  });

  function file(name: string, text: string): string {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  }

  function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, MARS_RUN: dir, NO_COLOR: '1' },
      timeout: LIMIT_MS,
    });
    children.add(child);
    let [out, err] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    const ended = new Promise<Ended>((resolve) =>
      child.on('close', (code) => {
        children.delete(child);
        resolve({ code, out, err });
      }),
    );
    return { child, ended };
  }

  function mars(...args: string[]): Promise<Ended> {
    return start(...args).ended;
  }

  async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
    for (let i = 0; i < 200; i++) {
      if (await isTrue()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('it did not happen');
  }

  /** One line to the socket, as another program would write it. */
  function rawly(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(`${dir}/stack-endless.sock`, () => socket.write(line));
      socket.once('data', (answer: Buffer) => {
        socket.destroy();
        resolve(answer.toString());
      });
      socket.once('error', reject);
    });
  }
});
