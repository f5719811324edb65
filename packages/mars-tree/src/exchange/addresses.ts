import { isIdentifier } from '../names.js';
import { paths } from '../paths.js';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { MAX_ADDRESS_HOPS } from './limits.js';

/**
 * Where a host can be reached. A value in `ips/` may be the name of another host whose address counts.
 * @returns null when no address comes within three hops. Source: symlink-tree.md 2.1
 */
export function addressOf(snapshot: TreeSnapshot, host: string): string | null {
  let name = host;
  for (let hop = 0; hop <= MAX_ADDRESS_HOPS; hop++) {
    const value = snapshot.value(paths.ip(name));
    if (value === null) return null;
    if (!isIdentifier(value) || snapshot.entry(paths.ip(value)) === null) return value;
    name = value;
  }
  return null;
}
