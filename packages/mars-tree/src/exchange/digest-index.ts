import { invariant, verify } from '@mars/brick-core';
import { splitPath } from '../names.js';
import { Entry, isDirectory, type Directory } from '../snapshot/entry.js';
import type { Change, TreeSnapshot } from '../snapshot/snapshot.js';
import { BUCKETS, BUCKET_BITS } from './limits.js';
import { ZERO, hashLink, hashName, minus, plus, sameSum, seedOf, type Sum } from './hash.js';
import { exchangeLane, isExchangedDirectory, laneInside } from './scope.js';

/**
 * A part of the tree that two hosts compare: a directory with all below it (`depth` 0), or those of its names whose hash begins with
 * `bucket` (`depth` times six bits).
 */
export interface NodeId {
  readonly path: string;
  readonly depth: number;
  readonly bucket: number;
}

export const ROOT: NodeId = { path: '', depth: 0, bucket: 0 };

export function nodeKey({ path, depth, bucket }: NodeId): string {
  return `${depth}.${bucket} ${path}`;
}

/** What stands directly in a directory: a link, or a directory with all below it. */
export type Item =
  | { readonly name: string; readonly sum: Sum; readonly entry: Entry }
  | { readonly name: string; readonly sum: Sum; readonly entry: null };

interface DirectorySums {
  readonly seed: Sum;
  readonly laneOf: ReturnType<typeof laneInside>;
  /** Over everything that is compared, in this directory and below. */
  total: Sum;
}

/**
 * Sums over all that is compared, per directory, kept up to date with each change. A change costs as much as its path is deep; the sums of
 * single names are computed when two hosts differ, and not stored.
 *
 * I1: the sum of a directory = sum of the hashes of its links in the lane `usual`, and of the sums of its directories.
 */
export class DigestIndex {
  private readonly sums = new Map<string, DirectorySums>();
  /** How many changes the sums have seen; tells whether anything moved in between. */
  generation = 0;
  private updates = 0;
  private readonly lists = new ItemLists();

  constructor(private snapshot: TreeSnapshot) {
    this.add('', snapshot.root);
  }

  get root(): Sum {
    return this.sumOf(ROOT);
  }

  /** @param changes from the snapshot seen last to `after` */
  update(after: TreeSnapshot, changes: readonly Change[]): void {
    this.snapshot = after;
    for (const { path, before, after: now } of changes) this.change(path, before, now);
    this.forgetLostDirectories(changes);
    if (++this.updates % VERIFY_EVERY !== 0) return;
    verify(() => {
      const fresh = new DigestIndex(after);
      invariant(sameSum(fresh.root, this.root), 'the sums have lost touch with the tree');
    });
  }

  /** Sum of a part of the tree; zero for what is not there. */
  sumOf(node: NodeId): Sum {
    if (node.depth === 0) return this.sums.get(node.path)?.total ?? ZERO;
    return this.itemsOf(node).reduce((sum, item) => plus(sum, item.sum), ZERO);
  }

  /** What stands in a part of a directory, in no particular order. */
  itemsOf({ path, depth, bucket }: NodeId): readonly Item[] {
    const directory = this.snapshot.directory(path);
    const known = this.sums.get(path);
    if (directory === null || known === undefined) return [];
    const list = this.lists.get(path, known.total, () => this.listOf(path, directory, known));
    return depth === 0 ? list : list.filter(({ hash }) => bucketAt(hash, depth) === bucket);
  }

  /** Sums of the 64 parts of a node. */
  bucketsOf(node: NodeId): Sum[] {
    const buckets = Array.from({ length: BUCKETS }, () => ZERO);
    for (const item of this.itemsOf(node)) {
      const at = bucketAt((item as HashedItem).hash, node.depth + 1) & (BUCKETS - 1);
      buckets[at] = plus(buckets[at]!, item.sum);
    }
    return buckets;
  }

  private listOf(path: string, directory: Directory, { seed, laneOf }: DirectorySums): HashedItem[] {
    const items: HashedItem[] = [];
    for (const [name, node] of directory.entries.entries()) {
      if (isDirectory(node)) {
        const below = this.sums.get(join(path, name));
        if (below !== undefined && !sameSum(below.total, ZERO))
          items.push({ name, hash: hashName(name), sum: below.total, entry: null });
      } else if (node.kind === 'link' && laneOf(name) === 'usual') {
        items.push({ name, hash: hashName(name), sum: hashLink(seed, name, node), entry: node });
      }
    }
    return items;
  }

  private add(path: string, directory: Directory): Sum {
    const known = this.make(path);
    let total = ZERO;
    for (const [name, node] of directory.entries.entries()) {
      if (node instanceof Entry) {
        if (node.kind === 'link' && known.laneOf(name) === 'usual')
          total = plus(total, hashLink(known.seed, name, node));
      } else if (isExchangedDirectory(join(path, name))) total = plus(total, this.add(join(path, name), node));
    }
    known.total = total;
    return total;
  }

  private change(path: string, before: Entry | null, after: Entry | null): void {
    if (exchangeLane(path) !== 'usual') return;
    const { dir, name } = splitPath(path);
    const { seed } = this.sums.get(dir) ?? this.make(dir);
    let delta = ZERO;
    if (after?.kind === 'link') delta = plus(delta, hashLink(seed, name, after));
    if (before?.kind === 'link') delta = minus(delta, hashLink(seed, name, before));
    if (sameSum(delta, ZERO)) return;
    this.generation++;
    for (let at = dir; ; at = splitPath(at).dir) {
      const known = this.sums.get(at) ?? this.make(at);
      known.total = plus(known.total, delta);
      if (at === '') return;
    }
  }

  private make(path: string): DirectorySums {
    const made = { seed: seedOf(path), laneOf: laneInside(path), total: ZERO };
    this.sums.set(path, made);
    return made;
  }

  /** A resource that was removed leaves no trace here. */
  private forgetLostDirectories(changes: readonly Change[]): void {
    for (const { path, after } of changes) {
      if (after !== null) continue;
      for (let dir = splitPath(path).dir; dir !== '' && this.snapshot.directory(dir) === null; dir = splitPath(dir).dir)
        this.sums.delete(dir);
    }
  }
}

type HashedItem = Item & { readonly hash: number };

/** In tests and simulations the sums are computed anew after so many updates. */
const VERIFY_EVERY = 16;

/** The items of the directories that were looked at last: a comparison asks for many buckets of one directory. */
class ItemLists {
  private readonly lists = new Map<string, { total: Sum; items: HashedItem[] }>();

  get(path: string, total: Sum, make: () => HashedItem[]): HashedItem[] {
    const known = this.lists.get(path);
    if (known !== undefined && sameSum(known.total, total)) return known.items;
    if (this.lists.size >= REMEMBERED_LISTS) this.lists.delete(this.lists.keys().next().value!);
    const items = make();
    this.lists.set(path, { total, items });
    return items;
  }
}

/** A list of a thousand names takes about 100 KiB. */
const REMEMBERED_LISTS = 8;

/** The first `depth` times six bits of a hash. */
function bucketAt(hash: number, depth: number): number {
  const bits = Math.min(32, depth * BUCKET_BITS);
  return hash >>> (32 - bits);
}

function join(dir: string, name: string): string {
  return dir === '' ? name : `${dir}/${name}`;
}
