import { LOOK_BUDGET, MAX_DEPTH } from '../limits.js';
import { joinPath } from '../names.js';
import { Directory, Entry, isDirectory, type TreeNode } from '../snapshot/entry.js';
import { FactMap } from '../snapshot/fact-map.js';
import type { Problems } from './problems.js';
import type { TreeDisk } from './tree-disk.js';

/** Who wants to know what a scan comes across. */
export interface ScanVisitor {
  /** An entry that is new, or differs from the one known. */
  seen(path: string, entry: Entry): void;
  /** A directory is about to be read; what happens to it from now on may or may not be seen. */
  reading(dir: string): void;
  /** A name that begins with `.`. */
  hidden(dir: string, name: string): void;
}

/** What a scan makes of a directory; `unreadable` = what was known still counts. */
export type Scanned = Directory | 'unreadable' | null;

/**
 * Reads directories and everything in them. A generator, so that its caller decides when the loop gets its turn: it yields after
 * every `LOOK_BUDGET` entries. Whatever did not change is the same object as before.
 */
export class Scanner {
  private left = LOOK_BUDGET;

  constructor(
    private readonly disk: TreeDisk,
    private readonly problems: Problems,
    private readonly visitor: ScanVisitor,
  ) {}

  /**
   * @param known      the directory at the last look
   * @param recursive  false: directories in it that are known already are not read again
   */
  *scan(dir: string, known: Directory | null, recursive = true): Generator<void, Scanned, void> {
    this.visitor.reading(dir);
    const names = this.disk.names(dir);
    if (names === 'unreadable' || names === null) return names;
    for (const name of names.hidden) this.visitor.hidden(dir, name);
    const entries: (readonly [string, TreeNode])[] = [];
    let isSame = names.plain.length === (known?.entries.size ?? -1);
    for (const { name, kind } of names.plain) {
      const before = known?.entries.get(name) ?? null;
      const after = yield* this.node(joinPath(dir, name), kind === 'directory', before, recursive);
      if (after !== before) isSame = false;
      if (after !== null) entries.push([name, after]);
      if (--this.left <= 0) yield this.rest();
    }
    return isSame && known !== null ? known : new Directory(FactMap.from(entries));
  }

  private *node(
    path: string,
    isDirectoryByList: boolean,
    before: TreeNode | null,
    recursive: boolean,
  ): Generator<void, TreeNode | null, void> {
    if (isDirectoryByList) return yield* this.below(path, before, recursive);
    const look = this.disk.look(path, before instanceof Entry ? before : null);
    // The list is a moment old: a link may be a directory by now.
    if (look === 'directory') return yield* this.below(path, before, recursive);
    if (look === 'unreadable') return before;
    if (look !== null && look !== before) this.visitor.seen(path, look);
    return look;
  }

  private *below(path: string, before: TreeNode | null, recursive: boolean): Generator<void, TreeNode | null, void> {
    if (path.split('/').length >= MAX_DEPTH) {
      this.problems.note(path, 'too deep');
      return null;
    }
    const known = isDirectory(before) ? before : null;
    if (known !== null && !recursive) return known;
    const scanned = yield* this.scan(path, known);
    return scanned === 'unreadable' ? before : scanned;
  }

  private rest(): void {
    this.left = LOOK_BUDGET;
  }
}

/** Runs a generator to its end at once. */
export function drain<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
