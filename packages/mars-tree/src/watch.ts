import { isMarsError, type Clock, type Files, type Unwatch } from '@mars/brick-core';
import {
  GLANCE_PERIOD_S,
  LOG_SETTLE_MS,
  LOOK_BUDGET,
  LOOK_PAUSE_MS,
  MAX_DIRTY_NAMES,
  MAX_GROWING_LOGS,
  MAX_WATCHES,
  SCAN_PERIOD_S,
  SETTLE_MS,
  SWEEP_STEP_MS,
} from './limits.js';
import { joinPath } from './names.js';
import { Directory, isDirectory, type TreeNode } from './snapshot/entry.js';
import { FactMap } from './snapshot/fact-map.js';
import type { TreeStore } from './store/tree-store.js';

export interface TreeWatchOptions {
  store: TreeStore;
  files: Files;
  clock: Clock;
  /** Every directory's own time is compared this often, seconds. */
  glancePeriodS?: number;
  /** Every entry is looked at this often, seconds. */
  scanPeriodS?: number;
  /** Step of both, ms. */
  sweepStepMs?: number;
}

/** What the watch has done so far; for the bench and for status. */
export interface WatchCounts {
  /** News from the machine. */
  events: number;
  /** Paths that were looked at because of news. */
  looks: number;
  /** Directories that were read again because of news. */
  rereads: number;
  /** Directories whose time was compared. */
  glances: number;
  /** Directories that were read as safety net. */
  scans: number;
  /** Changes that only the safety net has found. */
  missed: number;
}

/** What is to be done about a directory: look at some names, at anything in it, or begin to watch it. */
type Dirty = Set<string> | 'everything' | 'new';

/** A watch costs about as much as so many looks. */
const LOOKS_PER_WATCH = 5;

/**
 * Keeps a store up to date with what others do below `/mars`.
 *
 * ```
 *   news of a directory ──> names, at most 256 of each directory, else "everything" ──(5 ms)──> look at them ──> store
 *   sweep, one step a second: a 300th of all directories: has its own time changed?  a 3600th: look at everything in it
 * ```
 * News cost one look each, whatever the size of the tree; an idle second costs a few dozen looks for a thousand resources. Watches may
 * lie, overflow or be used up: the sweep finds what they missed. Source: symlink-tree.md 3.10; issue 5
 */
export class TreeWatch {
  readonly counts: WatchCounts = { events: 0, looks: 0, rereads: 0, glances: 0, scans: 0, missed: 0 };
  private readonly store: TreeStore;
  private readonly files: Files;
  private readonly clock: Clock;
  /** All directories; `null` = without a watch. */
  private readonly watched = new Map<string, Unwatch | null>();
  private readonly dirty = new Map<string, Dirty>();
  /** Paths of log files that grow; looked at less often. */
  private readonly growing = new Set<string>();
  private isSlowlyArmed = false;
  private sweepList: string[] = [];
  private glanceAt = 0;
  private scanAt = 0;
  private readonly stepMs: number;
  private readonly glanceSteps: number;
  private readonly scanSteps: number;
  private isArmed = false;
  private isRunning = false;
  private unsubscribe: () => void = () => {};

  constructor(options: TreeWatchOptions) {
    const { store, files, clock, glancePeriodS = GLANCE_PERIOD_S, scanPeriodS = SCAN_PERIOD_S } = options;
    this.store = store;
    this.files = files;
    this.clock = clock;
    this.stepMs = options.sweepStepMs ?? SWEEP_STEP_MS;
    this.glanceSteps = Math.max(1, (glancePeriodS * 1000) / this.stepMs);
    this.scanSteps = Math.max(1, (scanPeriodS * 1000) / this.stepMs);
  }

  /**
   * Begins to watch. What changed between the load of the store and this call is found too: each directory is compared once, after its
   * watch stands.
   */
  start(): void {
    this.isRunning = true;
    this.addDirectory('');
    this.follow('', null, this.store.snapshot.root);
    this.unsubscribe = this.store.subscribe((before, after) => this.follow('', before.root, after.root));
    this.clock.after(this.stepMs, this, sweepStep);
  }

  stop(): void {
    this.isRunning = false;
    this.unsubscribe();
    for (const unwatch of this.watched.values()) unwatch?.();
    this.watched.clear();
    this.dirty.clear();
    this.growing.clear();
  }

  /** Directories that are known, and those of them that the machine watches. */
  get directories(): { known: number; watched: number } {
    let watched = 0;
    for (const unwatch of this.watched.values()) if (unwatch !== null) watched++;
    return { known: this.watched.size, watched };
  }

  /** Looks at everything at once; for a command that wants to be sure. */
  scanNow(): boolean {
    this.dirty.clear();
    return this.store.refreshDirectory('', true);
  }

  /** Called by the sweep timer. */
  sweep(): void {
    if (!this.isRunning) return;
    this.store.batch(() => {
      if (this.glanceAt >= this.sweepList.length) this.restartSweep();
      const glances = Math.ceil(this.watched.size / this.glanceSteps);
      for (let i = 0; i < glances && this.glanceAt < this.sweepList.length; i++)
        this.glance(this.sweepList[this.glanceAt++]!);
      this.scanStep();
    });
    this.clock.after(this.stepMs, this, sweepStep);
  }

