import { NONE, isIdentifier, joinPath } from '../names.js';
import type { Codec } from '../keys/codec.js';
import { BOOL, SEQ } from '../keys/numbers.js';
import { HOST_OR_NONE } from '../keys/hosts.js';
import { LOG, type LogName } from '../keys/logs.js';
import { paths } from '../paths.js';
import { Directory, Entry, isDirectory, type TreeNode } from './entry.js';
import { FactMap } from './fact-map.js';

/** One path at which two snapshots differ; a directory that came or went is listed with everything in it. */
export interface Change {
  path: string;
  before: Entry | null;
  after: Entry | null;
}

export type SwitchName = 'attach' | 'connect' | 'allow-replay' | 'sync';

/**
 * The tree at one moment. Immutable, and cheap: two snapshots share all that is equal, so taking one costs nothing and comparing
 * two costs as much as has changed. Paths are relative to `/mars`.
 */
export class TreeSnapshot {
  static readonly EMPTY = new TreeSnapshot(new Directory(FactMap.empty()));

  constructor(readonly root: Directory) {}

  /** What stands at a path, tombstones included; `''` is the root. */
  node(path: string): TreeNode | null {
    if (path === '') return this.root;
    let node: TreeNode | undefined = this.root;
    for (const name of path.split('/')) {
      if (!isDirectory(node)) return null;
      node = node.entries.get(name);
    }
    return node ?? null;
  }

  /** A link or file, tombstones included. */
  entry(path: string): Entry | null {
    const node = this.node(path);
    return node instanceof Entry ? node : null;
  }

  directory(path: string): Directory | null {
    const node = this.node(path);
    return isDirectory(node) ? node : null;
  }

  /** The value of a link; `null` = missing or deleted. */
  value(path: string): string | null {
    const entry = this.entry(path);
    return entry === null || entry.kind !== 'link' || entry.isTombstone ? null : entry.value;
  }

  /** The value, understood; `null` = missing, deleted, or not understood. */
  read<T>(path: string, codec: Codec<T>): T | null {
    const value = this.value(path);
    return value === null ? null : codec.read(value);
  }

  /** The stamp of whatever stands there; `null` = nothing. */
  stampNs(path: string): bigint | null {
    return this.entry(path)?.stampNs ?? null;
  }

  /** Names in a directory, sorted; tombstones are left out. */
  list(path: string): string[] {
    const directory = this.directory(path);
    if (directory === null) return [];
    return directory.entries.names().filter((name) => {
      const node = directory.entries.get(name)!;
      return isDirectory(node) || !node.isTombstone;
    });
  }

  /** Names of the resources that have a `size`, sorted. */
  resources(): string[] {
    return this.tails('', 'resource-').filter((resource) => this.value(paths.size(resource)) !== null);
  }

  /** Hosts that take part, sorted. */
  hosts(): string[] {
    return this.tails('ips', 'ip-');
  }

  /** Hosts that have a disk for a resource, sorted. */
  members(resource: string): string[] {
    return this.tails(paths.resource(resource), 'data-');
  }

  /** Hosts that have a device for a resource, guests included, sorted. */
  users(resource: string): string[] {
    return this.tails(paths.resource(resource), 'device-');
  }

  /** The designated primary; `null` = nobody, or not known. */
  primary(resource: string): string | null {
    const host = this.read(paths.primary(resource), HOST_OR_NONE);
    return host === NONE ? null : host;
  }

  /** A switch; missing = off. */
  isOn(resource: string, host: string, name: SwitchName): boolean {
    return this.read(paths.todo(resource, host, name), BOOL) ?? false;
  }

  /** A led; missing = off. */
  isLit(resource: string, host: string, name: string): boolean {
    return this.read(paths.actual(resource, host, name), BOOL) ?? false;
  }

