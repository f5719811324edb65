import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { LamportClock, TreeStore, isDirectory, type Directory, type Entry, type TreeSnapshot } from '@mars/mars-tree';
import { runMarsadm } from '../marsadm.js';
import { START_NS, StoryWorld, type StoryOptions } from './story-world.test.kit.js';

/**
 * Transcripts: stories of one host, as text. The lines that begin with `out|`, `err|`, `tree|`, `trigger|`, `exit` and `took` are what
 * happened; all others are what is given. `MARS_UPDATE_TRANSCRIPTS=1` writes anew what happened: commit only differences you can explain.
 *
 * ```
 * == a title that is a sentence, true when the transcript is right
 * given pair                                   all lines of testdata/trees/pair.tree
 * host nodea                                   (default: nodea)
 * loaded                                       the daemon runs
 * ips/ip-nodea -> 192.0.2.1                    a link, ten minutes old; `@ -5s` behind it: five seconds old
 * resource-r/log-000000001-nodea = 5           a file of 5 bytes
 * disk DIR/disk = 1048576                      a file outside of the tree; DIR is the directory of the story
 * name nodeb 192.0.2.2                         what the name service knows
 * program ssh … => 0 TEXT                      a program: status and output
 * env KEY=VALUE
 * at 1.5s PATH -> VALUE                        written while the next command runs; NOW is the time
 * on 2 after 0.1s PATH -> VALUE                written after a trigger; `on *`: after any
 * interrupt 1.5s                              somebody presses Ctrl-C in the next command
 * $ marsadm …
 * ```
 */
export function describeTranscripts(file: string): void {
  const text = readFileSync(file, 'utf8');
  const [head, ...stories] = text.split(/^(?=== )/m);
  const results: string[] = [];
  describe(
    file
      .split('/')
      .at(-1)!
      .replace(/\.txt$/, ''),
    () => {
      for (const story of stories) {
        const title = /^== (.*)$/m.exec(story)![1]!;
        it(title, async () => {
          const played = await play(story, dirname(file));
          results.push(played);
          if (process.env['MARS_UPDATE_TRANSCRIPTS'] !== '1') assert.equal(played, story);
        });
      }
      after(() => {
        if (process.env['MARS_UPDATE_TRANSCRIPTS'] !== '1' || results.length !== stories.length) return;
        writeFileSync(file, head + results.join(''));
      });
    },
  );
}

const OUTCOME = /^(out\||err\||tree\||trigger\||exit |took )/;

