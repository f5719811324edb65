import {
  EEXIST,
  EINVAL,
  ELOOP,
  ENOENT,
  ENOTDIR,
  ErrorCode,
  MarsError,
  errnoName,
  invariant,
  type ErrorCodeName,
  type SeededRandom,
} from '@mars/brick-core';
import { MAX_SYMLINK_HOPS } from '../limits.js';
import { drawNs, type Latency } from '../random.js';
import type { CrashKind, Life } from '../world/life.js';
import type { WorldEvent } from '../world/queue.js';
import type { Trace } from '../world/trace.js';
import { Faults, type DiskOp, type Fate, type Fault, type FaultRule } from './faults.js';
import type { Inode } from './inode.js';
import { Volume, type DiskObserver, type Numbers, type VolumeOptions } from './volume.js';

export interface DiskOptions extends VolumeOptions {
  /** How long operations take; merged over {@link DEFAULT_LATENCIES}. */
  latency?: Partial<Record<DiskOp, Latency>>;
  watch?: WatchOptions;
}

export interface WatchOptions {
  /** Between a change and the call of the watcher. */
  delay?: Latency;
  /** Share of changes that nobody is told about (a watcher must not be the only way to notice). */
  lossRate?: number;
  /** Share of changes told as "look at everything" (an overflow of inotify). */
  overflowRate?: number;
}

/** A decent SSD, with a slow one now and then. */
export const DEFAULT_LATENCIES: Readonly<Record<DiskOp, Latency>> = {
  open: { minUs: 5, maxUs: 30 },
  read: { minUs: 15, maxUs: 90, tailRate: 0.01, tailUs: 3000 },
  write: { minUs: 8, maxUs: 60, tailRate: 0.01, tailUs: 5000 },
  sync: { minUs: 80, maxUs: 900, tailRate: 0.02, tailUs: 20_000 },
  allocate: { minUs: 10, maxUs: 100 },
  truncate: { minUs: 10, maxUs: 100 },
  'sync-dir': { minUs: 80, maxUs: 900 },
  meta: { minUs: 0, maxUs: 0 },
};

/** What the disk needs of the world. */
export interface DiskWorld {
  readonly nowNs: number;
  readonly trace: Trace;
  schedule(atNs: number, kind: string, life: Life | null, run: () => void): WorldEvent;
  randomFor(name: string): SeededRandom;
}

/** Where a path leads. */
export interface Place {
  volume: Volume;
  /** Directory that holds the name; `null` for the root of a volume. */
  dir: Inode | null;
  name: string;
  inode: Inode | null;
}

/** One operation that takes time. */
export interface Job {
  op: DiskOp;
  path: string;
  pos: number;
  len: number;
  /** Does it; returns bytes or 0, or a negative errno. `fate.errno` is handled by the caller of this. */
  work: (fate: Fate) => number;
  /** Called with the result, as an event of its own. */
  answer: (result: number) => void;
  /** Called instead of both when it is cancelled, or its host dies. */
  drop?: () => void;
}

/** Handle of a job under way. */
export interface JobHandle {
  readonly job: Job;
  readonly life: Life;
  stuckIn: Fault | null;
  event: WorldEvent | null;
}

interface Watcher {
  dir: Inode;
  life: Life;
  changed: (name: string | null) => void;
}

/**
 * All storage of one host: volumes, devices, latencies and faults. It outlives crashes; see {@link SectorStore} and
 * {@link Journal} for what a crash does to it.
 */
export class SimDisk {
  readonly faults: Faults;
  private readonly random: SeededRandom;
  private readonly numbers: Numbers = { next: 2 };
  /** Longest mount point first. */
  private readonly mounts: { at: string; volume: Volume }[] = [];
  private readonly watchers = new Set<Watcher>();
  private readonly jobs = new Set<JobHandle>();
  private readonly latency: Record<DiskOp, Latency>;
  /** Kills the host, for faults that say so; set by the host. */
  onCrash: (kind: CrashKind) => void = () => {};

  constructor(
    private readonly world: DiskWorld,
    private readonly host: string,
    private readonly hostIndex: number,
    private readonly options: DiskOptions,
  ) {
    this.random = world.randomFor(`host/${host}/disk`);
    this.faults = new Faults(world.randomFor(`host/${host}/faults`));
    this.latency = { ...DEFAULT_LATENCIES, ...options.latency };
    this.mount('/', options);
    this.mount('/dev', {});
  }

