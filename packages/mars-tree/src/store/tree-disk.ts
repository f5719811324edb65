import { crashPoint, isMarsError, type DirEntry, type FileStat, type Files } from '@mars/brick-core';
import { MAX_DIRECTORY_ENTRIES, MAX_MAKE_DIR_ATTEMPTS } from '../limits.js';
import { TOMBSTONE, isUtf8, joinPath, splitPath, whyNoValue } from '../names.js';
import { Entry } from '../snapshot/entry.js';
import type { Problems } from './problems.js';

/** What a look at one path finds; `unreadable` = the machine refused to say, so what was known before still counts. */
export type Look = Entry | 'directory' | 'unreadable' | null;

/** What came of putting a link into its place. */
export type Placed =
  | { outcome: 'placed'; entry: Entry }
  | { outcome: 'in-the-way'; what: 'a directory' | 'a link instead of a directory' | 'a file instead of a directory' };

/**
 * `microseconds`: no addon; stamps are rounded up, which is safe. `coarser`: the file system cuts them off (ext3, ext4 with inodes of 128 bytes), and
 * of two values of one second the wrong one may win.
 */
export type StampResolution = 'nanoseconds' | 'microseconds' | 'coarser';

/** A directory's own time and inode. */
export interface DirectoryState {
  mtimeNs: bigint;
  inode: number;
}

export const DAEMON_TEMPORARY = '.tmp-';

const EEXIST = 17;
const ENOENT = 2;

/**
 * Links and directories of one tree on a disk: reads them without trusting them, and writes them as every program around `/mars` does.
 * Paths are relative to the root. No decision is made here. Source: symlink-tree.md 3.1.
 */
export class TreeDisk {
  /** Directories that we made, and whose names may not be durable yet. */
  private readonly made = new Set<string>();

  constructor(
    private readonly files: Files,
    readonly root: string,
    private readonly problems: Problems,
    /** Start of the names of our temporary links: `.tmp-`, or `.tmp.PID.` for marsadm. */
    private readonly temporaryPrefix: string = DAEMON_TEMPORARY,
  ) {}

  absolute(path: string): string {
    return path === '' ? this.root : `${this.root}/${path}`;
  }

  /** @param known what was there at the last look: a link with the same inode and stamp is not read again */
  look(path: string, known: Entry | null = null): Look {
    const stat = this.guarded(path, () => this.files.lstat(this.absolute(path)));
    if (stat === 'unreadable' || stat === null) return stat;
    switch (stat.kind) {
      case 'directory':
        return 'directory';
      case 'file':
        return this.sameOr(known, new Entry('file', '', stat.mtimeNs, stat.sizeBytes, stat.inode));
      case 'symlink':
        return this.lookAtLink(path, stat, known);
      default:
        this.problems.note(path, 'neither link, file nor directory', { kind: stat.kind });
        return null;
    }
  }

  /** Plain names of a directory, `hidden` ones beside them; `null` = it is none. */
  names(dir: string): { plain: DirEntry[]; hidden: string[] } | 'unreadable' | null {
    const list = this.guarded(dir, () => this.files.readDir(this.absolute(dir)));
    if (list === 'unreadable' || list === null) return list;
    if (list.length > MAX_DIRECTORY_ENTRIES) this.problems.note(dir, 'too many entries', { entries: list.length });
    const hidden: string[] = [];
    const plain: DirEntry[] = [];
    for (const entry of list.slice(0, MAX_DIRECTORY_ENTRIES)) {
      if (entry.name.startsWith('.')) hidden.push(entry.name);
      else if (this.isReadable(dir, entry.name)) plain.push(entry);
    }
    return { plain, hidden };
  }

  /** Changes whenever a name in the directory changes. */
  directoryState(dir: string): DirectoryState | null {
    const stat = this.guarded(dir, () => this.files.lstat(this.absolute(dir)));
    return stat === null || stat === 'unreadable' || stat.kind !== 'directory' ? null : stat;
  }

  /**
   * Temporary link, its own time, rename.
   * @throws MarsError FILE_IO for what the machine refuses (no space, read-only)
   */
  place(path: string, value: string, stampNs: bigint): Placed {
    const wrong = this.prepareParents(path, stampNs);
    if (wrong !== null) return { outcome: 'in-the-way', what: wrong };
    return this.finish(path, this.prepare(path, value, stampNs), value);
  }

  /** First half of {@link place}: the temporary link, complete. Parents must be there. @returns its stamp and inode */
  prepare(path: string, value: string, stampNs: bigint): FileStat {
    const temporary = this.temporaryOf(path);
    try {
      this.files.symlink(value, temporary);
    } catch (error) {
      if (errnoOf(error) !== EEXIST) throw error;
      this.files.unlink(temporary);
      this.files.symlink(value, temporary);
    }
    crashPoint('tree.before-stamp');
    try {
      this.files.setLinkTime(temporary, stampNs);
      // The file system may be coarser than we are, and what it really holds is what all others will see.
      return this.files.lstat(temporary)!;
    } catch (error) {
      this.forget(temporary, error);
      throw error;
    }
  }

  /** Second half: over the target, in one step. */
  finish(path: string, { mtimeNs, inode }: FileStat, value: string): Placed {
    const temporary = this.temporaryOf(path);
    crashPoint('tree.before-rename');
    try {
      this.files.rename(temporary, this.absolute(path));
    } catch (error) {
      this.forget(temporary, error);
      if (this.look(path) === 'directory') return { outcome: 'in-the-way', what: 'a directory' };
      throw error;
    }
    return { outcome: 'placed', entry: new Entry('link', value, mtimeNs, 0, inode) };
  }

