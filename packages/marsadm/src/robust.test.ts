import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { LamportClock, TreeStore, snapshotText } from '@mars/mars-tree';
import { COMMANDS } from './commands/index.js';
import { runMarsadm } from './marsadm.js';
import { START_NS, StoryWorld, type Reaction } from './testing/story-world.test.kit.js';
import { MACROS } from './view/macros.js';

/** Runs of each property; more with `MARS_FUZZ_RUNS`. */
const RUNS = Number(process.env['MARS_FUZZ_RUNS'] ?? 60);

const HOSTS = ['nodea', 'nodeb', 'nodec'];
const host = fc.constantFrom(...HOSTS);
const zeros = '0'.repeat(32);

/** Values as they should be, as they should not be, and deleted ones. */
const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('0', '1', '1', 'nodea', 'nodeb', '(none)', '1048576', '4096', '.deleted') },
  {
    weight: 2,
    arbitrary: fc.constantFrom('log-000000001-nodea,5000,0', 'log-000000002-nodeb,0,100', '192.0.2.9', '-5'),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      `${zeros},log-000000001-nodea,5000:`,
      `${zeros},log-000000002-nodeb,10:${zeros},log-000000001-nodea,5000`,
      '1700000000.000000001',
    ),
  },
  { weight: 1, arbitrary: fc.stringMatching(/^[ -~]{1,20}$/) },
);

/** Links of a resource, and around it. */
const path = fc.oneof(
  fc.constantFrom(
    'uuid',
    'resource-r/size',
    'resource-r/primary',
    'resource-r/maxnr',
    'resource-r/userspace/last-primary',
  ),
  fc
    .tuple(fc.constantFrom('data', 'device', 'replay', 'syncstatus', 'syncpos', 'actsize'), host)
    .map(([k, h]) => `resource-r/${k}-${h}`),
  fc.tuple(fc.nat(3), host).map(([n, h]) => `resource-r/version-00000000${n}-${h}`),
  fc
    .tuple(fc.constantFrom('attach', 'connect', 'sync', 'allow-replay'), host)
    .map(([k, h]) => `resource-r/todo-${h}/${k}`),
  fc
    .tuple(
      fc.constantFrom('is-attached', 'is-primary', 'if-on', 'open-count', 'replay-code', 'has-emergency', 'msg-err-x'),
      host,
    )
    .map(([k, h]) => `resource-r/actual-${h}/${k}`),
  host.map((h) => `ips/ip-${h}`),
  fc.tuple(fc.constantFrom('time', 'tree', 'usable', 'msg-wrn-y'), host).map(([k, h]) => `actual-${h}/${k}`),
);

const links = fc.array(fc.tuple(path, value, fc.nat(1000)), { maxLength: 60 });
const logs = fc.array(fc.tuple(fc.nat(3), host, fc.nat(9000)), { maxLength: 4 });
const names = COMMANDS.map(({ name }) => name).filter((name) => !name.startsWith('view-wait-'));

/** The examples of all commands, on our resource and our disk. */
const example = fc.constantFrom(
  ...COMMANDS.flatMap(({ examples }) => examples)
    .filter((text) => !/[&;|$]/.test(text) && !text.includes('--watch'))
    .map((text) =>
      text
        .replace(/\/dev\/vg0\/\S+/, 'DISK')
        .replace(/\b(mydata|r1)\b/g, 'r')
        .split(' '),
    ),
);
const viewing = fc
  .tuple(fc.constantFrom(...MACROS.keys()), fc.constantFrom('r', 'all'))
  .map(([macro, of]) => [`view-${macro}`, of]);

/** Links of two hosts that are well; what the story plants comes on top. */
const HEALTHY: readonly [string, string][] = [
  ['resource-r/size', '1048576'],
  ['resource-r/primary', 'nodea'],
  ['resource-r/userspace/last-primary', 'nodea'],
  ['resource-r/version-000000001-nodec', `${zeros},log-000000001-nodea,5000:`],
  ...['nodea', 'nodeb'].flatMap((of): [string, string][] => [
    [`ips/ip-${of}`, '192.0.2.1'],
    [`actual-${of}/time`, '1699999999.000000000'],
    [`resource-r/data-${of}`, '/dev/vg/r'],
    [`resource-r/device-${of}`, 'r'],
    [`resource-r/replay-${of}`, 'log-000000001-nodea,5000,0'],
    [`resource-r/version-000000000-${of}`, `${zeros},log-000000000-nodea,0:`],
    [`resource-r/version-000000001-${of}`, `${zeros},log-000000001-nodea,5000:`],
    [`resource-r/syncstatus-${of}`, '1048576'],
    [`resource-r/actsize-${of}`, '1048576'],
    [`resource-r/actual-${of}/is-primary`, of === 'nodea' ? '1' : '0'],
    ...['attach', 'connect', 'sync', 'allow-replay'].map((name): [string, string] => [
      `resource-r/todo-${of}/${name}`,
      '1',
    ]),
  ]),
];

