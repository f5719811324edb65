import type { Clock, Logger } from '@mars/brick-core';
import {
  LamportClock,
  NS_PER_SECOND,
  TOMBSTONE,
  TreeStore,
  checkFact,
  formatStamp,
  type Entry,
  type TreeSnapshot,
} from '@mars/mars-tree';
import type { Output } from '../output.js';
import { readText, type World } from '../world.js';
import type { Daemon } from './daemon.js';
import { NarrowFiles } from './narrow-files.js';

export interface TreeOptions {
  world: World;
  daemon: Daemon;
  out: Output;
  /** Where the tree is; in texts it is `/mars` (decided.md). */
  root: string;
  me: string;
  dryRun: boolean;
  log: Logger;
}

/** A link that was written, or would have been. */
export interface WrittenLink {
  path: string;
  value: string;
  stamp: string;
}

type Pending =
  | { kind: 'write'; path: string; value: string }
  /** A stamp that must lose against others: a handover (old + 1 s), a join (one second after the epoch). */
  | { kind: 'weak'; path: string; value: string; stampNs: bigint; isForced?: boolean }
  | { kind: 'file'; path: string };

/**
 * The tree as marsadm uses it: what is set is queued, and {@link flush} writes all of it, with one stamp, and wakes the daemon.
 * Source: marsadm.md 5
 */
export class Tree {
  readonly store: TreeStore;
  readonly written: WrittenLink[] = [];
  readonly triggers: string[] = [];
  private pending: Pending[] = [];
  private readonly clock: LamportClock;
  private readonly narrow: NarrowFiles;

  constructor(private readonly options: TreeOptions) {
    const { world, daemon, root, me, log } = options;
    this.clock = new LamportClock(clockOf(world.clock, daemon));
    this.narrow = new NarrowFiles(world.files, root);
    this.store = new TreeStore({
      files: this.narrow.files,
      clock: this.clock,
      root,
      me,
      log,
      program: 'marsadm',
      temporaryPrefix: `.tmp.${world.host.pid}.`,
    });
  }

  /**
   * @param resources the only ones that will be looked at; null = all. Only with a running daemon: without it, the newest stamp of the whole
   * tree is the clock
   * @throws MarsError FILE_IO when the tree cannot be read
   */
  load(resources: readonly string[] | null = null): void {
    this.narrow.resources = resources === null ? null : new Set(resources);
    this.store.load();
  }

  /** From here on all resources are seen. */
  widen(): void {
    if (this.narrow.resources === null) return;
    this.narrow.resources = null;
    this.lookAtAll();
  }

  get snapshot(): TreeSnapshot {
    return this.store.snapshot;
  }

  /** Lamport now, ns, for ages and windows: what the daemon says; else the later of the system clock and all that was seen. */
  get nowNs(): bigint {
    return this.options.daemon.clockNs ?? this.clock.peek();
  }

  /** Looks again at directories (and all below them) and links, because a daemon may have written. */
  look(...paths: string[]): TreeSnapshot {
    for (const path of paths) this.store.refresh(path);
    return this.snapshot;
  }

  /** Everything again. */
  lookAtAll(): TreeSnapshot {
    this.store.refreshDirectory('', true);
    return this.snapshot;
  }

  /** Queues a link. @throws MarsError BAD_FACT, BAD_KEY: before anything is written */
  set(path: string, value: string): void {
    checkFact(path, value);
    this.pending.push({ kind: 'write', path, value });
  }

  /** Queues a link with a stamp that loses against newer ones. */
  setWeak(path: string, value: string, stampNs: bigint): void {
    checkFact(path, value);
    this.pending.push({ kind: 'weak', path, value, stampNs });
  }

  /** Queues a link that replaces what is there, although it is younger. Only for what is not exchanged with the old peers any more. */
  setBack(path: string, value: string, stampNs: bigint): void {
    checkFact(path, value);
    this.pending.push({ kind: 'weak', path, value, stampNs, isForced: true });
  }

  /** Queues a tombstone, if there is something to delete. */
  delete(path: string): boolean {
    const there = this.snapshot.node(path);
    if (there === null || ('isTombstone' in there && there.isTombstone)) return false;
    this.pending.push({ kind: 'write', path, value: TOMBSTONE });
    return true;
  }

  /** Queues an empty regular file (a log), mode 0600. */
  createFile(path: string): void {
    this.pending.push({ kind: 'file', path });
  }

  /** Makes directories at once: later links stand in them. */
  makeDirs(...dirs: string[]): void {
    const { out, dryRun } = this.options;
    for (const dir of dirs) {
      if (this.snapshot.directory(dir) !== null) continue;
      if (dryRun) out.say(`DRY_RUN: would create directory '${canonical(dir)}'`);
      else {
        this.store.makeWayForFile(`${dir}/x`);
        this.store.refreshDirectory(dir, false);
        out.detail(`created directory '${canonical(dir)}'`);
      }
    }
  }

  get hasPending(): boolean {
    return this.pending.length > 0;
  }

