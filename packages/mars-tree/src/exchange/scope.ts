import { ALL_KEYS } from '../keys.js';
import { PathIndex } from '../keys/path-pattern.js';
import { nameClass } from '../names.js';

/**
 * How a path takes part in the exchange.
 * `usual`: compared and pushed. `last`: says "you have everything of mine up to here", so it is never compared, and sent behind everything
 * else (`time`, `alive`; symlink-tree.md 3.7, "Answer"). `none`: stays here.
 */
export type Lane = 'usual' | 'last' | 'none';

/** Written by each host for itself about others; exchanging it would let hosts write to each other for ever. */
const PRIVATE = ['actual-{HOST}/read-stamp'];
const LAST = ['actual-{HOST}/time', 'actual-{HOST}/alive'];

const SPECIAL = new PathIndex<Lane>();
for (const path of LAST) SPECIAL.add(path, 'last');
for (const path of [...PRIVATE, ...ALL_KEYS.filter((key) => key.replication === 'local').map((key) => key.path)])
  SPECIAL.add(path, 'none');

/** @param path of a link */
export function laneOf(path: string): Lane {
  return SPECIAL.find(path)?.value ?? 'usual';
}

/** First names whose keys are all of one kind of lane; the bulk of a tree is `resource-`, where only a few names matter. */
const PLAIN_DIRECTORY = /^(ips|defaults|defaults-.*|todo-global|resource-[^/]+\/(todo|actual|defaults)(-[^/]+)?)$/;

/** Lanes of the names of one directory, without looking at each path anew where the directory says it all. */
export function laneInside(dir: string): (name: string) => Lane {
  const isPlain = PLAIN_DIRECTORY.test(dir);
  return (name) => {
    if (nameClass(name) !== 'plain') return 'none';
    return isPlain ? 'usual' : laneOf(dir === '' ? name : `${dir}/${name}`);
  };
}

/** False for directories in which nothing is exchanged. */
export function isExchangedDirectory(path: string): boolean {
  return nameClass(path.slice(path.lastIndexOf('/') + 1)) === 'plain' && laneOf(path) !== 'none';
}

/** Lane of a link wherever it stands; the directories above it count, too. */
export function exchangeLane(path: string): Lane {
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    if (!isExchangedDirectory(path.slice(0, at))) return 'none';
  }
  return nameClass(path.slice(path.lastIndexOf('/') + 1)) === 'plain' ? laneOf(path) : 'none';
}
