import { invariant } from '@mars/brick-core';

/** Unit of all verification, bytes: what a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;
/** Sectors per leaf of the table: 256 KiB of the device. */
export const LEAF_SECTORS = 512;

/** Never written through us: any contents are right. */
export const UNKNOWN = 0;
/** Trimmed: any contents are right, and they may change from read to read. */
export const ANYTHING = 1;
/** Lived through a power cut: the caller knows what may have survived. */
export const SURVIVOR = 2;
/** Values from here on name contents, exactly. Below they are {@link UNKNOWN}, {@link ANYTHING}, {@link SURVIVOR}. */
export const FIRST_EXACT = 3;

/** A candidate has exactly these contents. */
export const MATCH = 0;
/** A candidate says that any contents will do; `wild` tells which. */
export const WILD = 1;
/** These contents were right once, but a newer write was acknowledged before the read was issued. */
export const STALE = 2;
/** No candidate has these contents. */
export const WRONG = 3;
export type Verdict = 0 | 1 | 2 | 3;

const NEVER = Infinity;
const NONE = -1;

/** 256 KiB of the device. */
export class Leaf {
  /** Per sector: the only candidate (>= 0), or -1 - first entry of the list of candidates. */
  readonly cells = new Float64Array(LEAF_SECTORS);
  /** Reads under way per sector. */
  readonly readers = new Uint16Array(LEAF_SECTORS);

  constructor(readonly no: number) {}
}

/**
 * What each sector may contain, exactly, under any concurrency.
 *
 * Time is counted in requests: the Nth request is *issued* at N, and whatever completes while N is the last issued one
 * *ends* at N. So "A had ended before B was issued" is `end(A) < issue(B)`, and no clock is needed.
 *
 * A write is a candidate for a read unless it was *superseded* before the read was issued: another write was issued after it
 * had ended, and was acknowledged before the read was issued. Writes in flight and failed writes are candidates, but only an
 * acknowledged write supersedes. Overlapping writes do not supersede each other: both orders are right. But once a read
 * that met no write has returned one of several candidates, the sector has decided: contents do not change by themselves.
 *
 * ```
 *   write A ├────┤        A and B overlap: reads may return A or B,
 *   write B    ├────┤     until read R, which met no write, returned A:
 *   read R            ├─┤ from the end of B on, A it is
 * ```
 *
 * Most sectors have one candidate, which is a number in their cell. The others have a list of entries from a bounded pool.
 * Nothing is allocated per request once the leaves of the span exist. Large numbers travel in fields, because as arguments
 * V8 would box them (bricks.md 5.3 rule 8): set {@link seq}, {@link last}, {@link oldest} and {@link value} first.
 */
export class SectorHistory {
  /** Number of the request that is issued or completed now. */
  seq = 0.5;
  /** Number of the last request that was issued. */
  last = 0.5;
  /** Number of the oldest request under way. */
  oldest = 0.5;
  /** Contents: those written (beginWrite) or found (judge, settle). */
  value = 0.5;
  /** Left behind by `beginWrite`: the lower of its old value and the oldest write under way on the sector. */
  floor = 0.5;
  /** Left behind by `judge` with {@link WILD}. */
  wild = UNKNOWN;

  private readonly leaves = new Map<number, Leaf>();
  private recent: Leaf | null = null;
  private capacity = 1024;
  private values: Float64Array = new Float64Array(this.capacity);
  private issues: Float64Array = new Float64Array(this.capacity);
  private ends: Float64Array = new Float64Array(this.capacity);
  private superseded: Float64Array = new Float64Array(this.capacity);
  private links = new Int32Array(this.capacity);
  private freeHead = NONE;
  /** Entries that were never used yet start here. */
  private fresh = 0;
  private used = 0;

  /**
   * @param maxLeaves bound of the table, in leaves of 256 KiB device each (5 KiB of memory)
   * @param maxEntries bound of the candidate lists (36 bytes of memory each)
   */
  constructor(
    private readonly maxLeaves: number,
    private readonly maxEntries: number,
  ) {
    this.seq = this.last = this.oldest = this.value = this.floor = 0;
  }

