import { Entry } from '../snapshot/entry.js';
import { TreeSnapshot } from '../snapshot/snapshot.js';

/** Trees for the tests of the exchange; there is nothing to test here. */
export function link(value: string, stampNs: bigint): Entry {
  return new Entry('link', value, stampNs, 0, 7);
}

export function treeOf(facts: Record<string, Entry>): TreeSnapshot {
  return Object.entries(facts).reduce((tree, [path, entry]) => tree.with(path, entry), TreeSnapshot.EMPTY);
}
