import { ALL_KEYS } from '../keys.js';
import { PathIndex } from '../keys/path-pattern.js';
import { nameClass, splitPath } from '../names.js';

/**
 * How a path takes part in the exchange.
 * `usual`: compared and pushed. `last`: says "you have everything of mine up to here", so it is never compared, and sent behind everything
 * else (`time`, `alive`; symlink-tree.md 3.7, "Answer"). `none`: stays here.
 */
export type Lane = 'usual' | 'last' | 'none';

/** Written by each host for itself about others; exchanging it would let hosts write to each other for ever. */
const PRIVATE = ['actual-{HOST}/read-stamp'];
const LAST = ['actual-{HOST}/time', 'actual-{HOST}/alive'];
const LOCAL = ALL_KEYS.filter((key) => key.replication === 'local').map((key) => key.path);

const SPECIAL = new PathIndex<Lane>();
for (const path of LAST) SPECIAL.add(path, 'last');
for (const path of [...PRIVATE, ...LOCAL]) SPECIAL.add(path, 'none');

/** What the last name of a special path begins with; spares nearly all paths the search. */
const SPECIAL_NAME = new RegExp(`^(${[...LAST, ...PRIVATE, ...LOCAL].flatMap(beginningOf).join('|')})`);

/** Names below a directory that is special itself need no look, because nobody gets that far. */
function beginningOf(path: string): string[] {
  const { name } = splitPath(path);
  if (name.startsWith('{N}')) return ['[0-5]\\.'];
  const literal = name.split('{')[0]!;
  return literal === '' ? [] : [literal.replace(/\./g, '\\.')];
}

/** Lane of a link whose directories are exchanged. */
function laneOf(dir: string, name: string): Lane {
  if (nameClass(name) !== 'plain') return 'none';
  if (!SPECIAL_NAME.test(name)) return 'usual';
  return SPECIAL.find(dir === '' ? name : `${dir}/${name}`)?.value ?? 'usual';
}

/** Lanes of the names of one directory that is exchanged. */
export function laneInside(dir: string): (name: string) => Lane {
  return (name) => laneOf(dir, name);
}

/** False for directories in which nothing is exchanged. @param path of a directory in one that is exchanged */
export function isExchangedDirectory(path: string): boolean {
  const { dir, name } = splitPath(path);
  return laneOf(dir, name) === 'usual';
}

/** Lane of a link wherever it stands; the directories above it count, too. */
export function exchangeLane(path: string): Lane {
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    if (!isExchangedDirectory(path.slice(0, at))) return 'none';
  }
  const { dir, name } = splitPath(path);
  return laneOf(dir, name);
}
