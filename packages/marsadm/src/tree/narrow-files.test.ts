import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runMarsadm } from '../marsadm.js';
import { START_NS, StoryWorld } from '../testing/story-world.test.kit.js';

describe('a command on one of many resources', () => {
  let dir = '';
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'marsadm-narrow-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** Directories of resources that a command has read. */
  async function resourcesRead(isLoaded: boolean, ...argv: string[]): Promise<string[]> {
    const world = new StoryWorld({
      dir,
      host: 'nodea',
      isLoaded,
      reactions: [],
      names: new Map(),
      programs: new Map(),
      env: {},
    });
    world.plant('uuid', 'nodea_1690000000.000000000', START_NS);
    for (const name of ['a', 'b', 'c']) {
      world.plant(`resource-${name}/size`, '4096', START_NS);
      world.plant(`resource-${name}/device-nodea`, `device-${name}`, START_NS);
    }
    const seen = new Set<string>();
    const { files } = world;
    const readDir = files.readDir.bind(files);
    files.readDir = (path) => {
      const name = /\/resource-([^/]+)$/.exec(path)?.[1];
      if (name !== undefined) seen.add(name);
      return readDir(path);
    };
    assert.equal(await runMarsadm(argv, world), 0, world.stderr);
    return [...seen].sort();
  }

  it('does not read the others while the daemon says what time it is', async () => {
    assert.deepEqual(await resourcesRead(true, 'pause-replay', 'b'), ['b']);
  });

  it('reads them where no daemon runs: the newest link of all is the clock', async () => {
    assert.deepEqual(await resourcesRead(false, 'pause-replay', 'b'), ['a', 'b', 'c']);
  });

  it('reads them when all are meant, or the name is not that of a resource', async () => {
    assert.deepEqual(await resourcesRead(true, 'pause-replay', 'all'), ['a', 'b', 'c']);
    rmSync(dir, { recursive: true });
    dir = mkdtempSync(join(tmpdir(), 'marsadm-narrow-'));
    assert.deepEqual(await resourcesRead(true, 'pause-replay', 'device-c'), ['a', 'b', 'c']);
  });
});
