import { OLD_MARKER_DAYS } from '../limits.js';
import { ABSOLUTE_PATH } from '../keys/texts.js';
import { TOMBSTONE, belowMars, joinPath, splitPath, whyNoPath } from '../names.js';
import { Entry } from '../snapshot/entry.js';
import { NS_PER_SECOND } from '../stamp.js';
import type { TreeStore } from './tree-store.js';

export interface Takeover {
  /** Paths that old requests have deleted now. */
  deleted: string[];
  /** Requests, records of them and old markers that were removed. */
  removed: string[];
}

const REQUEST = /^delete-\d+-/;
const HANDLED = /^deleted-/;

/**
 * Brings the deletion protocol of old trees to an end: what was requested is done as a tombstone with the stamp of the request, and the
 * requests go. Markers are honoured by merges, and go after a week. Run it once, after `load`. Source: symlink-tree.md 3.6
 */
export function takeOverOldTree(store: TreeStore): Takeover {
  const result: Takeover = { deleted: [], removed: [] };
  store.batch(() => {
    for (const name of store.snapshot.list('todo-global')) {
      const path = joinPath('todo-global', name);
      if (REQUEST.test(name)) handleRequest(store, path, result);
      else if (HANDLED.test(name)) removeLink(store, path, result);
    }
    removeOldMarkers(store, result);
  });
  return result;
}

function handleRequest(store: TreeStore, path: string, result: Takeover): void {
  const request = store.snapshot.entry(path);
  const target = belowMars(store.snapshot.read(path, ABSOLUTE_PATH) ?? '');
  if (request !== null && target !== null && whyNoPath(target) === null) {
    const outcome = store.push({ path: target, value: TOMBSTONE, stampNs: request.stampNs });
    if (outcome === 'taken') result.deleted.push(target);
  }
  removeLink(store, path, result);
}

function removeOldMarkers(store: TreeStore, result: Takeover): void {
  const oldestNs = store.clock.realNs() - BigInt(OLD_MARKER_DAYS) * 86_400n * NS_PER_SECOND;
  for (const [path, stampNs] of store.oldMarkers) {
    if (stampNs >= oldestNs) continue;
    const { dir, name } = splitPath(path);
    const marker = joinPath(dir, `.deleted-${name}`);
    store.disk.unlink(marker);
    store.oldMarkers.delete(path);
    result.removed.push(marker);
  }
}

function removeLink(store: TreeStore, path: string, result: Takeover): void {
  const entry = store.snapshot.entry(path);
  if (entry instanceof Entry && store.forget(path, entry)) result.removed.push(path);
}
