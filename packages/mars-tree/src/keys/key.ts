import type { Codec } from './codec.js';

/**
 * Who writes a key: which program, and where. `owner` = on the host named `{HOST}` in the path; `others` = on every host but that;
 * `anywhere` = on any host; `nobody` = in no release of today, only read.
 */
export type Writer =
  | 'marsadm@owner'
  | 'marsadm@anywhere'
  | 'daemon@owner'
  | 'daemon@others'
  | 'daemon@anywhere'
  | 'administrator@anywhere'
  | 'nobody';

/** What stands at the path; `link-or-file`: programs of others create either. */
export type KeyKind = 'link' | 'directory' | 'file' | 'link-or-file';

/**
 * How it reaches other hosts: served by every host that has it, by its owner (others pass it on in a list of the whole tree), or not at all.
 */
export type Replication = 'everywhere' | 'by-owner' | 'local';

/** `required`: must be implemented; `optional`; `old`: read at a takeover, never written; `ignored`: tolerated, means nothing to us. */
export type Importance = 'required' | 'optional' | 'old' | 'ignored';

/**
 * What becomes of a deleted one. `usual`: a tombstone that is collected when all members have seen it; `long`: a tombstone that is kept
 * for 168 hours; `never`: nobody deletes it; `unlink`: removed on this host only, without a trace.
 */
export type Deletion = 'usual' | 'long' | 'never' | 'unlink';

/** An example, from the specification where it has one: path, and value where it is a link. */
export type Example = readonly [path: string, value?: string];

export interface Key<T = unknown> {
  /** Path below `/mars`, with captures in braces: `resource-{RES}/replay-{HOST}`. */
  readonly path: string;
  readonly kind: KeyKind;
  /** `null` for directories, and files without a grammar of ours. */
  readonly codec: Codec<T> | null;
  readonly writers: readonly Writer[];
  readonly replication: Replication;
  readonly importance: Importance;
  readonly deletion: Deletion;
  /** Meaning, unit and when it is written. */
  readonly about: string;
  /** Who reads it, and why. */
  readonly readers: string;
  readonly examples: readonly Example[];
  /** Section of symlink-tree.md, or another document. */
  readonly source: string;
}

/** Keys of one section that have most things in common. */
export interface KeyGroup {
  readonly title: string;
  readonly about: string;
  readonly source: string;
  readonly keys: readonly Key[];
}

type Row = Pick<Key, 'path' | 'about'> & Partial<Key>;

/** Builds a group; `common` is what a row does not say itself. */
export function keyGroup(
  { title, about, source }: Pick<KeyGroup, 'title' | 'about' | 'source'>,
  common: Partial<Key>,
  rows: readonly Row[],
): KeyGroup {
  const defaults = {
    kind: 'link',
    codec: null,
    writers: ['marsadm@anywhere'],
    replication: 'everywhere',
    importance: 'required',
    deletion: 'usual',
    readers: '',
    examples: [],
    source,
  } as const;
  return { title, about, source, keys: rows.map((row) => ({ ...defaults, ...common, ...row })) };
}

/** A key whose values TypeScript knows, for use in code: `tree.read(KEYS.replay, …)`. */
export type KeyValue<K> = K extends { codec: Codec<infer T> } ? T : never;
