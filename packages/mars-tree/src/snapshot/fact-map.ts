/**
 * An immutable map from names to values that shares most of itself with its predecessor: a directory of 10,000 links of which one
 * changes costs three small arrays, and two versions of it are compared by looking only where they differ.
 *
 * A tree of arrays over the bits of a hash: 16 children per branch, at most `LEAF_ENTRIES` entries per leaf.
 */
const BITS = 4;
const FAN_OUT = 1 << BITS;
const LEAF_ENTRIES = 12;
/** Levels that the 32 bits of a hash can tell apart; a leaf below that grows without limit, which costs time but is right. */
const LAST_SHIFT = 28;

type Leaf<T> = readonly (readonly [name: string, value: T])[];
interface Branch<T> {
  readonly children: readonly (Node<T> | null)[];
}
type Node<T> = Leaf<T> | Branch<T>;

function isLeaf<T>(node: Node<T>): node is Leaf<T> {
  return Array.isArray(node);
}

export class FactMap<T> {
  private constructor(
    private readonly root: Node<T>,
    readonly size: number,
  ) {}

  static empty<T>(): FactMap<T> {
    return EMPTY as FactMap<T>;
  }

  /** Built in one go; names must differ. */
  static from<T>(entries: readonly (readonly [string, T])[]): FactMap<T> {
    return new FactMap(build(entries, 0), entries.length);
  }

  get(name: string): T | undefined {
    const hash = hashOf(name);
    let node = this.root;
    for (let shift = 0; !isLeaf(node); shift += BITS) {
      const child: Node<T> | null = node.children[(hash >>> shift) & (FAN_OUT - 1)]!;
      if (child === null) return undefined;
      node = child;
    }
    for (const entry of node) if (entry[0] === name) return entry[1];
    return undefined;
  }

  /** This map itself when nothing changes. */
  with(name: string, value: T): FactMap<T> {
    const before = this.get(name);
    if (before === value) return this;
    return new FactMap(put(this.root, name, value, hashOf(name), 0), this.size + (before === undefined ? 1 : 0));
  }

  without(name: string): FactMap<T> {
    if (this.get(name) === undefined) return this;
    return new FactMap(drop(this.root, name, hashOf(name), 0), this.size - 1);
  }

  /** In no particular order, but always in the same one. */
  *entries(): IterableIterator<readonly [string, T]> {
    yield* walk(this.root);
  }

  /** Sorted bytewise, for people and for lists. */
  names(): string[] {
    return [...this.entries()].map(([name]) => name).sort();
  }

  /** Calls `differs` for each name whose values are not the same object. */
  compare(other: FactMap<T>, differs: (name: string, mine: T | undefined, theirs: T | undefined) => void): void {
    compareNodes(this.root, other.root, differs);
  }
}

const EMPTY = FactMap.from<unknown>([]);

/** FNV-1a over UTF-16, then mixed, because names differ mostly in their last characters. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function build<T>(entries: Leaf<T>, shift: number): Node<T> {
  if (entries.length <= LEAF_ENTRIES || shift > LAST_SHIFT) return entries;
  const groups: (readonly [string, T])[][] = Array.from({ length: FAN_OUT }, () => []);
  for (const entry of entries) groups[(hashOf(entry[0]) >>> shift) & (FAN_OUT - 1)]!.push(entry);
  return { children: groups.map((group) => (group.length === 0 ? null : build(group, shift + BITS))) };
}

function put<T>(node: Node<T> | null, name: string, value: T, hash: number, shift: number): Node<T> {
  if (node === null) return [[name, value]];
  if (isLeaf(node)) return build([...node.filter(([other]) => other !== name), [name, value]], shift);
  const at = (hash >>> shift) & (FAN_OUT - 1);
  return { children: node.children.with(at, put(node.children[at]!, name, value, hash, shift + BITS)) };
}

function drop<T>(node: Node<T>, name: string, hash: number, shift: number): Node<T> {
  if (isLeaf(node)) return node.filter(([other]) => other !== name);
  const at = (hash >>> shift) & (FAN_OUT - 1);
  const child = drop(node.children[at]!, name, hash, shift + BITS);
  const children = node.children.with(at, isLeaf(child) && child.length === 0 ? null : child);
  // Leaves come together again, so that a map that has shrunk looks like one that never grew.
  const leaves = children.filter((other) => other !== null);
  if (!leaves.every(isLeaf)) return { children };
  const count = leaves.reduce((sum, leaf) => sum + leaf.length, 0);
  return count > LEAF_ENTRIES ? { children } : leaves.flat();
}

function* walk<T>(node: Node<T>): IterableIterator<readonly [string, T]> {
  if (isLeaf(node)) return yield* node;
  for (const child of node.children) if (child !== null) yield* walk(child);
}

function compareNodes<T>(
  mine: Node<T> | null,
  theirs: Node<T> | null,
  differs: (name: string, mine: T | undefined, theirs: T | undefined) => void,
): void {
  if (mine === theirs) return;
  if (mine !== null && theirs !== null && !isLeaf(mine) && !isLeaf(theirs)) {
    for (let i = 0; i < FAN_OUT; i++) compareNodes(mine.children[i]!, theirs.children[i]!, differs);
    return;
  }
  const left = new Map(mine === null ? [] : walk(mine));
  const right = new Map(theirs === null ? [] : walk(theirs));
  for (const [name, value] of left) if (right.get(name) !== value) differs(name, value, right.get(name));
  for (const [name, value] of right) if (!left.has(name)) differs(name, undefined, value);
}
