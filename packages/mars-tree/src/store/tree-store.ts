import { ENAMETOOLONG, ErrorCode, MarsError, invariant, silentLogger, type Files, type Logger } from '@mars/brick-core';
import { checkFact, findKey, mayWrite } from '../keys.js';
import type { LamportClock } from '../lamport-clock.js';
import { MIN_LINKS_TO_DOUBT_CLOCK, RACY_MS } from '../limits.js';
import { TOMBSTONE, joinPath, nameClass, splitPath, whyNoPath, whyNoValue } from '../names.js';
import { Entry, type TreeNode } from '../snapshot/entry.js';
import { TreeSnapshot } from '../snapshot/snapshot.js';
import { decideMerge, decidePush, isCutCopy, localStamp, type Decision, type StampedFact } from './order.js';
import { Problems } from './problems.js';
import { Scanner, drain } from './scan.js';
import {
  DAEMON_TEMPORARY,
  TreeDisk,
  errnoOf,
  type DirectoryState,
  type Placed,
  type StampResolution,
} from './tree-disk.js';

export interface TreeStoreOptions {
  files: Files;
  clock: LamportClock;
  /** Absolute path of the tree, usually `/mars`. */
  root: string;
  /** Local host. */
  me: string;
  log?: Logger;
  /** `daemon` may write only what the table of keys permits; `marsadm` acts for anybody. */
  program?: 'daemon' | 'marsadm';
  /** Start of the names of temporary links; marsadm takes `.tmp.PID.`. */
  temporaryPrefix?: string;
}

export interface Fact {
  path: string;
  value: string;
}

/** What a write came to. `unchanged`: the value was there already; `in-the-way`: something is there that is not replaced. */
export type WriteOutcome = 'written' | 'unchanged' | 'in-the-way';

/** What became of a value from elsewhere. */
export type MergeOutcome = Exclude<Decision, 'take'> | 'taken' | 'in-the-way' | 'not-allowed';

export type TreeListener = (before: TreeSnapshot, after: TreeSnapshot) => void;

/**
 * The tree on this host: what stands in the links, in memory as a snapshot and on the disk as links.
 *
 * I1: per path, stamps never go back, except those of the far future.
 * I2: a value is on the disk before it is in the snapshot.
 * I3: nothing outside of the root is ever touched: no path with `..`, no walk through a link.
 * I4: nothing is written before {@link load}, because only then the clock knows the newest stamp.
 *
 * All calls are synchronous and short; what must be durable is followed by {@link sync}. Source: symlink-tree.md, section 3.
 */
export class TreeStore {
  readonly disk: TreeDisk;
  readonly problems: Problems;
  readonly clock: LamportClock;
  readonly me: string;
  private current = TreeSnapshot.EMPTY;
  private isLoaded = false;
  private isTelling = false;
  /** The file system has been seen to keep less of a stamp than it was given. */
  private cutsStamps = false;
  private batchDepth = 0;
  private told = TreeSnapshot.EMPTY;
  private readonly listeners = new Set<TreeListener>();
  private readonly farFuture = new Set<string>();
  /** Markers of the old deletion protocol: path of the object → stamp. Empty in all but trees of 2017. */
  readonly oldMarkers = new Map<string, bigint>();
  /** State of each directory before it was last read; none where it was so fresh that the same state may hide another change. */
  private readonly readStates = new Map<string, DirectoryState>();
  private readonly scanner: Scanner;
  private readonly program: 'daemon' | 'marsadm';
  private readonly log: Logger;
  private stats = { links: 0, farFuture: 0, newestNs: 0n, newestFarNs: 0n };

  constructor(options: TreeStoreOptions) {
    const { files, clock, root, me, log = silentLogger, program = 'daemon', temporaryPrefix } = options;
    this.log = log;
    this.clock = clock;
    this.me = me;
    this.program = program;
    this.problems = new Problems(log);
    this.disk = new TreeDisk(files, root.replace(/\/+$/, ''), this.problems, temporaryPrefix);
    this.scanner = new Scanner(this.disk, this.problems, {
      seen: (path, entry) => this.seen(path, entry),
      reading: (dir) => this.reading(dir),
      hidden: (dir, name) => this.hidden(dir, name),
    });
  }

  /** The tree now. Keep it as long as you like: it never changes. */
  get snapshot(): TreeSnapshot {
    return this.current;
  }

