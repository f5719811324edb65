// Trees to test on: the simulated machine, and this one.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LamportClock, TreeStore } from '@mars/mars-tree';
import { RealFiles } from '@mars/platform';
import { World } from '@mars/sim';

export const SECOND = 1_000_000_000n;
export const HOUR = 3600n * SECOND;
export const DAY = 24n * HOUR;

/** Opens stores one after the other on the same tree, as a daemon that is started again. */
export class TestTree {
  constructor(files, systemClock, root) {
    Object.assign(this, { files, systemClock, root });
  }

  /** A new life: nothing is remembered but the links. */
  open({ me = 'nodea', load = true, ...options } = {}) {
    const clock = new LamportClock(this.systemClock);
    const store = new TreeStore({ files: this.files, clock, root: this.root, me, program: 'marsadm', ...options });
    if (load) store.load();
    return store;
  }

  at(name) {
    return `${this.root}/${name}`;
  }

  /** A link as somebody else makes it; `stampNs` null = whatever the machine gives it. */
  link(name, value, stampNs = null) {
    const dir = path.dirname(this.at(name));
    if (this.files.lstat(dir) === null) this.files.makeDir(dir, { recursive: true });
    this.files.symlink(value, this.at(name));
    if (stampNs !== null) this.files.setLinkTime(this.at(name), stampNs);
  }

  names(dir = '') {
    return this.files
      .readDir(dir === '' ? this.root : this.at(dir))
      .map(({ name }) => name)
      .sort();
  }
}

/** A system clock that tests can set. */
export function settableClock(startNs = 1_795_191_000n * SECOND) {
  return { ns: startNs, nowUs: 0, wallNs() { return this.ns; }, after() {}, sleep: async () => {} }; // prettier-ignore
}

/** The simulated machine, at a time that tests set. */
export function simTree({ seed = 1, disk } = {}) {
  const world = new World({ seed });
  const host = world.addHost('a', { disk });
  host.files.makeDir('/mars', { mode: 0o700 });
  const tree = new TestTree(host.files, settableClock(), '/mars');
  return Object.assign(tree, { world, host, settle: (promise) => world.drive(promise), close: () => world.close() });
}

/** A directory of this machine. */
export function realTree() {
  const root = mkdtempSync(path.join(tmpdir(), 'mars-tree-'));
  const files = new RealFiles();
  const tree = new TestTree(files, settableClock(), root);
  const close = () => {
    files.shutDown();
    rmSync(root, { recursive: true, force: true });
  };
  return Object.assign(tree, { settle: (promise) => promise, close });
}

export const MACHINES = { 'simulated files': simTree, 'real files': realTree };