  /** Log files that are here, by number, then by creator. */
  logs(resource: string): (LogName & { sizeBytes: number; stampNs: bigint })[] {
    const found = [];
    for (const [name, node] of this.directory(paths.resource(resource))?.entries.entries() ?? []) {
      if (!name.startsWith('log-') || isDirectory(node) || node.kind !== 'file') continue;
      const log = LOG.read(name);
      if (log !== null) found.push({ ...log, sizeBytes: node.sizeBytes, stampNs: node.stampNs });
    }
    return found.sort((a, b) => a.sequence - b.sequence || (a.host < b.host ? -1 : 1));
  }

  /** Numbers of the version links of a host, ascending. */
  versions(resource: string, host: string): number[] {
    const found: number[] = [];
    for (const [name, node] of this.directory(paths.resource(resource))?.entries.entries() ?? []) {
      if (!name.startsWith('version-') || !name.endsWith(`-${host}`) || isDirectory(node) || node.isTombstone) continue;
      const sequence = SEQ.read(name.slice('version-'.length, -host.length - 1));
      if (sequence !== null) found.push(sequence);
    }
    return found.sort((a, b) => a - b);
  }

  /** Every link and file, tombstones included, directories in order of their names. */
  *walk(dir = ''): IterableIterator<{ path: string; entry: Entry }> {
    const directory = this.directory(dir);
    if (directory === null) return;
    for (const name of directory.entries.names()) {
      const node = directory.entries.get(name)!;
      const path = joinPath(dir, name);
      if (isDirectory(node)) yield* this.walk(path);
      else yield { path, entry: node };
    }
  }

  /** Where `next` differs; costs as much as differs, plus the size of directories that do. */
  changesTo(next: TreeSnapshot): Change[] {
    const changes: Change[] = [];
    compareDirectories('', this.root, next.root, changes);
    return changes;
  }

  /** A snapshot with another node at one path; `null` removes it. Missing directories above it are made. */
  with(path: string, node: TreeNode | null): TreeSnapshot {
    if (path === '') return new TreeSnapshot(isDirectory(node) ? node : new Directory(FactMap.empty()));
    const root = replaced(this.root, path.split('/'), 0, node);
    return root === this.root ? this : new TreeSnapshot(root);
  }

  /** Names with a prefix, which is cut off; only valid names, no tombstones; sorted. */
  private tails(dir: string, prefix: string): string[] {
    return this.list(dir)
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .filter(isIdentifier);
  }
}

function replaced(dir: Directory, names: readonly string[], at: number, node: TreeNode | null): Directory {
  const name = names[at]!;
  const before = dir.entries.get(name);
  let after: TreeNode | null = node;
  if (at < names.length - 1) {
    if (node === null && !isDirectory(before)) return dir;
    after = replaced(isDirectory(before) ? before : new Directory(FactMap.empty()), names, at + 1, node);
  }
  const entries = after === null ? dir.entries.without(name) : dir.entries.with(name, after);
  return entries === dir.entries ? dir : new Directory(entries);
}

function compareDirectories(dir: string, before: Directory, after: Directory, changes: Change[]): void {
  before.entries.compare(after.entries, (name, old, now) => {
    const path = joinPath(dir, name);
    if (isDirectory(old) || isDirectory(now)) {
      compareDirectories(path, isDirectory(old) ? old : NOTHING, isDirectory(now) ? now : NOTHING, changes);
    }
    const oldEntry = entryOf(old);
    const newEntry = entryOf(now);
    if (oldEntry === null && newEntry === null) return;
    if (oldEntry === null || newEntry === null || !oldEntry.equals(newEntry)) {
      changes.push({ path, before: oldEntry, after: newEntry });
    }
  });
}

const NOTHING = new Directory(FactMap.empty());

function entryOf(node: TreeNode | undefined): Entry | null {
  return node instanceof Entry ? node : null;
}

/** For logs and tests: `path -> value @ stamp`, one line per entry. */
export function snapshotText(snapshot: TreeSnapshot): string {
  return [...snapshot.walk()]
    .map(
      ({ path, entry }) =>
        `${path} ${entry.kind === 'link' ? `-> ${entry.value}` : `(${entry.sizeBytes} bytes)`} @ ${entry.stampNs}`,
    )
    .join('\n');
}