  /** The leaf of that number, made when it is new; `null` when the bound is reached: then its sectors are not watched. */
  leaf(no: number): Leaf | null {
    if (this.recent !== null && this.recent.no === no) return this.recent;
    let leaf = this.leaves.get(no);
    if (leaf === undefined) {
      if (this.leaves.size >= this.maxLeaves) return null;
      this.leaves.set(no, (leaf = new Leaf(no)));
    }
    this.recent = leaf;
    return leaf;
  }

  /** Leaf numbers in use, ascending. Cold path. */
  leafNumbers(): number[] {
    return [...this.leaves.keys()].sort((a, b) => a - b);
  }

  /** May a write of that many sectors begin? If not, wait for completions; if nothing is under way, {@link forgetDoubtful}. */
  hasRoomFor(sectors: number): boolean {
    return this.used + 2 * sectors <= this.maxEntries;
  }

  beginRead(leaf: Leaf, i: number): void {
    leaf.readers[i]!++;
  }

  endRead(leaf: Leaf, i: number): void {
    leaf.readers[i]!--;
    if (leaf.cells[i]! < 0) this.compact(leaf, i);
  }

  /** Request `seq` writes `value`; lowers `floor` to the oldest write that is under way here. */
  beginWrite(leaf: Leaf, i: number): void {
    const cell = leaf.cells[i]!;
    let below: number;
    if (cell >= 0) {
      // Whatever is settled was issued and had ended before now; when exactly no longer matters.
      below = this.take(NONE);
      this.values[below] = cell;
      this.issues[below] = this.ends[below] = 0;
    } else {
      below = -1 - cell;
      this.lowerFloor(below);
    }
    const e = this.take(below);
    this.values[e] = this.value;
    this.issues[e] = this.seq;
    this.ends[e] = NEVER;
    leaf.cells[i] = -1 - e;
  }

  /** Request `seq` has ended; only an acknowledged write supersedes others. */
  endWrite(leaf: Leaf, i: number, isAcknowledged: boolean): void {
    const { seq, last, ends, issues, superseded, links } = this;
    const cell = leaf.cells[i]!;
    invariant(cell < 0, 'history: a write ends that never began');
    for (let e = -1 - cell; e !== NONE; e = links[e]!) {
      if (issues[e] === seq) ends[e] = last;
      else if (isAcknowledged && ends[e]! < seq && superseded[e] === NEVER) superseded[e] = last;
    }
    this.compact(leaf, i);
  }

  /** The write `seq`, which is still under way, writes something else than was said: `value`. */
  revalue(leaf: Leaf, i: number): void {
    for (let e = -1 - leaf.cells[i]!; e >= 0; e = this.links[e]!) {
      if (this.issues[e] === this.seq) this.values[e] = this.value;
    }
  }

  /** May the read `seq`, which completes now, return `value`? */
  judge(leaf: Leaf, i: number): Verdict {
    const { value, values, superseded, links, seq } = this;
    const cell = leaf.cells[i]!;
    if (cell >= 0) {
      this.wild = cell;
      return cell === value && cell >= FIRST_EXACT ? MATCH : cell < FIRST_EXACT ? WILD : WRONG;
    }
    let verdict: Verdict = WRONG;
    for (let e = -1 - cell; e !== NONE; e = links[e]!) {
      const isLive = superseded[e]! >= seq;
      if (values[e]! < FIRST_EXACT) {
        if (!isLive) continue;
        this.wild = values[e]!;
        verdict = WILD;
      } else if (values[e] === value) {
        if (isLive) return MATCH;
        if (verdict === WRONG) verdict = STALE;
      }
    }
    return verdict;
  }

  /** After {@link MATCH}: if the read met no write, the sector has decided for `value`. */
  settle(leaf: Leaf, i: number): void {
    const cell = leaf.cells[i]!;
    if (cell >= 0) return;
    const { value, values, superseded, links, ends, seq } = this;
    let quietSince = 0;
    for (let e = -1 - cell; e !== NONE; e = links[e]!) {
      if (ends[e]! >= seq) return;
      if (superseded[e]! >= seq && values[e]! < FIRST_EXACT) return;
      if (ends[e]! > quietSince) quietSince = ends[e]!;
    }
    let isKept = false;
    for (let e = -1 - cell; e !== NONE; e = links[e]!) {
      const isIt = values[e] === value && superseded[e] === NEVER && !isKept;
      if (isIt) isKept = true;
      else if (superseded[e]! > quietSince) superseded[e] = quietSince;
    }
  }

