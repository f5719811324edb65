import { invariant, type SeededRandom } from '@mars/brick-core';
import { MAX_FAULT_RULES } from '../limits.js';
import { drawNs, type Latency } from '../random.js';
import type { CrashKind } from '../world/life.js';

/** What a fault can hit. `meta` = names: symlink, rename, unlink, directories. */
export type DiskOp = 'open' | 'read' | 'write' | 'sync' | 'allocate' | 'truncate' | 'sync-dir' | 'meta';

/** What goes wrong, and when. All conditions must hold. */
export interface FaultRule {
  on: DiskOp | readonly DiskOp[];
  /** A piece of the path, or a pattern. */
  path?: string | RegExp;
  /** From the how manieth matching operation on, counted from 1. */
  nth?: number;
  /** How often at most; default 1 with `nth`, else without limit. */
  times?: number;
  /** Share of the matching operations, 0 … 1. */
  rate?: number;

  /** Answer with this errno (a positive number). */
  errno?: number;
  /**
   * Only `sync`: the data counts as clean although it never became durable. With `errno` that is what Linux does after a failed
   * write-back (fsyncgate), without it the device lies.
   */
  loses?: boolean;
  /** Takes so much longer. */
  slow?: Latency;
  /** Never answers, until the fault is released. */
  stuck?: boolean;
  /** Only `read` and `write`: transfers a part of the bytes only. */
  short?: boolean;
  /** Only `read`: one bit of the range flips on the medium, silently. */
  rot?: boolean;
  /** The host dies as the operation begins. With `nth` = 1, 2, 3 … that visits every moment of a story: see {@link forEachNth}. */
  crash?: CrashKind;
}

/** A fault that was put in. */
export class Fault {
  /** Operations that matched, and those that were hit. */
  seen = 0;
  hits = 0;
  private readonly held: (() => void)[] = [];
  private isReleased = false;

  constructor(readonly rule: FaultRule) {}

  /** Takes the fault out; what is stuck in it goes on. */
  release(): void {
    this.isReleased = true;
    for (const resume of this.held.splice(0)) resume();
  }

  /** Operations that hang in this fault now. */
  get stuck(): number {
    return this.held.length;
  }

  /** Called by the disk: an operation hangs here. */
  hold(resume: () => void): void {
    this.held.push(resume);
  }

  matches(op: DiskOp, path: string, random: SeededRandom): boolean {
    const { rule } = this;
    if (this.isReleased || !(typeof rule.on === 'string' ? rule.on === op : rule.on.includes(op))) return false;
    if (rule.path !== undefined && !(typeof rule.path === 'string' ? path.includes(rule.path) : rule.path.test(path)))
      return false;
    this.seen++;
    if (this.seen < (rule.nth ?? 1) || this.hits >= this.times) return false;
    if (rule.rate !== undefined && random.float() >= rule.rate) return false;
    this.hits++;
    return true;
  }

  private get times(): number {
    return this.rule.times ?? (this.rule.nth === undefined ? Infinity : 1);
  }
}

/** What becomes of one operation. */
export interface Fate {
  errno: number;
  loses: boolean;
  delayNs: number;
  short: boolean;
  rot: boolean;
  crash: CrashKind | null;
  /** The fault in which it hangs. */
  stuckIn: Fault | null;
}

/** The faults of one disk. */
export class Faults {
  private readonly faults: Fault[] = [];

  constructor(private readonly random: SeededRandom) {}

  add(rule: FaultRule): Fault {
    invariant(this.faults.length < MAX_FAULT_RULES, 'more fault rules than MAX_FAULT_RULES');
    const fault = new Fault(rule);
    this.faults.push(fault);
    return fault;
  }

  fateOf(op: DiskOp, path: string): Fate {
    const fate: Fate = { errno: 0, loses: false, delayNs: 0, short: false, rot: false, crash: null, stuckIn: null };
    for (const fault of this.faults) {
      if (!fault.matches(op, path, this.random)) continue;
      const { rule } = fault;
      if (fate.errno === 0) fate.errno = rule.errno ?? 0;
      fate.loses ||= rule.loses ?? false;
      fate.short ||= rule.short ?? false;
      fate.rot ||= rule.rot ?? false;
      fate.crash ??= rule.crash ?? null;
      if (rule.slow !== undefined) fate.delayNs += drawNs(rule.slow, this.random);
      if (rule.stuck) fate.stuckIn ??= fault;
    }
    return fate;
  }

  /** Takes out every fault; what is stuck goes on. */
  clear(): void {
    for (const fault of this.faults.splice(0)) fault.release();
  }
}