/** @returns the story with what happened this time */
async function play(story: string, dataDir: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'marsadm-'));
  try {
    return await new Player(dir, dataDir).play(story.split('\n').filter((line) => !OUTCOME.test(line)));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

class Player {
  private world: StoryWorld | null = null;
  private readonly options: StoryOptions;
  private readonly planted: string[] = [];

  constructor(
    private readonly dir: string,
    private readonly dataDir: string,
  ) {
    this.options = {
      dir,
      host: 'nodea',
      isLoaded: false,
      reactions: [],
      names: new Map(),
      programs: new Map(),
      env: {},
    };
  }

  async play(lines: readonly string[]): Promise<string> {
    const told: string[] = [];
    for (const line of lines) {
      told.push(line);
      if (line.startsWith('$ ')) told.push(...(await this.command(line)));
      else this.given(line);
    }
    return told.join('\n');
  }

  private given(line: string): void {
    const [word = '', ...rest] = line.split(' ');
    if (line === '' || word === '#' || word === '==') return;
    if (word === 'given') {
      const tree = readFileSync(join(this.dataDir, 'trees', `${rest[0]}.tree`), 'utf8');
      for (const each of tree.split('\n')) this.given(each);
    } else if (word === 'host') this.options.host = rest[0]!;
    else if (word === 'loaded') this.options.isLoaded = true;
    else if (word === 'name') this.options.names.set(rest[0]!, rest[1]!);
    else if (word === 'env')
      this.options.env[rest[0]!.split('=')[0]!] = this.inDir(rest.join(' ').replace(/^[^=]*=/, ''));
    else if (word === 'interrupt') this.options.interruptMs = Number.parseFloat(rest[0]!) * 1000;
    else if (word === 'program') this.program(line);
    else if (word === 'at' || word === 'on') this.reaction(line);
    else if (word === 'disk') makeFile(this.inDir(rest[0]!), Number(rest[2]));
    else this.plant(line);
  }

  private inDir(text: string): string {
    return text.replaceAll('DIR', this.dir);
  }

  private program(line: string): void {
    const [, command, status, stdout] = /^program (.*) => (\d+) ?(.*)$/.exec(line)!;
    this.options.programs.set(command!, { status: Number(status), stdout: `${stdout}\n` });
  }

  private reaction(line: string): void {
    const match = /^(?:at ([\d.]+)s|on (.*) after ([\d.]+)s) (\S+) -> (.*)$/.exec(line);
    assert.ok(match, `cannot understand: ${line}`);
    const [, at, trigger, after, path, value] = match;
    this.options.reactions.push({
      trigger: trigger ?? null,
      afterMs: Number(at ?? after) * 1000,
      path: path!,
      value: value!,
    });
  }

  private plant(line: string): void {
    if (this.world === null) this.planted.push(line);
    else this.put(this.world, line);
  }

  private put(world: StoryWorld, line: string): void {
    const link = /^(\S+) -> (.*?)(?: @ ([-+][\d.]+)s)?$/.exec(line);
    const file = /^(\S+) = (\d+)$/.exec(line);
    const text = /^(\S+) : (.*)$/.exec(line);
    if (link !== null) {
      const ageNs = BigInt(Math.round(Number(link[3] ?? -600) * 1e6)) * 1000n;
      world.plant(link[1]!, this.inDir(link[2]!), START_NS + ageNs);
      return;
    }
    assert.ok(file ?? text, `cannot understand: ${line}`);
    const path = `${world.marsDir}/${(file ?? text)![1]}`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (file === null) writeFileSync(path, `${text![2]}\n`);
    else makeFile(path, Number(file[2]));
  }

  private start(): StoryWorld {
    const world = new StoryWorld(this.options);
    for (const line of this.planted) this.put(world, line);
    return world;
  }

  private async command(line: string): Promise<string[]> {
    const world = (this.world ??= this.start());
    const argv = wordsOf(this.inDir(line)).slice(1 + 1);
    const before = snapshotOf(world);
    world.begin();
    const startMs = world.story.elapsed;
    const status = await runMarsadm(argv, world);
    const tookMs = world.story.elapsed - startMs;
    return [
      ...prefixed('out|', this.hidden(world.stdout)),
      ...prefixed('err|', this.hidden(world.stderr)),
      ...treeChanges(before, snapshotOf(world), world.byDaemon).map((change) => `tree| ${this.hidden(change)}`),
      ...world.triggers.map((trigger) => `trigger| ${this.hidden(trigger)}`),
      ...(tookMs === 0 ? [] : [`took ${tookMs / 1000} s`]),
      `exit ${status}`,
    ];
  }

  private hidden(text: string): string {
    return text.replaceAll(this.dir, 'DIR');
  }
}

/** Sparse: disks of stories are large, and nobody reads them. */
function makeFile(path: string, sizeBytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
}

/** Words of a shell without its magic: blanks separate, quotes keep them. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? '',
  );
}

function prefixed(prefix: string, text: string): string[] {
  if (text === '') return [];
  return text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => (line === '' ? prefix : `${prefix} ${line}`));
}

function snapshotOf(world: StoryWorld): TreeSnapshot {
  const store = new TreeStore({
    files: world.files,
    clock: new LamportClock(world.clock),
    root: world.marsDir,
    me: 'x',
  });
  return store.load();
}

/** What the command has changed, in the order of the stamps. Stamps are shown where they are not of now. */
function treeChanges(before: TreeSnapshot, after: TreeSnapshot, byDaemon: ReadonlyMap<string, string>): string[] {
  const changes = before
    .changesTo(after)
    .filter(({ path, after: now }) => now === null || byDaemon.get(path) !== now.value)
    .map(({ path, after: now }) => ({
      stampNs: now?.stampNs ?? 0n,
      path,
      text: now === null ? `- ${path}` : changeText(path, now),
    }));
  const dirs = [...directories('', after.root)].filter(
    (dir) => before.directory(dir) === null && after.list(dir).length === 0,
  );
  for (const dir of dirs) changes.push({ stampNs: 0n, path: dir, text: `+ ${dir}/` });
  changes.sort((a, b) => Number(a.stampNs - b.stampNs) || (a.path < b.path ? -1 : 1));
  return changes.map(({ text }) => text);
}

function changeText(path: string, now: Entry): string {
  if (now.kind === 'file') return `+ ${path} (${now.sizeBytes} bytes)`;
  const old = now.stampNs >= START_NS ? '' : ` @ ${stampText(now.stampNs)}`;
  return `+ ${path} -> ${now.value}${old}`;
}

function stampText(stampNs: bigint): string {
  const ageNs = stampNs - START_NS;
  return stampNs < 1_000_000_000_000n ? `${Number(stampNs) / 1e9} s after the epoch` : `${Number(ageNs) / 1e9}s`;
}

function* directories(path: string, directory: Directory): IterableIterator<string> {
  for (const [name, node] of directory.entries.entries()) {
    if (!isDirectory(node)) continue;
    const below = path === '' ? name : `${path}/${name}`;
    yield below;
    yield* directories(below, node);
  }
}