  /** Writes what is queued, in order, and wakes the daemon. @param trigger instead of the code that follows from the paths */
  async flush(trigger?: string): Promise<void> {
    const pending = this.pending;
    this.pending = [];
    if (pending.length > 0) await this.write(pending);
    const code = trigger ?? (pending.length === 0 ? null : pending.some((p) => isUrgent(p.path)) ? '2' : '1');
    if (code !== null) this.trigger(code);
  }

  /** For {@link rollback}. */
  mark(): number {
    return this.pending.length;
  }

  /** Forgets what was queued since the mark: the work on one resource was refused. */
  rollback(mark: number): void {
    this.pending.length = Math.min(this.pending.length, mark);
  }

  trigger(command: string): void {
    const { out, dryRun, daemon } = this.options;
    if (dryRun) return out.say(`DRY_RUN: would execute trigger '${command}'`);
    out.detail(`Trigger '${command}'`);
    this.triggers.push(command);
    daemon.trigger(command);
  }

  private async write(pending: readonly Pending[]): Promise<void> {
    if (this.options.dryRun) return this.pretend(pending);
    for (const item of pending) if (item.kind === 'file') await this.writeFile(item.path);
    const weak = pending.filter((p) => p.kind === 'weak');
    for (const item of weak) this.writeWeak(item);
    const facts = pending.filter((p) => p.kind === 'write');
    this.store.batch(() => {
      const links = facts.filter(({ path }) => !this.isDirectory(path));
      this.warnOf(this.store.writeTogether(links));
      // An emptied directory gives way to a link of its name; what stood in it was deleted above.
      const directories = facts.filter(({ path }) => !links.some((link) => link.path === path));
      this.warnOf(directories.filter(({ path }) => this.store.delete(path) === 'in-the-way').map(({ path }) => path));
    });
    for (const { path, value } of facts) this.report(path, value);
    for (const { path, value } of weak) this.report(path, value);
  }

  private isDirectory(path: string): boolean {
    return this.snapshot.directory(path) !== null;
  }

  private writeWeak({ path, value, stampNs, isForced = false }: Extract<Pending, { kind: 'weak' }>): void {
    const there = this.snapshot.entry(path);
    if (isForced && there !== null) this.store.forget(path, there);
    const outcome = this.store.push({ path, value, stampNs });
    if (outcome !== 'taken' && outcome !== 'same' && outcome !== 'older') {
      this.options.out.warn(`'${canonical(path)}' was not written: ${outcome}`);
    }
  }

  private async writeFile(path: string): Promise<void> {
    const { files } = this.options.world;
    this.store.makeWayForFile(path);
    const file = await files.open(this.store.disk.absolute(path), { write: true, create: true, exclusive: true });
    await files.sync(file);
    await files.close(file);
    await this.store.sync([path]);
    this.store.refresh(path);
    this.options.out.detail(`created file '${canonical(path)}'`);
  }

  private warnOf(blocked: readonly string[]): void {
    for (const path of blocked) this.options.out.warn(`cannot finalize symlink '${canonical(path)}'`);
  }

  private report(path: string, value: string): void {
    const { out } = this.options;
    const stampNs = this.snapshot.stampNs(path);
    if (stampNs === null) return;
    const stamp = formatStamp(stampNs);
    this.written.push({ path: canonical(path), value, stamp });
    if (value === TOMBSTONE) out.detail(`delete '${canonical(path)}'`);
    else out.detail(`created symlink '${canonical(path)}' -> '${value}'`);
    out.detail(`using lamport timestamp ${stamp}`);
  }

  private pretend(pending: readonly Pending[]): void {
    for (const item of pending) {
      const path = canonical(item.path);
      if (item.kind === 'file') this.options.out.say(`DRY_RUN: would create file '${path}'`);
      else if (item.value === TOMBSTONE) this.options.out.say(`DRY_RUN: would unlink '${path}'`);
      else this.options.out.say(`DRY_RUN: would create symlink '${path}' -> '${item.value}'`);
    }
  }

  /** Text of a regular file in the tree (status files); null = not there. */
  readText(path: string): string | null {
    return readText(this.options.world.files, this.store.disk.absolute(path));
  }

  stampNs(path: string): bigint | null {
    return this.snapshot.stampNs(path);
  }

  /** Age of a link by its stamp, seconds; null = not there. */
  ageSeconds(path: string): number | null {
    const stampNs = this.snapshot.stampNs(path);
    return stampNs === null ? null : Number(this.nowNs - stampNs) / Number(NS_PER_SECOND);
  }

  entry(path: string): Entry | null {
    return this.snapshot.entry(path);
  }
}

/** How paths are shown, whatever `--mars` says. */
export function canonical(path: string): string {
  return `/mars/${path}`;
}

/** The daemon tells its peers at once of these (symlink-tree.md 2.13). */
function isUrgent(path: string): boolean {
  return /\/(primary|todo-global|ip)/.test(`/${path}`);
}

/** The clock that gives stamps: that of the daemon, where one runs. */
function clockOf(clock: Clock, daemon: Daemon): Clock {
  return {
    get nowUs() {
      return clock.nowUs;
    },
    wallNs: () => daemon.clockNs ?? clock.wallNs(),
    after: (delayMs, arg, fn) => clock.after(delayMs, arg, fn),
    sleep: (ms, options) => clock.sleep(ms, options),
  };
}