  /** Called after every change, whoever made it; keep it short, and never write from inside. @returns the end of the subscription */
  subscribe(listener: TreeListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Several changes, one notification. */
  batch<T>(run: () => T): T {
    this.batchDepth++;
    try {
      return run();
    } finally {
      if (--this.batchDepth === 0) this.tell();
    }
  }

  /**
   * Reads the whole tree, once, before anything else: only then the clock is later than every link.
   * @throws MarsError FILE_IO when the root cannot be read
   */
  load(): TreeSnapshot {
    drain(this.loading());
    return this.current;
  }

  /** The same in portions; the caller lets its loop breathe between them. */
  *loading(): Generator<void, void, void> {
    this.stats = { links: 0, farFuture: 0, newestNs: 0n, newestFarNs: 0n };
    const root = yield* this.scanner.scan('', this.current.root);
    if (root === null || root === 'unreadable') {
      throw new MarsError(ErrorCode.FILE_IO, `the tree below ${this.disk.root} cannot be read`, {
        hint: 'It must be a directory that this user may read; usually the file system of /mars is not mounted.',
        details: { path: this.disk.root },
      });
    }
    this.settleClock();
    this.isLoaded = true;
    this.update('', root);
  }

  /** To be asked, and warned about, at the start of a daemon. */
  stampResolution(): StampResolution {
    return this.disk.stampResolution();
  }

  /** A local write: always later than what was there. Rewrites an equal value, for its new stamp. */
  write(path: string, value: string): WriteOutcome {
    this.checkWrite(path, value);
    const existing = this.look(path);
    if (existing === 'directory') return this.blocked(path, 'a directory');
    return this.put(path, value, localStamp(existing, this.clock)) ? 'written' : 'in-the-way';
  }

  /** A local write of what is not there already. */
  writeIfChanged(path: string, value: string): WriteOutcome {
    const existing = this.look(path);
    if (existing instanceof Entry && existing.kind === 'link' && existing.value === value) return 'unchanged';
    return this.write(path, value);
  }

  /**
   * Several local writes with one common stamp, as marsadm does: all links are prepared, then renamed in order. Of two facts with one
   * path the later counts. @returns paths at which something was in the way
   */
  writeTogether(facts: readonly Fact[]): string[] {
    const last = new Map<string, string>();
    for (const { path, value } of facts) {
      this.checkWrite(path, value);
      last.delete(path);
      last.set(path, value);
    }
    let stampNs = this.clock.now();
    for (const path of last.keys()) {
      const existing = this.look(path);
      const own = localStamp(existing === 'directory' ? null : existing, this.clock);
      if (own > stampNs) stampNs = own;
    }
    return this.batch(() => [...last].filter(([path, value]) => !this.put(path, value, stampNs)).map(([path]) => path));
  }

  /**
   * Writes a tombstone in place of a link, a file or an empty directory.
   * @returns `unchanged` when nothing is there, or a tombstone already
   */
  delete(path: string): WriteOutcome {
    const existing = this.look(path);
    if (existing === null || (existing instanceof Entry && existing.isTombstone)) return 'unchanged';
    this.checkWrite(path, TOMBSTONE);
    if (existing === 'directory' && !this.disk.removeEmptyDirectory(path)) return this.blocked(path, 'a directory');
    const stampNs = localStamp(existing === 'directory' ? null : existing, this.clock);
    return this.put(path, TOMBSTONE, stampNs) ? 'written' : 'in-the-way';
  }

  /**
   * One entry of a peer's list: newest wins. Nothing that a peer can send makes it throw.
   * @throws MarsError FILE_IO when the machine refuses (no space, defective disk)
   */
  merge(fact: StampedFact): MergeOutcome {
    return this.receive(fact, decideMerge);
  }

  /** A pushed link: takes the stamp of the message. */
  push(fact: StampedFact): MergeOutcome {
    return this.receive(fact, decidePush);
  }

  /**
   * Makes everything durable that was written at these paths, and what was written before. Directories are enough: names and stamps are
   * metadata, and journalling file systems keep their order. Source: symlink-tree.md 5.6; README, "Durability".
   */
  sync(paths: readonly string[]): Promise<void> {
    return this.disk.sync(paths);
  }

  /** To be called before a regular file (a log, a trigger file) is created: a tombstone there would be in its way. Source: symlink-tree.md 3.5, rule 4 */
  makeWayForFile(path: string): void {
    const there = this.look(path);
    if (there instanceof Entry && there.isTombstone) this.forget(path, there);
    this.disk.prepareParents(path, this.clock.now());
  }

  /** Looks at one path again, because somebody says it has changed. @returns whether it had */
  refresh(path: string): boolean {
    const known = this.current.node(path);
    const look = this.disk.look(path, known instanceof Entry ? known : null);
    if (look === 'unreadable') return false;
    if (look === 'directory') return this.refreshDirectory(path, true);
    if (look === known) return false;
    if (look !== null) this.seen(path, look);
    this.update(path, look);
    return true;
  }

  /** Reads a directory again. @param recursive also what is below directories that are known already */
  refreshDirectory(dir: string, recursive: boolean): boolean {
    const known = this.current.directory(dir);
    const found = drain(this.scanner.scan(dir, known, recursive));
    if (found === null) this.readStates.delete(dir);
    if (found === 'unreadable' || found === known) return false;
    invariant(found !== null || dir !== '', 'the root of the tree has disappeared');
    this.update(dir, found);
    return true;
  }

  /** True when no name in a directory can have changed since it was read; costs one look at the directory itself. */
  isUnchanged(dir: string): boolean {
    const read = this.readStates.get(dir);
    const state = read === undefined ? null : this.disk.directoryState(dir);
    return state !== null && state.mtimeNs === read!.mtimeNs && state.inode === read!.inode;
  }

  /** Paths whose stamps are corrupt; see {@link repair}. */
  get corruptPaths(): string[] {
    return [...this.farFuture];
  }

  /**
   * Gives links whose stamp is too far ahead the stamp that they count as, so that newer values win again.
   * @returns paths that were repaired. Source: symlink-tree.md 3.10, 4.4
   */
  repair(): string[] {
    const repaired: string[] = [];
    for (const path of this.farFuture) {
      const existing = this.look(path);
      if (!(existing instanceof Entry) || existing.kind !== 'link' || !this.clock.isFarFuture(existing.stampNs))
        continue;
      const stampNs = this.clock.repairStamp(existing.stampNs);
      if (existing.value !== '' && this.put(path, existing.value, stampNs)) repaired.push(path);
    }
    this.farFuture.clear();
    return repaired;
  }

  /** Removes a link from this host without a trace, if it is still the one that was meant. For tombstones that nobody needs any more. */
  forget(path: string, expected: Entry): boolean {
    const there = this.look(path);
    if (!(there instanceof Entry) || !there.equals(expected)) return false;
    this.disk.unlink(path);
    this.update(path, null);
    return true;
  }

  private receive(
    fact: StampedFact,
    decide: (existing: Entry | null, fact: StampedFact, clock: LamportClock) => Decision,
  ): MergeOutcome {
    invariant(this.isLoaded, 'the tree must be loaded before anything is merged');
    if (!isAcceptable(fact)) return 'not-allowed';
    const existing = this.look(fact.path);
    if (existing instanceof Entry) this.clock.advance(existing.stampNs);
    if (existing === 'directory')
      return fact.value === TOMBSTONE ? 'in-the-way' : this.blocked(fact.path, 'a directory');
    if (this.isMarkedDeleted(fact)) return 'older';
    if (this.cutsStamps && existing !== null && isCutCopy(existing, fact)) return 'same';
    const decision = decide(existing, fact, this.clock);
    if (decision !== 'take') return decision;
    try {
      return this.put(fact.path, fact.value, fact.stampNs) ? 'taken' : 'in-the-way';
    } catch (error) {
      // The peer's file system holds longer values than ours (XFS ends at 1024 bytes): no reason to stop.
      if (errnoOf(error) === ENAMETOOLONG) return 'not-allowed';
      throw error;
    }
  }

  /** A marker of the old protocol refuses what is not newer; otherwise it goes. Source: symlink-tree.md 3.2. */
  private isMarkedDeleted({ path, stampNs }: StampedFact): boolean {
    const markerNs = this.oldMarkers.get(path);
    if (markerNs === undefined) return false;
    if (markerNs > stampNs) return true;
    const { dir, name } = splitPath(path);
    this.disk.unlink(joinPath(dir, `.deleted-${name}`));
    this.oldMarkers.delete(path);
    return false;
  }

  private checkWrite(path: string, value: string): void {
    invariant(this.isLoaded, 'the tree must be loaded before anything is written: the clock would be behind its links');
    checkFact(path, value);
    if (this.program !== 'daemon') return;
    const found = findKey(path);
    invariant(found !== null && mayWrite(found, 'daemon', this.me), `the daemon of ${this.me} must not write ${path}`);
  }

  private put(path: string, value: string, stampNs: bigint): boolean {
    const placed: Placed = this.disk.place(path, value, stampNs);
    if (placed.outcome === 'in-the-way') {
      this.blocked(path, placed.what);
      return false;
    }
    this.clock.advance(placed.entry.stampNs);
    if (placed.entry.stampNs < stampNs) this.cutsStamps = true;
    this.problems.clear(path);
    this.update(path, placed.entry);
    return true;
  }

  private blocked(path: string, what: string): 'in-the-way' {
    this.problems.note(path, what.startsWith('a file') ? 'file in the way' : 'directory in the way', { what });
    return 'in-the-way';
  }

  /** What is there now; "cannot be read" is an error here, because a write must not be blind. */
  private look(path: string): Entry | 'directory' | null {
    const known = this.current.entry(path);
    const look = this.disk.look(path, known);
    if (look !== 'unreadable') return look;
    throw new MarsError(ErrorCode.FILE_IO, `${path} cannot be read, so it is not written either`, {
      hint: 'Look into the log for the reason; the file system of /mars may be defective.',
      details: { path },
    });
  }

  private seen(path: string, entry: Entry): void {
    const { stats } = this;
    if (entry.kind === 'link') stats.links++;
    if (entry.kind === 'link' && this.clock.isFarFuture(entry.stampNs)) {
      stats.farFuture++;
      if (entry.stampNs > stats.newestFarNs) stats.newestFarNs = entry.stampNs;
      this.farFuture.add(path);
      if (this.isLoaded) this.problems.note(path, 'stamp too far ahead', { stampNs: String(entry.stampNs) });
    } else if (this.isLoaded) this.clock.advance(entry.stampNs);
    else if (entry.stampNs > stats.newestNs) stats.newestNs = entry.stampNs;
  }

  /** After the first scan: the clock learns the newest stamp, and who is wrong when stamps are too far ahead. */
  private settleClock(): void {
    const { links, farFuture, newestNs, newestFarNs } = this.stats;
    this.clock.advance(newestNs);
    if (farFuture === 0) return;
    if (links >= MIN_LINKS_TO_DOUBT_CLOCK && farFuture * 2 > links) {
      this.log.error(
        { links, farFuture, systemClockNs: String(this.clock.realNs()), newestNs: String(newestFarNs) },
        'the system clock is far behind the tree; it is taken to be wrong',
      );
      this.clock.adopt(newestFarNs);
      this.farFuture.clear();
      return;
    }
    for (const path of this.farFuture) this.problems.note(path, 'stamp too far ahead');
  }

  /** Stamps of directories are coarse: a fresh one may stand for two changes, of which we are about to see one. */
  private reading(dir: string): void {
    const state = this.disk.directoryState(dir);
    const isRacy = state === null || this.clock.realNs() - state.mtimeNs < BigInt(RACY_MS) * 1_000_000n;
    if (isRacy) this.readStates.delete(dir);
    else this.readStates.set(dir, state);
  }

  private hidden(dir: string, name: string): void {
    const path = joinPath(dir, name);
    if (name.startsWith('.deleted-')) {
      const marker = this.disk.look(path);
      if (marker instanceof Entry) this.oldMarkers.set(joinPath(dir, name.slice('.deleted-'.length)), marker.stampNs);
    } else if (this.program === 'daemon' && !this.isLoaded && name.startsWith(DAEMON_TEMPORARY)) {
      // Left behind by a crash between the two steps of a write: that write has not happened.
      this.disk.unlink(path);
    }
  }

  private update(path: string, node: TreeNode | null): void {
    this.current = this.current.with(path, node);
    if (this.batchDepth === 0) this.tell();
  }

  private tell(): void {
    const before = this.told;
    const after = this.current;
    if (before === after) return;
    invariant(!this.isTelling, 'a listener of the tree has changed the tree: put the news in a queue instead');
    this.told = after;
    this.isTelling = true;
    try {
      for (const listener of this.listeners) listener(before, after);
    } finally {
      this.isTelling = false;
    }
  }
}

/** Paths and values that a peer may name at all. */
function isAcceptable({ path, value, stampNs }: StampedFact): boolean {
  if (stampNs < 0n || whyNoValue(value) !== null || whyNoPath(path) !== null) return false;
  return !path.split('/').some((name) => nameClass(name) === 'ignored');
}
