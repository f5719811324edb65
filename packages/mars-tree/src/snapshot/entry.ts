import { TOMBSTONE } from '../names.js';
import type { FactMap } from './fact-map.js';

/** A link or a regular file, as it was when it was last looked at. Immutable. */
export class Entry {
  constructor(
    readonly kind: 'link' | 'file',
    /** Target of a link; `''` for files. */
    readonly value: string,
    /** Modification time of the link or file itself, ns. */
    readonly stampNs: bigint,
    /** Size of a file, bytes; 0 for links. */
    readonly sizeBytes: number,
    /** A link that has the same inode number and stamp as before still has the same value. */
    readonly inode: number,
  ) {}

  get isTombstone(): boolean {
    return this.kind === 'link' && this.value === TOMBSTONE;
  }

  /** True when nothing differs that anybody could notice. */
  equals(other: Entry): boolean {
    return (
      this.stampNs === other.stampNs &&
      this.value === other.value &&
      this.kind === other.kind &&
      this.sizeBytes === other.sizeBytes
    );
  }
}

/** A directory. Immutable; an unchanged one is the same object in two snapshots. */
export class Directory {
  constructor(readonly entries: FactMap<Entry | Directory>) {}
}

export type TreeNode = Entry | Directory;

export function isDirectory(node: TreeNode | undefined | null): node is Directory {
  return node instanceof Directory;
}
