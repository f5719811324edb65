import { Entry } from '../snapshot/entry.js';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { MAX_DIRTY_PATHS, MAX_MESSAGE_FACTS, MAX_MESSAGE_TEXT } from './limits.js';
import type { FactMessage } from './messages.js';
import type { Lane } from './scope.js';

/** Facts of one message. */
export interface Portion {
  facts: FactMessage[];
  /** With this message the peer has everything that was here at this stamp; 0 = not yet. */
  completeNs: bigint;
}

/**
 * What one peer has still to hear. Changes of one path that follow each other are one; a batch shows the tree as it was at one moment.
 *
 * I1: `time` and `alive` of a moment leave behind everything else of that moment. They promise that the peer has the rest, so they are
 *     held back while it has not (before its first comparison is over, and after paths had to be forgotten).
 * I2: those of other hosts are passed on only after the peer has compared, because the rest of what they promise may have been left to
 *     somebody else to pass on, who is slower.
 */
export class Outbox {
  private dirty = new Set<string>();
  private lastDirty = new Set<string>();
  /** Under way: the rest of one batch, all of the same snapshot. */
  private batch: FactMessage[] = [];
  private batchLast: FactMessage[] = [];
  private batchNs = 0n;
  /** The peer has, or is about to get, everything: `time` and `alive` may follow. */
  private isComplete = false;
  /** `time` or `alive` of another host is to be passed on; `in-round`: the peer began to compare afterwards. */
  private foreign: 'none' | 'owed' | 'in-round' = 'none';

  get isEmpty(): boolean {
    return this.batch.length === 0 && this.batchLast.length === 0 && !this.hasNews;
  }

  private get hasNews(): boolean {
    return this.dirty.size > 0 || (this.isComplete && this.lastDirty.size > 0);
  }

  /** Paths that wait. */
  get waiting(): number {
    return this.dirty.size + this.lastDirty.size + this.batch.length + this.batchLast.length;
  }

  /**
   * A path has changed here.
   * @returns false when too many wait: they are forgotten, and the peer must compare
   */
  add(path: string, lane: Exclude<Lane, 'none'>): boolean {
    if (lane === 'last') this.lastDirty.add(path);
    else this.dirty.add(path);
    if (this.dirty.size <= MAX_DIRTY_PATHS) return true;
    this.lose();
    return false;
  }

  /** `time` or `alive` of another host has changed. */
  addForeign(): void {
    this.foreign = 'owed';
  }

  /** The peer should compare soon, because something depends on it. */
  get needsRound(): boolean {
    return this.isComplete && this.foreign === 'owed';
  }

  /** The peer has begun to compare. */
  roundBegins(): void {
    if (this.foreign === 'owed') this.foreign = 'in-round';
  }

  /** The peer does not have everything any more, and is told to compare. */
  lose(): void {
    this.dirty.clear();
    this.batch = [];
    this.batchLast = [];
    this.isComplete = false;
  }

  /** The peer has compared, and has everything that stood in `snapshot`: it gets `time` and `alive` of that moment. */
  compared(snapshot: TreeSnapshot, nowNs: bigint): void {
    // Later ones of our own are on their way already.
    if (this.isComplete && this.foreign !== 'in-round') return;
    if (this.foreign === 'in-round') this.foreign = 'none';
    if (!this.isComplete) this.batchNs = nowNs;
    this.isComplete = true;
    this.batchLast = [...lastFacts(snapshot), ...this.batchLast];
  }

  /** The next message; null = nothing to say. */
  take(snapshot: TreeSnapshot, nowNs: bigint): Portion | null {
    if (this.batch.length === 0 && this.batchLast.length === 0) this.begin(snapshot, nowNs);
    const facts = portionOf(this.batch);
    // The last ones leave together, behind all others.
    const isEnd = this.batch.length === 0 && this.isComplete;
    if (isEnd) facts.push(...this.batchLast.splice(0));
    if (facts.length === 0) return null;
    return { facts, completeNs: isEnd ? this.batchNs : 0n };
  }

  private begin(snapshot: TreeSnapshot, nowNs: bigint): void {
    if (!this.hasNews) return;
    this.batch = factsOf(snapshot, this.dirty);
    this.dirty = new Set();
    this.batchNs = nowNs;
    if (!this.isComplete) return;
    this.batchLast = factsOf(snapshot, this.lastDirty);
    this.lastDirty = new Set();
  }
}

/** Takes away as much as one message holds, from the front. */
function portionOf(batch: FactMessage[]): FactMessage[] {
  let count = 0;
  for (let text = 0; count < batch.length && count < MAX_MESSAGE_FACTS && text < MAX_MESSAGE_TEXT; count++)
    text += batch[count]!.path.length + batch[count]!.value.length;
  return batch.splice(0, count);
}

function factsOf(snapshot: TreeSnapshot, paths: Iterable<string>): FactMessage[] {
  const facts: FactMessage[] = [];
  for (const path of paths) {
    const fact = factAt(snapshot, path);
    if (fact !== null) facts.push(fact);
  }
  return facts;
}

/** What is gone without a tombstone was removed here only, and what has no readable value is nothing. */
function factAt(snapshot: TreeSnapshot, path: string): FactMessage | null {
  const entry = snapshot.entry(path);
  if (entry === null || entry.kind !== 'link' || entry.value === '') return null;
  return { path, value: entry.value, stampNs: entry.stampNs };
}

/** `time` and `alive` of all hosts. */
function lastFacts(snapshot: TreeSnapshot): FactMessage[] {
  const found: FactMessage[] = [];
  for (const [name, node] of snapshot.root.entries.entries()) {
    if (!name.startsWith('actual-') || node instanceof Entry) continue;
    for (const last of ['time', 'alive']) {
      const fact = factAt(snapshot, `${name}/${last}`);
      if (fact !== null) found.push(fact);
    }
  }
  return found;
}
