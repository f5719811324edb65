import { belowMars, whyNoPath, whyNoValue } from '../names.js';
import { formatStamp } from '../stamp.js';

/** `(any)` fits every cluster: it stands for a join in progress. */
const ANY = '(any)';

/** Identity of a new cluster. Source: symlink-tree.md 2.1 */
export function newClusterId(host: string, stampNs: bigint): string {
  return `${host}_${formatStamp(stampNs)}`;
}

/**
 * May a list of another host be merged? Identities are opaque and compared bytewise.
 * @param own       value of our `uuid`; `null` = we have none, so any will do
 * @param received  value of `uuid` in the list; `null` = the list has none, and is dropped
 * Source: symlink-tree.md 3.8
 */
export function admitList(own: string | null, received: string | null): 'ok' | 'list without uuid' | 'other cluster' {
  if (received === null) return 'list without uuid';
  const fits = own === null || own === ANY || received === ANY || own === received;
  return fits ? 'ok' : 'other cluster';
}

/**
 * What is wrong with a pushed link, as a sentence; `null` = nothing. Paths are canonical here, as in messages; an absolute value must point into
 * the tree or to a device. Source: symlink-tree.md 3.7, "Push"
 */
export function whyNoPush(canonicalPath: string, value: string): string | null {
  const path = belowMars(canonicalPath);
  if (path === null) return 'the path does not begin with /mars/';
  const wrongPath = whyNoPath(path);
  if (wrongPath !== null) return `the path is no key: ${wrongPath}`;
  const wrongValue = whyNoValue(value);
  if (wrongValue !== null) return `the value cannot be stored: ${wrongValue}`;
  if (!value.startsWith('/')) return null;
  const isInside = (value.startsWith('/mars/') || value.startsWith('/dev/')) && !value.split('/').includes('..');
  return isInside ? null : 'the value is an absolute path outside of /mars/ and /dev/';
}

/** Words of a trigger command are separated by blanks, and nothing quotes them. Source: symlink-tree.md 2.13 */
export function fitsTrigger(word: string): boolean {
  return word !== '' && !/\s/.test(word) && whyNoValue(word) === null;
}