  /** A survivor of a power cut has been looked at and found in order: `value` it is. */
  settleSurvivor(leaf: Leaf, i: number): void {
    if (leaf.cells[i] === SURVIVOR) leaf.cells[i] = this.value;
  }

  /** Go on after a mistake was reported: one mistake, one report. */
  accept(leaf: Leaf, i: number): void {
    if (leaf.cells[i]! >= 0) leaf.cells[i] = this.value;
  }

  /** Oldest and newest exact candidate, for error texts; cold path. */
  candidates(leaf: Leaf, i: number): number[] {
    const cell = leaf.cells[i]!;
    if (cell >= 0) return [cell];
    const found: number[] = [];
    for (let e = -1 - cell; e !== NONE; e = this.links[e]!) {
      if (this.superseded[e]! >= this.seq) found.push(this.values[e]!);
    }
    return found.sort((a, b) => a - b);
  }

  /**
   * Gives up on sectors with several candidates, when entries have run out and nothing is under way.
   * @returns how many sectors are not known any more until they are written again
   */
  forgetDoubtful(): number {
    let forgotten = 0;
    for (const leaf of this.leaves.values()) {
      for (let i = 0; i < LEAF_SECTORS; i++) {
        if (leaf.cells[i]! >= 0) continue;
        leaf.cells[i] = ANYTHING;
        forgotten++;
      }
    }
    this.freeAllEntries();
    return forgotten;
  }

  /** The power was cut and nothing is under way: every written sector holds what survived. */
  cut(): void {
    for (const leaf of this.leaves.values()) {
      for (let i = 0; i < LEAF_SECTORS; i++) if (leaf.cells[i] !== UNKNOWN) leaf.cells[i] = SURVIVOR;
    }
    this.freeAllEntries();
  }

  /** Forgets everything; nothing may be under way. */
  clear(): void {
    this.leaves.clear();
    this.recent = null;
    this.freeAllEntries();
  }

  private freeAllEntries(): void {
    this.freeHead = NONE;
    this.fresh = this.used = 0;
  }

  private lowerFloor(first: number): void {
    for (let e = first; e !== NONE; e = this.links[e]!) {
      if (this.ends[e] === NEVER && this.issues[e]! < this.floor) this.floor = this.issues[e]!;
    }
  }

  /** Drops what no read may return any more; a single ended candidate moves back into its cell. */
  private compact(leaf: Leaf, i: number): void {
    const { superseded, links, oldest } = this;
    const isUnread = leaf.readers[i] === 0;
    let head = NONE;
    let tail = NONE;
    for (let e = -1 - leaf.cells[i]!; e !== NONE;) {
      const next = links[e]!;
      if (superseded[e] !== NEVER && (isUnread || superseded[e]! < oldest)) this.give(e);
      else {
        if (tail === NONE) head = e;
        else links[tail] = e;
        tail = e;
      }
      e = next;
    }
    invariant(head !== NONE, 'history: a sector without any candidate');
    links[tail] = NONE;
    if (head === tail && this.ends[head] !== NEVER) {
      leaf.cells[i] = this.values[head]!;
      this.give(head);
    } else leaf.cells[i] = -1 - head;
  }

  private take(link: number): number {
    let e = this.freeHead;
    if (e !== NONE) this.freeHead = this.links[e]!;
    else {
      if (this.fresh === this.capacity) this.grow();
      e = this.fresh++;
    }
    this.links[e] = link;
    this.superseded[e] = NEVER;
    this.used++;
    return e;
  }

  private give(e: number): void {
    this.links[e] = this.freeHead;
    this.freeHead = e;
    this.used--;
  }

  private grow(): void {
    invariant(this.used < this.maxEntries, 'history: a write began without hasRoomFor()');
    this.capacity *= 2;
    const wider = (old: Float64Array): Float64Array => {
      const wide = new Float64Array(this.capacity);
      wide.set(old);
      return wide;
    };
    this.values = wider(this.values);
    this.issues = wider(this.issues);
    this.ends = wider(this.ends);
    this.superseded = wider(this.superseded);
    const links = new Int32Array(this.capacity);
    links.set(this.links);
    this.links = links;
  }
}