  /** A file system of its own below `path`; whatever was mounted or stored there before is hidden. */
  mount(at: string, options: VolumeOptions): Volume {
    const random = this.world.randomFor(`host/${this.host}/volume${at}`);
    const volume = new Volume(this.mounts.length + 1, this.numbers, random, options);
    this.mounts.push({ at, volume });
    this.mounts.sort((a, b) => b.at.length - a.at.length);
    return volume;
  }

  /** A block device `/dev/NAME` with a volatile write cache. */
  addDevice(name: string, sizeBytes: number): void {
    const { volume } = this.volumeOf('/dev');
    invariant(!volume.root.names!.has(name), `there are two devices called "${name}"`);
    const inode = volume.newInode('block', 0o600, 0n);
    inode.sizeBytes = inode.durableSizeBytes = sizeBytes;
    volume.root.names!.set(name, inode);
    volume.root.durableNames!.set(name, inode);
    inode.links = 1;
  }

  /** Shows every change of this disk to a judge; one at a time. */
  observe(observer: DiskObserver | null): void {
    for (const { volume } of this.mounts) volume.observer = observer;
  }

  fault(rule: FaultRule): Fault {
    return this.faults.add(rule);
  }

  /** Silently flips one bit on the medium. */
  rot(path: string, pos: number, bit = 0): void {
    const { inode } = this.find(path);
    invariant(inode?.data != null, `nothing to rot at ${path}`);
    inode.data.rot(pos, bit);
  }

  /** Drops what the page cache holds and believes to be clean; shows what a failed sync has lost. */
  evict(path: string): void {
    this.find(path).inode?.data?.evict();
  }

  /** A new life begins: nobody watches, nothing is under way. */
  start(): void {
    this.watchers.clear();
  }

  crash(kind: CrashKind): void {
    for (const handle of [...this.jobs]) this.cancel(handle);
    for (const { volume } of this.mounts) {
      if (kind === 'power') volume.crash(this.world.nowNs);
      else volume.closeAll();
    }
  }

  /** Begins an operation that takes time. */
  submit(life: Life, job: Job, alsoWork?: (fate: Fate) => void): JobHandle {
    life.check();
    const fate = this.faults.fateOf(job.op, job.path);
    this.crashIfSo(life, fate);
    const handle: JobHandle = { job, life, stuckIn: fate.stuckIn, event: null };
    this.jobs.add(handle);
    alsoWork?.(fate);
    const go = (): void => {
      handle.stuckIn = null;
      const atNs = this.world.nowNs + drawNs(this.latency[job.op], this.random) + fate.delayNs;
      handle.event = this.world.schedule(atNs, job.op, life, () => this.finish(handle, fate));
    };
    if (fate.stuckIn === null) go();
    else fate.stuckIn.hold(() => void (this.jobs.has(handle) && !life.isOver && go()));
    return handle;
  }

  /** Takes back an operation that has not ended. @returns false when it has */
  cancel(handle: JobHandle): boolean {
    if (!this.jobs.delete(handle)) return false;
    if (handle.event !== null) handle.event.run = null;
    handle.job.drop?.();
    return true;
  }

  /** A change that happens at once; throws what a fault rule wants. */
  meta(life: Life, path: string, what: string): void {
    life.check();
    const fate = this.faults.fateOf('meta', path);
    this.crashIfSo(life, fate);
    this.world.trace.event(this.world.nowNs, this.hostIndex, what, path.length, fate.errno);
    if (fate.errno !== 0) throw fileError(ErrorCode.FILE_IO, fate.errno, what, path);
  }

  /** @throws MarsError with ENOENT, ENOTDIR, ELOOP in `details.errno`; a missing last name is no error */
  find(path: string, options: { follow?: boolean } = {}): Place {
    return this.walk(path, options.follow ?? true, 0);
  }

  /** Like {@link find}; `null` when the path cannot be walked to its end. */
  tryFind(path: string, options: { follow?: boolean } = {}): Place | null {
    try {
      return this.find(path, options);
    } catch (error) {
      if (error instanceof MarsError) return null;
      throw error;
    }
  }

