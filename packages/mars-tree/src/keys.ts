import { ErrorCode, MarsError, invariant } from '@mars/brick-core';
import { DEAD_NAMES, INDICATORS, LOG_FILES } from './keys/indicators.js';
import type { Key, KeyGroup, Writer } from './keys/key.js';
import { NODE_STATUS, SETTINGS } from './keys/node.js';
import { OLD_LAYOUT } from './keys/old-layout.js';
import { PathIndex, type Captures } from './keys/path-pattern.js';
import { RESOURCE_CONFIG, RESOURCE_PROGRESS, RESOURCE_SWITCHES } from './keys/resource.js';
import { TODO_GLOBAL } from './keys/todo-global.js';
import { MESSAGE_FILES, TOP_LEVEL } from './keys/top-level.js';
import { TOMBSTONE, checkPath, whyNoValue } from './names.js';

/**
 * Every key of the tree: path, who writes and reads it, what its value means, how it travels and how it dies.
 *
 * This is the only place that knows names of links. The reference (docs/formats/tree.md), the lookup of paths, and the property tests
 * of all grammars are derived from it. Source: symlink-tree.md, section 2.
 */
export const KEY_GROUPS: readonly KeyGroup[] = [
  TOP_LEVEL,
  NODE_STATUS,
  SETTINGS,
  TODO_GLOBAL,
  RESOURCE_CONFIG,
  RESOURCE_SWITCHES,
  RESOURCE_PROGRESS,
  INDICATORS,
  LOG_FILES,
  MESSAGE_FILES,
  DEAD_NAMES,
  OLD_LAYOUT,
];

export const ALL_KEYS: readonly Key[] = KEY_GROUPS.flatMap((group) => group.keys);

/** A path, understood. */
export interface FoundKey {
  key: Key;
  parts: Captures;
}

const INDEX = new PathIndex<Key>();
for (const key of ALL_KEYS) INDEX.add(key.path, key);

/**
 * Path below `/mars` → key and captured parts.
 * @returns null for paths that are no keys; links there are replicated all the same, but mean nothing to us
 */
export function findKey(path: string): FoundKey | null {
  const found = INDEX.find(path);
  return found === null ? null : { key: found.value, parts: found.parts };
}

/** The key with exactly this pattern; a typo in our own code is found by the first test. */
export function keyOf(pattern: string): Key {
  const key = ALL_KEYS.find(({ path }) => path === pattern);
  invariant(key !== undefined, `there is no key ${pattern}`);
  return key;
}

/** True when this program, on the host `me`, may write this key. Merges from peers and pushes are not bound by it. */
export function mayWrite({ key, parts }: FoundKey, program: 'daemon' | 'marsadm', me: string): boolean {
  const isOwner = parts['HOST'] === undefined || parts['HOST'] === me;
  const wanted: Writer[] = isOwner
    ? [`${program}@owner`, `${program}@anywhere`]
    : program === 'daemon'
      ? ['daemon@others', 'daemon@anywhere']
      : ['marsadm@anywhere'];
  return wanted.some((writer) => key.writers.includes(writer));
}

/**
 * Checks what somebody wants to write: the path can be a key, and the value follows its grammar. Paths that are no keys take any value.
 * @throws MarsError BAD_KEY, BAD_FACT: say what is wrong, and how it should be
 */
export function checkFact(path: string, value: string): void {
  checkPath(path);
  const wrongValue = whyNoValue(value);
  if (wrongValue !== null) throw wrongFact(path, value, wrongValue);
  const found = findKey(path);
  if (value === TOMBSTONE || found?.key.codec == null) return;
  try {
    found.key.codec.parse(value);
  } catch (cause) {
    const example = found.key.examples.find(([, text]) => text !== undefined)?.[1];
    throw wrongFact(
      path,
      value,
      `${found.key.codec.about}${example === undefined ? '' : `; for example "${example}"`}`,
      cause,
    );
  }
}

function wrongFact(path: string, value: string, wanted: string, cause?: unknown): MarsError {
  return new MarsError(ErrorCode.BAD_FACT, `"${value}" is no value for ${path}`, {
    hint: `Wanted: ${wanted}.`,
    cause,
    details: { path, value },
  });
}