const word = fc.constantFrom('r', 'nodeb', '2', '1', 'DISK', 'is-attach', '/mars/userspace/x', 'all', '192.0.2.3');
const flags = fc.subarray(['--force', '--verbose', '--host=nodeb', '--window=4', '--json', '--no-mountpoint-check']);

interface Story {
  links: [string, string, number][];
  logs: [number, string, number][];
  isLoaded: boolean;
  isHealthy: boolean;
  host: string;
  argv: string[];
}

const line = fc.oneof(
  { weight: 5, arbitrary: example },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom(...names), word, word, word) },
  { weight: 1, arbitrary: viewing },
);

const story: fc.Arbitrary<Story> = fc.record({
  links,
  logs,
  isLoaded: fc.boolean(),
  isHealthy: fc.boolean(),
  host,
  argv: fc.tuple(line, flags).map(([words, rest]) => [...words, ...rest, '--timeout=1']),
});

/** Half of the time somebody answers. */
const REACTIONS: Reaction[] = ['nodeb', 'nodec'].map((peer) => ({
  trigger: '3',
  afterMs: 50,
  path: `actual-${peer}/time`,
  value: 'NOW',
}));

describe('marsadm, whatever stands in the tree', () => {
  /** A new world for each run; checks what must be so in any case. */
  async function play({
    links,
    logs,
    isLoaded,
    isHealthy,
    host,
    argv,
  }: Story): Promise<{ world: StoryWorld; before: string; after: string }> {
    const dir = mkdtempSync(join(tmpdir(), 'marsadm-fuzz-'));
    try {
      writeFileSync(join(dir, 'disk'), '');
      truncateSync(join(dir, 'disk'), 1 << 20);
      const reactions = [...REACTIONS];
      const world = new StoryWorld({
        dir,
        host,
        isLoaded,
        reactions,
        names: new Map(),
        programs: new Map(),
        env: {},
      });
      world.plant('uuid', 'nodea_1690000000.000000000', START_NS - 1n);
      if (isHealthy) for (const [key, text] of HEALTHY) world.plant(key, text, START_NS - 60_000_000_000n);
      const planted = isHealthy ? links.slice(0, 4) : links;
      for (const [key, text, age] of planted) world.plant(key, text, START_NS - BigInt(age) * 1_000_000_000n);
      for (const [n, creator, bytes] of logs) plantLog(world, n, creator, bytes);
      const before = read(world);
      const status = await runMarsadm(
        argv.map((arg) => arg.replace('DISK', join(dir, 'disk'))),
        world,
      );
      assert.ok([0, 1, 2, 64].includes(status), `exit ${status}`);
      assert.ok(!/unexpected|TypeError|undefined/.test(world.stderr + world.stdout), world.stderr + world.stdout);
      const after = read(world);
      if (status === 64) assert.equal(after, before, 'a command line without sense has changed something');
      return { world, before, after };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  function plantLog(world: StoryWorld, n: number, creator: string, bytes: number): void {
    world.files.makeDir(`${world.marsDir}/resource-r`, { recursive: true });
    const file = `${world.marsDir}/resource-r/log-00000000${n}-${creator}`;
    writeFileSync(file, '');
    truncateSync(file, bytes);
  }

  /** Everything that stands there, and nothing that was left behind. */
  function read(world: StoryWorld): string {
    const store = new TreeStore({
      files: world.files,
      clock: new LamportClock(world.clock),
      root: world.marsDir,
      me: 'x',
    });
    store.load();
    const left = [...hidden(world, world.marsDir)].filter((name) => name.startsWith('.tmp'));
    assert.deepEqual(left, [], 'temporary links were left behind');
    return snapshotText(store.snapshot);
  }

  function* hidden(world: StoryWorld, dir: string): IterableIterator<string> {
    for (const { name, kind } of world.files.readDir(dir) ?? []) {
      if (name.startsWith('.')) yield name;
      if (kind === 'directory') yield* hidden(world, `${dir}/${name}`);
    }
  }

  it('ends with a status that it promises, and leaves no temporary links', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(story, async (given) => void (await play(given))),
      { numRuns: RUNS },
    );
  });

  it('changes nothing with --dry-run, and does not wait for long', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(story, async (given) => {
        const { world, before, after } = await play({ ...given, argv: [...given.argv, '--dry-run'] });
        assert.equal(after, before);
        assert.deepEqual(world.triggers, []);
      }),
      { numRuns: RUNS },
    );
  });

  it('shows facts on stdout and nothing else but separators', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(story, fc.constantFrom(...MACROS.keys()), async (given, macro) => {
        const { before, after } = await play({ ...given, isLoaded: false, argv: [`view-${macro}`, 'r'] });
        assert.equal(after, before, 'a view has changed something');
      }),
      { numRuns: RUNS },
    );
  });
});
