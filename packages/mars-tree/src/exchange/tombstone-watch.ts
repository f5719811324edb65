import { KEEP_TOMBSTONE_HOURS } from '../limits.js';
import { joinPath } from '../names.js';
import { isDirectory, type Directory, type Entry } from '../snapshot/entry.js';
import type { Change, TreeSnapshot } from '../snapshot/snapshot.js';

const KEEP_MS = KEEP_TOMBSTONE_HOURS * 3_600_000;

/**
 * Since when each tombstone stands here, on the monotonic clock. Its stamp does not tell: a deletion that was made days ago in another part of
 * a divided cluster arrives with an old stamp, and nobody has confirmed it yet.
 *
 * I1: a tombstone is collected only after every host of the cluster has compared with us since it stands here, or after 168 hours.
 */
export class TombstoneWatch {
  private readonly since = new Map<string, { stampNs: bigint; sinceMs: number }>();

  constructor(snapshot: TreeSnapshot, nowMs: number) {
    this.find('', snapshot.root, nowMs);
  }

  private find(dir: string, { entries }: Directory, nowMs: number): void {
    for (const [name, node] of entries.entries()) {
      if (isDirectory(node)) this.find(joinPath(dir, name), node, nowMs);
      else if (node.isTombstone) this.note(joinPath(dir, name), node, nowMs);
    }
  }

  update(changes: readonly Change[], nowMs: number): void {
    for (const { path, after } of changes) {
      if (after?.isTombstone) this.note(path, after, nowMs);
      else this.since.delete(path);
    }
  }

  get size(): number {
    return this.since.size;
  }

  /** Where tombstones stand. */
  get paths(): IterableIterator<string> {
    return this.since.keys();
  }

  /** @param confirmedMs of every other host of the cluster: it had everything that stood here then; null = not known */
  mayGo(path: string, entry: Entry, confirmedMs: readonly (number | null)[], nowMs: number): boolean {
    const known = this.since.get(path);
    if (known === undefined || known.stampNs !== entry.stampNs) return false;
    if (nowMs - known.sinceMs > KEEP_MS) return true;
    return confirmedMs.every((hadMs) => hadMs !== null && hadMs > known.sinceMs);
  }

  private note(path: string, entry: Entry, nowMs: number): void {
    if (entry.isTombstone) this.since.set(path, { stampNs: entry.stampNs, sinceMs: nowMs });
  }
}