  /** Called some milliseconds after the first news. */
  lookAtDirty(): void {
    this.isArmed = false;
    if (!this.isRunning) return;
    let budget = LOOK_BUDGET;
    this.store.batch(() => {
      for (const [dir, names] of this.dirty) {
        this.dirty.delete(dir);
        budget -= this.lookAt(dir, names);
        if (budget <= 0) break;
      }
    });
    if (this.dirty.size > 0) this.arm(LOOK_PAUSE_MS);
  }

  /** @returns what it cost, in looks */
  private lookAt(dir: string, names: Dirty): number {
    if (names === 'new') return this.beginWatch(dir);
    if (names === 'everything') {
      this.counts.rereads++;
      this.store.refreshDirectory(dir, false);
      return this.store.snapshot.directory(dir)?.entries.size ?? 1;
    }
    for (const name of names) {
      this.counts.looks++;
      this.store.refresh(joinPath(dir, name));
    }
    return names.size;
  }

  private news(dir: string, name: string | null): void {
    if (!this.isRunning) return;
    this.counts.events++;
    // Temporary links and private files: two thirds of all news.
    if (name !== null && name.startsWith('.')) return;
    if (name !== null && this.isGrowingLog(dir, name)) return this.lookLater(joinPath(dir, name));
    const names = this.dirty.get(dir);
    if (names === 'new') return;
    if (name === null || (names instanceof Set && names.size >= MAX_DIRTY_NAMES)) this.dirty.set(dir, 'everything');
    else if (names === undefined) this.dirty.set(dir, new Set([name]));
    else if (names instanceof Set) names.add(name);
    this.arm(SETTLE_MS);
  }

  /** Known log files tell us about every single write; that one came or went is told by another kind of entry. */
  private isGrowingLog(dir: string, name: string): boolean {
    return name.startsWith('log-') && this.store.snapshot.entry(joinPath(dir, name))?.kind === 'file';
  }

  private lookLater(path: string): void {
    if (this.growing.size < MAX_GROWING_LOGS) this.growing.add(path);
    if (this.isSlowlyArmed) return;
    this.isSlowlyArmed = true;
    this.clock.after(LOG_SETTLE_MS, this, growStep);
  }

  /** Called a while after the first news of a log file. */
  lookAtGrowing(): void {
    this.isSlowlyArmed = false;
    if (!this.isRunning) return;
    this.store.batch(() => {
      for (const path of this.growing) this.store.refresh(path);
    });
    this.counts.looks += this.growing.size;
    this.growing.clear();
  }

  private arm(delayMs: number): void {
    if (this.isArmed) return;
    this.isArmed = true;
    this.clock.after(delayMs, this, lookStep);
  }

  /** Directories come and go: so do their watches. Costs as much as differs. */
  private follow(dir: string, before: TreeNode | null, after: TreeNode | null): void {
    if (before === after) return;
    const old = isDirectory(before) ? before : null;
    const now = isDirectory(after) ? after : null;
    if (dir !== '' && old === null && now !== null) this.addDirectory(dir);
    if (old !== null && now === null) this.forgetDirectory(dir);
    (old ?? NOTHING).entries.compare((now ?? NOTHING).entries, (name, was, is) => {
      if (isDirectory(was) || isDirectory(is)) this.follow(joinPath(dir, name), was ?? null, is ?? null);
    });
  }

  private addDirectory(dir: string): void {
    this.watched.set(dir, null);
    this.dirty.set(dir, 'new');
    this.arm(SETTLE_MS);
  }

  /** What happened between the scan and the watch was told to nobody, so the directory is compared. */
  private beginWatch(dir: string): number {
    if (!this.watched.has(dir)) return 0;
    if (this.watched.size <= MAX_WATCHES) {
      try {
        const unwatch = this.files.watch(this.store.disk.absolute(dir), (name) => this.news(dir, name));
        this.watched.set(dir, unwatch);
      } catch (error) {
        // Gone already, or no watches left: the sweep comes by.
        if (!isMarsError(error)) throw error;
      }
    }
    if (this.store.isUnchanged(dir)) return LOOKS_PER_WATCH;
    this.counts.rereads++;
    this.store.refreshDirectory(dir, false);
    return LOOKS_PER_WATCH + (this.store.snapshot.directory(dir)?.entries.size ?? 0);
  }

  private forgetDirectory(dir: string): void {
    this.watched.get(dir)?.();
    this.watched.delete(dir);
    this.dirty.delete(dir);
  }

  private restartSweep(): void {
    this.sweepList = [...this.watched.keys()];
    this.glanceAt = 0;
  }

  /** The directory's own time tells of every name that came, went or was replaced. */
  private glance(dir: string): void {
    if (!this.watched.has(dir)) return;
    this.counts.glances++;
    if (!this.store.isUnchanged(dir) && this.store.refreshDirectory(dir, false)) this.counts.missed++;
  }

  private scanStep(): void {
    this.scanAt += this.watched.size / this.scanSteps;
    for (; this.scanAt >= 1; this.scanAt--) {
      const dir = this.sweepList[this.counts.scans % Math.max(1, this.sweepList.length)];
      this.counts.scans++;
      if (dir !== undefined && this.watched.has(dir) && this.store.refreshDirectory(dir, false)) this.counts.missed++;
    }
  }
}

const NOTHING = new Directory(FactMap.empty());

function sweepStep(watch: TreeWatch): void {
  watch.sweep();
}

function growStep(watch: TreeWatch): void {
  watch.lookAtGrowing();
}

function lookStep(watch: TreeWatch): void {
  watch.lookAtDirty();
}
