import assert from 'node:assert/strict';
import { crashPoint } from '@mars/brick-core';
import { SimulationFailure, defineScenario, playOnce, playSeeds, runSimCli, simulate } from './index.js';

interface Said {
  code: number;
  out: string[];
  err: string[];
  files: Map<string, string>;
}

async function cli(...argv: string[]): Promise<Said> {
  const said: Said = { code: -1, out: [], err: [], files: new Map() };
  said.code = await runSimCli(argv, {
    out: (line) => said.out.push(line),
    err: (line) => said.err.push(line),
    writeFile: (path, text) => said.files.set(path, text),
    nowMs: () => 0,
  });
  return said;
}

/** State outside of all worlds: what makes a run differ from the one before. */
let runs = 0;

const good = defineScenario('test-good', 'for the tests of the command line', { seeds: 3 }, async (world) => {
  const { loop } = world.host('a');
  await world.drive(loop.sleep(1 + world.random.int(10)));
});

const bad = defineScenario('test-bad', 'fails with every third seed', { seeds: 5 }, async (world) => {
  await world.advance(1);
  if (world.seed % 3 === 0) throw new Error('as it must');
});

defineScenario('test-wild', 'is different every time', { seeds: 1 }, async (world) => {
  await world.advance(++runs);
});

simulate('a simulation is a test and a scenario', { hosts: 2, seeds: 2 }, async (world) => {
  world.crashAt({ host: 'b', point: 'test.cli', hit: 1 });
  for (const host of world.hosts) host.run(() => crashPoint('test.cli'));
  await world.run();
  assert.deepEqual(
    world.hosts.map((host) => host.isUp),
    [true, false],
  );
});

describe('npm run sim', () => {
  it('lists scenarios, also those of tests', async () => {
    const { code, out } = await cli('--list');
    assert.equal(code, 0);
    for (const name of ['test-good', 'test-bad', 'a-simulation-is-a-test-and-a-scenario']) {
      assert.ok(
        out.some((line) => line.startsWith(name)),
        name,
      );
    }
    assert.deepEqual(JSON.parse((await cli('--list', '--scenario', 'test-good', '--json')).out[0]!), {
      name: 'test-good',
      about: 'for the tests of the command line',
      hosts: 1,
      seeds: 3,
    });
  });

  it('plays the seeds of a scenario and ends with 0', async () => {
    const { code, out } = await cli('--scenario', 'test-good');
    assert.equal(code, 0);
    assert.equal(out.at(-1), '3 runs, all passed, 0.0 s');
    assert.match((await cli('--scenario=test-good', '--seed=7')).out[0]!, /seed 7, trace [0-9a-f]{16}/);
  });

  it('says how to see a failure again, and ends with 1', async () => {
    const { code, out } = await cli('--scenario', 'test-bad', '--from', '1', '--seeds', '6');
    assert.equal(code, 1);
    assert.match(
      out.join('\n'),
      /FAILED: test-bad, seed 3\n {2}commit: .+\n {2}replay: npm run sim -- --seed 3 --scenario test-bad/,
    );
    assert.equal(out.at(-1), '6 runs, 2 FAILED, 0.0 s');
  });

  it('speaks JSON in which nothing hangs on clock or machine', async () => {
    const one = await cli('--scenario', 'test-bad', '--json');
    assert.deepEqual(one.out, (await cli('--scenario', 'test-bad', '--json')).out);
    const lines = one.out.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      lines.map((line) => line.ok),
      [true, true, false, true, true, false],
    );
    assert.deepEqual(lines.at(-1), { played: 5, failed: 1, ok: false });
  });

  it('finds, with --twice, scenarios that ask the real world', async () => {
    assert.equal((await cli('--scenario', 'test-good', '--twice')).code, 0);
    const { code, out } = await cli('--scenario', 'test-wild', '--twice');
    assert.equal(code, 1);
    assert.match(out.join('\n'), /SIM_MISMATCH: seed 1 gave two different runs; they part at line 1/);
  });

  it('writes the full trace', async () => {
    const { files } = await cli('--scenario', 'test-good', '--seed', '1', '--trace', '/tmp/t');
    assert.match(files.get('/tmp/t')!, /^[\d.]+ host0 timer\n/);
  });

  it('refuses what it does not understand with 2', async () => {
    for (const argv of [['--nonsense'], ['--seed'], ['--seed', '-1'], ['--seeds', '1.5'], ['--scenario', 'test-god']]) {
      const { code, err } = await cli(...argv);
      assert.equal(code, 2, argv.join(' '));
      assert.notEqual(err.length, 0);
    }
    assert.match((await cli('--scenario', 'test-god')).err[0]!, /test-good/);
    assert.equal((await cli('--help')).code, 0);
  });
});

describe('simulate', () => {
  it('fails with the seed, the commit and the command that plays it again', async () => {
    await assert.rejects(playSeeds(bad), (error: SimulationFailure) => {
      assert.match(
        error.message,
        /failed with seed 3\n {2}commit: .+\n {2}replay: npm run sim -- --seed 3 --scenario test-bad\n.*as it must/,
      );
      return true;
    });
    await playSeeds(good);
  });

  it('builds thousands of worlds quickly and keeps none of them', async () => {
    for (let seed = 0; seed < 300; seed++) assert.equal((await playOnce(good, seed)).error, null);
    global.gc?.();
    const before = process.memoryUsage();
    for (let seed = 0; seed < 1500; seed++) await playOnce(good, seed);
    global.gc?.();
    const after = process.memoryUsage();
    const grownBytes = after.heapUsed - before.heapUsed;
    assert.ok(grownBytes < 5e6, `${Math.round(grownBytes / 1e6)} MB more after 1500 worlds`);
  });
});
