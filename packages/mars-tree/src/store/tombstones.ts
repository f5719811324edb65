import { KEEP_TOMBSTONE_HOURS, STALE_TEMPORARY_S, TOMBSTONE_WINDOW_S } from '../limits.js';
import { STAMP } from '../keys/numbers.js';
import { paths } from '../paths.js';
import { Entry, isDirectory, type Directory } from '../snapshot/entry.js';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { joinPath } from '../names.js';
import { NS_PER_SECOND } from '../stamp.js';
import type { TreeStore } from './tree-store.js';

export interface CollectOptions {
  keepHours?: number;
  windowSeconds?: number;
  /** Do not wait for anybody: everything older than the window goes (`--force`). */
  force?: boolean;
  /**
   * Newest stamp of ours that a peer has confirmed to have merged; `null` = never heard. Makes the rule stricter than that of the
   * original, which only knows that a peer was alive.
   */
  confirmedNs?: (peer: string) => bigint | null;
  /** Paths of all tombstones, where somebody knows them: then nothing else is looked at. */
  among?: Iterable<string>;
  /** False keeps a tombstone that would go by its stamp: the exchange knows better who has heard of it. */
  isConfirmed?: (path: string, entry: Entry) => boolean;
}

const NS_PER_HOUR = 3600n * NS_PER_SECOND;

/**
 * Unlinks tombstones that every peer has seen, on this host only.
 *
 * A tombstone must stay as long as some host has the old value and has not heard of the deletion: then that value would come back. So it
 * goes when it is older than the last sign of life of all peers concerned, less a window; and in any case after `keepHours`.
 * @returns paths that were removed. Source: symlink-tree.md 3.5, rule 6
 */
export function collectTombstones(store: TreeStore, options: CollectOptions = {}): string[] {
  const collector = new Collector(store.snapshot, store.me, store.clock.peek(), options);
  return store.batch(() => collector.find().flatMap(({ path, entry }) => (store.forget(path, entry) ? [path] : [])));
}

interface Found {
  path: string;
  entry: Entry;
}

class Collector {
  private readonly keepNs: bigint;
  private readonly windowNs: bigint;
  private readonly found: Found[] = [];
  /** Of resources, by name of the directory; null = not ours to collect. */
  private readonly limits = new Map<string, bigint | null>();

  constructor(
    private readonly tree: TreeSnapshot,
    private readonly me: string,
    private readonly nowNs: bigint,
    private readonly options: CollectOptions,
  ) {
    this.keepNs = BigInt(options.keepHours ?? KEEP_TOMBSTONE_HOURS) * NS_PER_HOUR;
    this.windowNs = BigInt(options.windowSeconds ?? TOMBSTONE_WINDOW_S) * NS_PER_SECOND;
  }

  find(): Found[] {
    const everybody = this.limitFor(this.tree.hosts());
    if (this.options.among !== undefined) {
      for (const path of this.options.among) this.single(path, everybody);
      return this.found;
    }
    for (const [name, node] of this.tree.root.entries.entries()) {
      if (!isDirectory(node)) this.check(name, node, everybody);
      else if (name === 'ips') this.directory(name, this.nowNs - this.keepNs, 1);
      else if (name.startsWith('resource-')) this.resource(name.slice('resource-'.length));
      else this.directory(name, everybody, 2);
    }
    return this.found;
  }

  private resource(resource: string): void {
    const limitNs = this.limitOf(resource);
    if (limitNs !== null) this.directory(paths.resource(resource), limitNs, 2);
  }

  /** Those who neither have the disk nor the device of a resource leave its tombstones alone: they do not know its peers. */
  private limitOf(resource: string): bigint | null {
    const users = new Set([...this.tree.members(resource), ...this.tree.users(resource)]);
    return users.has(this.me) || this.options.force === true ? this.limitFor([...users]) : null;
  }

  /** The same rules for one path: only the first two levels of directories are looked at, and only the first one of `ips`. */
  private single(path: string, everybody: bigint): void {
    const entry = this.tree.entry(path);
    const names = path.split('/');
    const top = names[0]!;
    if (entry === null || names.length > (top === 'ips' ? 2 : 3)) return;
    if (top === 'ips') return this.check(path, entry, this.nowNs - this.keepNs);
    if (names.length === 1 || !top.startsWith('resource-')) return this.check(path, entry, everybody);
    let limitNs = this.limits.get(top);
    if (limitNs === undefined) this.limits.set(top, (limitNs = this.limitOf(top.slice('resource-'.length))));
    if (limitNs !== null) this.check(path, entry, limitNs);
  }

  private directory(dir: string, limitNs: bigint, levels: number): void {
    for (const [name, node] of this.tree.directory(dir)!.entries.entries()) {
      const path = joinPath(dir, name);
      if (!isDirectory(node)) this.check(path, node, limitNs);
      else if (levels > 1) this.directory(path, limitNs, levels - 1);
    }
  }

  private check(path: string, entry: Entry, limitNs: bigint): void {
    if (!entry.isTombstone || entry.stampNs >= limitNs) return;
    if (this.options.isConfirmed?.(path, entry) ?? true) this.found.push({ path, entry });
  }

  /** Tombstones older than this are seen by all these hosts, or too old to wait for them. */
  private limitFor(hosts: readonly string[]): bigint {
    if (this.options.force) return this.nowNs - this.windowNs;
    let seenNs = this.nowNs;
    for (const host of hosts) if (host !== this.me) seenNs = earlier(seenNs, this.seenBy(host));
    const oldestNs = this.nowNs - this.keepNs;
    return (seenNs > oldestNs ? seenNs : oldestNs) - this.windowNs;
  }

  private seenBy(host: string): bigint {
    const aliveNs = this.tree.read(paths.node(host, 'time'), STAMP) ?? 0n;
    if (this.options.confirmedNs === undefined) return aliveNs;
    return earlier(aliveNs, this.options.confirmedNs(host) ?? 0n);
  }
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/**
 * Removes temporary links that other programs have left behind an hour ago or earlier (`.tmp.PID.NAME`). Our own go when the tree is loaded.
 * @returns their paths. Source: symlink-tree.md 3.1
 */
export function removeStaleTemporaries(store: TreeStore): string[] {
  const oldestNs = store.clock.realNs() - BigInt(STALE_TEMPORARY_S) * NS_PER_SECOND;
  const removed: string[] = [];
  for (const dir of directoriesOf('', store.snapshot.root)) {
    const names = store.disk.names(dir);
    if (names === null || names === 'unreadable') continue;
    for (const name of names.hidden) {
      const path = joinPath(dir, name);
      const there = name.startsWith('.tmp.') ? store.disk.look(path) : null;
      if (!(there instanceof Entry) || there.kind !== 'link' || there.stampNs >= oldestNs) continue;
      store.disk.unlink(path);
      removed.push(path);
    }
  }
  return removed;
}

function* directoriesOf(path: string, directory: Directory): IterableIterator<string> {
  yield path;
  for (const [name, node] of directory.entries.entries()) {
    if (isDirectory(node)) yield* directoriesOf(joinPath(path, name), node);
  }
}
