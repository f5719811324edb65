import { JOURNAL_COMMIT_NS, MAX_JOURNAL_OPS } from '../limits.js';
import type { Inode } from './inode.js';
import type { Coin } from './sectors.js';

/** A change of names or attributes that a power cut may undo. */
export type MetaOp =
  | { kind: 'link'; dir: Inode; name: string; inode: Inode }
  | { kind: 'unlink'; dir: Inode; name: string }
  | { kind: 'rename'; dir: Inode; name: string; toDir: Inode; toName: string; inode: Inode }
  | { kind: 'time'; inode: Inode; mtimeNs: bigint }
  /** Growth by writing: a crash may leave any size in between. */
  | { kind: 'grow'; inode: Inode; from: number; to: number }
  | { kind: 'cut'; inode: Inode; to: number; cut: number };

/**
 * What a power cut leaves of the operations that are not synced:
 * - `journal`: the oldest ones up to some moment, as ext4 and XFS do (one journal per file system, replayed in order). A sync of
 *   one file therefore commits everything before that file's last change too.
 * - `posix`: any subset in which nothing depends on something missing. No real file system of ours is that bad; whoever survives
 *   this relies on nothing that the manual pages do not promise.
 */
export type JournalModel = 'journal' | 'posix';

/** The operations on names and attributes of one file system that are written but not yet durable, oldest first. */
export class Journal {
  private ops: { op: MetaOp; atNs: number }[] = [];

  constructor(private readonly model: JournalModel) {}

  get length(): number {
    return this.ops.length;
  }

  add(op: MetaOp, atNs: number): void {
    const last = this.ops[this.ops.length - 1]?.op;
    if (op.kind === 'grow' && last?.kind === 'grow' && last.inode === op.inode && last.to === op.from) last.to = op.to;
    else this.ops.push({ op, atNs });
    this.commitOld(atNs);
    if (this.ops.length > MAX_JOURNAL_OPS) this.commitFirst(this.ops.length >> 1);
  }

  /** The journal commits by itself every now and then. */
  private commitOld(nowNs: number): void {
    const young = this.ops.findIndex((entry) => entry.atNs > nowNs - JOURNAL_COMMIT_NS);
    this.commitFirst(young < 0 ? this.ops.length : young);
  }

  /** A file was synced: size, cuts and times of this inode. */
  commitInode(inode: Inode): void {
    this.commitWhere(
      (op) => 'inode' in op && op.inode === inode && (op.kind === 'time' || op.kind === 'grow' || op.kind === 'cut'),
    );
  }

  /** A directory was synced: its names. */
  commitDirectory(dir: Inode): void {
    this.commitWhere((op) => ('dir' in op && op.dir === dir) || (op.kind === 'rename' && op.toDir === dir));
  }

  commitAll(): void {
    this.commitFirst(this.ops.length);
  }

  /** Power is gone. Afterwards the durable image is all there is. @param random uniform in [0, 1) */
  crash(nowNs: number, random: () => number, survives: Coin): void {
    this.commitOld(nowNs);
    if (this.model === 'journal') this.crashInOrder(random);
    else this.crashAnyhow(random, survives);
    this.ops = [];
  }

  private crashInOrder(random: () => number): void {
    const count = Math.floor(random() * (this.ops.length + 1));
    const torn = this.ops[count]?.op;
    this.commitFirst(count);
    if (torn?.kind === 'grow') growPartly(torn, random());
  }

  private crashAnyhow(random: () => number, survives: Coin): void {
    const needs = dependencies(this.ops.map((entry) => entry.op));
    const isThere: boolean[] = [];
    this.ops.forEach(({ op }, i) => {
      isThere[i] = needs[i]!.every((before) => isThere[before]) && survives();
      if (isThere[i]) apply(op);
      else if (op.kind === 'grow' && needs[i]!.every((before) => isThere[before])) growPartly(op, random());
    });
  }

  private commitWhere(isWanted: (op: MetaOp) => boolean): void {
    if (this.model === 'journal') {
      const last = this.ops.findLastIndex((entry) => isWanted(entry.op));
      return this.commitFirst(last + 1);
    }
    const needs = dependencies(this.ops.map((entry) => entry.op));
    const wanted = this.ops.map((entry) => isWanted(entry.op));
    for (let i = wanted.length - 1; i >= 0; i--) if (wanted[i]) for (const before of needs[i]!) wanted[before] = true;
    this.ops = this.ops.filter((entry, i) => {
      if (wanted[i]) apply(entry.op);
      return !wanted[i];
    });
  }

  private commitFirst(count: number): void {
    for (const { op } of this.ops.splice(0, count)) apply(op);
  }
}

function apply(op: MetaOp): void {
  switch (op.kind) {
    case 'link':
      op.dir.durableNames!.set(op.name, op.inode);
      break;
    case 'unlink':
      op.dir.durableNames!.delete(op.name);
      break;
    case 'rename':
      op.dir.durableNames!.delete(op.name);
      op.toDir.durableNames!.set(op.toName, op.inode);
      break;
    case 'time':
      op.inode.durableMtimeNs = op.mtimeNs;
      break;
    case 'grow':
      op.inode.durableSizeBytes = op.to;
      break;
    case 'cut':
      op.inode.durableSizeBytes = op.to;
      op.inode.data!.cutIsDurable(op.cut, op.to);
      break;
  }
}

/** Delayed allocation: the size on the disk may have followed the writer half-way, by whole file-system blocks. */
function growPartly(op: MetaOp & { kind: 'grow' }, share: number): void {
  const size = op.from + Math.floor((op.to - op.from) * share);
  op.inode.durableSizeBytes = Math.max(op.from, size - (size % 512));
}

/** For each operation the earlier ones without which it makes no sense: same name, same attribute, or what it stands on. */
function dependencies(ops: readonly MetaOp[]): number[][] {
  const last = new Map<string, number>();
  return ops.map((op, i) => {
    const before = new Set<number>();
    for (const key of keysOf(op)) {
      const at = last.get(key);
      if (at !== undefined) before.add(at);
    }
    for (const key of changesOf(op)) last.set(key, i);
    return [...before];
  });
}

/** What an operation must find. */
function keysOf(op: MetaOp): string[] {
  switch (op.kind) {
    case 'link':
      return [nameKey(op.dir, op.name), thereKey(op.dir)];
    case 'unlink':
      return [nameKey(op.dir, op.name), thereKey(op.dir)];
    case 'rename':
      return [
        nameKey(op.dir, op.name),
        nameKey(op.toDir, op.toName),
        thereKey(op.dir),
        thereKey(op.toDir),
        thereKey(op.inode),
      ];
    default:
      return [attributeKey(op.inode)];
  }
}

/** What later operations find changed. */
function changesOf(op: MetaOp): string[] {
  switch (op.kind) {
    case 'link':
      return [nameKey(op.dir, op.name), thereKey(op.inode)];
    case 'unlink':
      return [nameKey(op.dir, op.name)];
    case 'rename':
      return [nameKey(op.dir, op.name), nameKey(op.toDir, op.toName)];
    default:
      return [attributeKey(op.inode)];
  }
}

function nameKey(dir: Inode, name: string): string {
  return `n${dir.number}/${name}`;
}

function thereKey(inode: Inode): string {
  return `t${inode.number}`;
}

function attributeKey(inode: Inode): string {
  return `a${inode.number}`;
}