  watch(life: Life, dir: Inode, changed: (name: string | null) => void): () => void {
    const watcher: Watcher = { dir, life, changed };
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  /** A name in a directory has changed: tell the watchers, in a while, if at all. */
  notify(dir: Inode, name: string): void {
    const { delay = { minUs: 50, maxUs: 2000 }, lossRate = 0, overflowRate = 0 } = this.options.watch ?? {};
    for (const watcher of this.watchers) {
      if (watcher.dir !== dir) continue;
      const atNs = this.world.nowNs + drawNs(delay, this.random);
      if (lossRate > 0 && this.random.float() < lossRate) continue;
      const told = overflowRate > 0 && this.random.float() < overflowRate ? null : name;
      this.world.schedule(atNs, 'watch', watcher.life, () => {
        if (this.watchers.has(watcher)) watcher.changed(told);
      });
    }
  }

  /** Heads or tails, for what nobody can know. */
  coin(): boolean {
    return this.random.float() < 0.5;
  }

  /** Uniform in 0 … below - 1, for the same. */
  draw(below: number): number {
    return this.random.int(below);
  }

  waits(): string[] {
    return [...this.jobs].map(({ job, stuckIn }) => {
      const where = job.len > 0 ? ` of ${job.len} bytes at ${job.pos}` : '';
      return `disk: ${job.op}${where} ${job.path}${stuckIn === null ? '' : ' (stuck)'}`;
    });
  }

  private crashIfSo(life: Life, fate: Fate): void {
    if (fate.crash === null) return;
    this.onCrash(fate.crash);
    life.check();
  }

  private finish(handle: JobHandle, fate: Fate): void {
    this.jobs.delete(handle);
    const { job } = handle;
    const result = job.work(fate);
    this.world.trace.event(this.world.nowNs, this.hostIndex, `${job.op}=`, job.pos, job.len, result);
    job.answer(result);
  }

  private volumeOf(path: string): { at: string; volume: Volume } {
    return this.mounts.find(({ at }) => at === '/' || path === at || path.startsWith(`${at}/`))!;
  }

  private walk(path: string, follow: boolean, hops: number): Place {
    if (hops > MAX_SYMLINK_HOPS) throw fileError(ErrorCode.FILE_OPEN, ELOOP, 'find', path);
    const clean = normalize(path);
    const { at, volume } = this.volumeOf(clean);
    const names = clean
      .slice(at === '/' ? 1 : at.length + 1)
      .split('/')
      .filter((name) => name !== '');
    let place: Place = { volume, dir: null, name: '', inode: volume.root };
    for (const [i, name] of names.entries()) {
      const dir: Inode | null = place.inode;
      if (dir === null) throw fileError(ErrorCode.FILE_OPEN, ENOENT, 'find', path);
      if (dir.names === null) throw fileError(ErrorCode.FILE_OPEN, ENOTDIR, 'find', path);
      place = { volume, dir, name, inode: dir.names.get(name) ?? null };
      if (place.inode?.kind === 'symlink' && (follow || i < names.length - 1)) {
        const here = `${at === '/' ? '' : at}/${names.slice(0, i).join('/')}`;
        const target = place.inode.target.startsWith('/') ? place.inode.target : `${here}/${place.inode.target}`;
        return this.walk([target, ...names.slice(i + 1)].join('/'), follow, hops + 1);
      }
    }
    return place;
  }
}

/** The error of a file call: the errno is in `details.errno`, positive. */
export function fileError(code: ErrorCodeName, errno: number, what: string, path: string): MarsError {
  return new MarsError(code, `${what} ${path}: ${errnoName(errno)}`, {
    details: { errno, path, operation: what },
    hint: HINTS[errno] ?? 'See the errno for the reason.',
  });
}

const HINTS: Readonly<Record<number, string>> = {
  [ENOENT]: 'Create it first.',
  [EEXIST]: 'Remove it first, or choose another name.',
  [EINVAL]: 'Paths are absolute; see the text above.',
};

function normalize(path: string): string {
  if (!path.startsWith('/')) throw fileError(ErrorCode.FILE_OPEN, EINVAL, 'find', path);
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return `/${names.join('/')}`;
}