  /**
   * Makes the directories above a path. A tombstone that stands for a deleted directory goes, if it is older than what is to be written.
   * Never walks through a link: it could lead out of the tree.
   */
  prepareParents(path: string, stampNs: bigint): (Placed & { outcome: 'in-the-way' })['what'] | null {
    const { dir } = splitPath(path);
    if (dir === '') return null;
    const names = dir.split('/');
    for (let i = 1; i <= names.length; i++) {
      const wrong = this.prepareDirectory(names.slice(0, i).join('/'), stampNs);
      if (wrong !== null) return wrong;
    }
    return null;
  }

  /** What the machine keeps of the time of a link: tried out on a temporary one. */
  stampResolution(): StampResolution {
    const temporary = this.temporaryOf('resolution');
    const wantedNs = 1_000_000_001_123_456_789n;
    this.prepare('resolution', 'probe', wantedNs);
    const lost = this.files.lstat(temporary)!.mtimeNs - wantedNs;
    this.files.unlink(temporary);
    if (lost === 0n) return 'nanoseconds';
    return lost > -1000n && lost < 1000n ? 'microseconds' : 'coarser';
  }

  unlink(path: string): void {
    this.files.unlink(this.absolute(path));
  }

  /** @returns false when it is not empty, or no directory */
  removeEmptyDirectory(path: string): boolean {
    const list = this.names(path);
    if (list === null || list === 'unreadable' || list.plain.length > 0) return false;
    for (const name of list.hidden) this.files.unlink(this.absolute(joinPath(path, name)));
    this.files.removeDir(this.absolute(path));
    return true;
  }

  /** Makes what was written at these paths durable; on a journalling file system all that was done before, too. */
  async sync(paths: readonly string[]): Promise<void> {
    const dirs = new Set<string>();
    for (const path of paths) this.addUnsynced(splitPath(path).dir, dirs);
    const fresh = [...dirs].filter((dir) => this.made.delete(dir));
    try {
      for (const dir of dirs) await this.files.syncDir(this.absolute(dir));
    } catch (error) {
      for (const dir of fresh) this.made.add(dir);
      throw error;
    }
  }

  /** A directory that is new itself must be found after a crash, too. */
  private addUnsynced(dir: string, into: Set<string>): void {
    into.add(dir);
    if (dir !== '' && this.made.has(dir)) this.addUnsynced(splitPath(dir).dir, into);
  }

  private prepareDirectory(dir: string, stampNs: bigint): (Placed & { outcome: 'in-the-way' })['what'] | null {
    for (let attempt = 1; ; attempt++) {
      const there = this.look(dir);
      if (there === 'directory') return null;
      if (there instanceof Entry) {
        if (there.value !== TOMBSTONE || there.stampNs >= stampNs) {
          return there.kind === 'file' ? 'a file instead of a directory' : 'a link instead of a directory';
        }
        this.unlink(dir);
      }
      try {
        this.files.makeDir(this.absolute(dir), { mode: 0o700 });
        this.made.add(dir);
        return null;
      } catch (error) {
        // Somebody else made it, or removed its parent, at the same moment.
        const errno = errnoOf(error);
        if ((errno !== EEXIST && errno !== ENOENT) || attempt >= MAX_MAKE_DIR_ATTEMPTS) throw error;
      }
    }
  }

  private lookAtLink(path: string, stat: FileStat, known: Entry | null): Look {
    if (known?.kind === 'link' && known.inode === stat.inode && known.stampNs === stat.mtimeNs) return known;
    const value = this.guarded(path, () => this.files.readLink(this.absolute(path)));
    if (value === 'unreadable' || value === null) return value;
    const isGood = whyNoValue(value) === null;
    if (!isGood) this.problems.note(path, 'value is no plain text');
    // An unreadable value counts as empty, but its stamp still orders it.
    return this.sameOr(known, new Entry('link', isGood ? value : '', stat.mtimeNs, 0, stat.inode));
  }

  /** The known object when nothing differs, so that snapshots can be compared by identity. */
  private sameOr(known: Entry | null, found: Entry): Entry {
    return known !== null && known.inode === found.inode && known.equals(found) ? known : found;
  }

  private isReadable(dir: string, name: string): boolean {
    if (!isUtf8(name)) {
      this.problems.note(joinPath(dir, name), 'name is no UTF-8');
      return false;
    }
    return true;
  }

  private temporaryOf(path: string): string {
    const { dir, name } = splitPath(path);
    return this.absolute(joinPath(dir, `${this.temporaryPrefix}${name}`));
  }

  /** A temporary link that is of no use any more; the error that made it so is more important than one here. */
  private forget(temporary: string, because: unknown): void {
    if (!isMarsError(because)) return;
    try {
      this.files.unlink(temporary);
    } catch (error) {
      if (!isMarsError(error)) throw error;
    }
  }

  private guarded<T>(path: string, run: () => T): T | 'unreadable' {
    try {
      return run();
    } catch (error) {
      if (!isMarsError(error)) throw error;
      this.problems.note(path, 'cannot be read', { errno: errnoOf(error) });
      return 'unreadable';
    }
  }
}

/** The positive errno of a refusal of the machine; `null` for all other errors. */
export function errnoOf(error: unknown): number | null {
  if (!isMarsError(error)) return null;
  const { errno } = error.details;
  return typeof errno === 'number' ? errno : null;
}
