import { OP_FLUSH, OP_READ, OP_TRIM, OP_WRITE, OP_ZERO, F_FUA, type Arena, type XioObject } from '@mars/brick-core';
import { MAX_HISTORY_ENTRIES, MAX_HISTORY_LEAVES, MAX_UNFLUSHED_WRITES, READBACK_BYTES } from '../limits.js';
import type { InFlight } from '../verify/in-flight.js';
import {
  ANYTHING,
  LEAF_SECTORS,
  MATCH,
  SECTOR_BYTES,
  STALE,
  SURVIVOR,
  SectorHistory,
  UNKNOWN,
  WILD,
  type Leaf,
  type Verdict,
} from '../verify/sector-history.js';
import { Durability } from './durability.js';
import { SectorPattern, VALUES_PER_VERSION, ZEROES, type Finding } from './sector-pattern.js';

/** What is wrong with a sector that was read. */
export type FaultKind = 'stale' | 'lost' | 'misplaced' | 'torn' | 'foreign' | 'unfilled' | 'changed' | 'short';

export interface Fault {
  kind: FaultKind;
  /** First byte of the sector. */
  posBytes: number;
  /** Number of the read that found it. */
  request: number;
  text: string;
}

/**
 * Fills what is written and judges what is read, per sector and exactly: see {@link SectorHistory} for what is right under
 * concurrency, {@link SectorPattern} for how contents tell what they are, {@link Durability} for what survives a power cut.
 *
 * Positions and lengths are multiples of 512. Call `issued` before `io`, `completed` in `complete`, for every request.
 */
export class Verifier {
  /** Number of the last issued request. */
  last = 0.5;
  /** Digest of what the last completed read found: values, not bytes, so it is the same in every run of the same seed. */
  digest = 0;
  /** The first thing that the last completed read found wrong. */
  fault: Fault | null = null;
  /** Sectors that were judged, and sectors found wrong, since the beginning. */
  judged = 0;
  faults = 0;
  /** Promises of durability that did not fit in memory any more, and sectors that had to be forgotten. */
  forgotten = 0;
  /** The next piece to read back. */
  readbackPos = 0.5;
  readbackLen = 0;

  private readonly history = new SectorHistory(MAX_HISTORY_LEAVES, MAX_HISTORY_ENTRIES);
  private readonly pattern: SectorPattern;
  private readonly durability: Durability | null;
  private readonly lens: Int32Array;
  private readonly floors: Float64Array;
  private sector = 0.5;
  private leafNumbers: number[] = [];
  private leafAt = 0;
  private sectorAt = 0;

  constructor(
    private readonly mem: Arena,
    private readonly flying: InFlight,
    slots: number,
    tag: number,
    isDurabilityChecked: boolean,
  ) {
    this.pattern = new SectorPattern(mem.memory, tag);
    this.durability = isDurabilityChecked ? new Durability(MAX_UNFLUSHED_WRITES) : null;
    this.lens = new Int32Array(slots);
    this.floors = new Float64Array(slots);
    this.last = this.sector = this.readbackPos = 0;
  }

  /** False: too many sectors are in doubt; wait for completions, or call {@link forgetDoubtful} when nothing is under way. */
  hasRoomFor(len: number): boolean {
    return this.history.hasRoomFor(len / SECTOR_BYTES);
  }

  forgetDoubtful(): void {
    this.forgotten += this.history.forgetDoubtful();
  }

  /** Request `last` is about to be issued. */
  issued(o: XioObject): void {
    this.lens[o.slot] = o.len;
    if (o.op === OP_FLUSH) return;
    const { history } = this;
    history.seq = history.floor = this.last;
    history.value = o.op === OP_ZERO ? ZEROES : o.op === OP_TRIM ? ANYTHING : this.last * VALUES_PER_VERSION;
    if (o.op === OP_READ) SectorPattern.poison(this.mem.u8, o.buf, o.len);
    this.sector = o.pos / SECTOR_BYTES;
    this.begin(o);
    this.floors[o.slot] = history.floor;
    if (this.durability !== null && (o.op === OP_ZERO || o.op === OP_TRIM)) this.noteWipe(o);
  }

  /** The request has been answered, and has left `flying`. @returns false when something was wrong: see {@link fault} */
  completed(o: XioObject): boolean {
    const { history, flying } = this;
    const faultsBefore = this.faults;
    this.digest = 0;
    this.fault = null;
    history.seq = flying.seq[o.slot]!;
    history.last = this.last;
    history.oldest = flying.head < 0 ? Infinity : flying.seq[flying.head]!;
    this.sector = o.pos / SECTOR_BYTES;
    if (o.op === OP_READ) this.endRead(o);
    else if (o.op !== OP_FLUSH) this.endWrite(o);
    else if (o.err >= 0 && this.durability !== null) {
      this.durability.seq = history.seq;
      this.durability.flushed();
    }
    return this.faults === faultsBefore;
  }

  /** Nothing is under way, and the power was cut below. */
  cut(): void {
    this.history.cut();
    this.durability?.cut();
  }

  /** Prepares {@link nextReadback}: everything that was ever written, in ascending order. Cold path. */
  beginReadback(): void {
    this.leafNumbers = this.history.leafNumbers();
    this.leafAt = this.sectorAt = 0;
  }

  /** @returns false at the end; else `readbackPos` and `readbackLen` hold the next piece, in multiples of `alignBytes` */
  nextReadback(alignBytes: number, maxBytes: number): boolean {
    const unit = Math.max(1, alignBytes / SECTOR_BYTES);
    const limitSectors = Math.min(READBACK_BYTES, maxBytes) / SECTOR_BYTES;
    for (; this.leafAt < this.leafNumbers.length; this.leafAt++, this.sectorAt = 0) {
      const leaf = this.history.leaf(this.leafNumbers[this.leafAt]!)!;
      const from = skip(leaf, this.sectorAt, unit, false, LEAF_SECTORS);
      if (from === LEAF_SECTORS) continue;
      this.sectorAt = skip(leaf, from, unit, true, Math.min(LEAF_SECTORS, from + limitSectors));
      this.readbackPos = (leaf.no * LEAF_SECTORS + from) * SECTOR_BYTES;
      this.readbackLen = (this.sectorAt - from) * SECTOR_BYTES;
      return true;
    }
    return false;
  }

  private begin(o: XioObject): void {
    const { history, pattern } = this;
    let no = Math.floor(this.sector / LEAF_SECTORS);
    let i = this.sector - no * LEAF_SECTORS;
    let leaf = history.leaf(no);
    pattern.version = this.last;
    pattern.sector = this.sector;
    for (let at = 0; at < o.len; at += SECTOR_BYTES, i++) {
      if (i === LEAF_SECTORS) {
        i = 0;
        leaf = history.leaf(++no);
      }
      if (o.op === OP_WRITE) pattern.fill(o.buf + at);
      pattern.sector++;
      if (leaf === null) continue;
      if (o.op === OP_READ) history.beginRead(leaf, i);
      else history.beginWrite(leaf, i);
    }
  }

  private endRead(o: XioObject): void {
    const { history } = this;
    const wanted = this.lens[o.slot]!;
    const served = o.err < 0 ? 0 : o.len;
    let no = Math.floor(this.sector / LEAF_SECTORS);
    let i = this.sector - no * LEAF_SECTORS;
    let leaf = history.leaf(no);
    for (let at = 0; at < wanted; at += SECTOR_BYTES, i++) {
      if (i === LEAF_SECTORS) {
        i = 0;
        leaf = history.leaf(++no);
      }
      if (leaf !== null) {
        if (at + SECTOR_BYTES <= served) this.judge(leaf, i, o.buf + at);
        history.endRead(leaf, i);
      }
      this.sector++;
    }
    if (o.err >= 0 && served < wanted) this.blame('short', `only ${served} of ${wanted} bytes were served`);
  }

  private endWrite(o: XioObject): void {
    const { history } = this;
    const isAcknowledged = o.err >= 0;
    let no = Math.floor(this.sector / LEAF_SECTORS);
    let i = this.sector - no * LEAF_SECTORS;
    let leaf = history.leaf(no);
    const sectors = this.lens[o.slot]! / SECTOR_BYTES;
    for (let k = 0; k < sectors; k++, i++) {
      if (i === LEAF_SECTORS) {
        i = 0;
        leaf = history.leaf(++no);
      }
      if (leaf !== null) history.endWrite(leaf, i, isAcknowledged);
    }
    if (isAcknowledged && this.durability !== null) this.notePromise(o, sectors);
  }

  private notePromise(o: XioObject, sectors: number): void {
    const durability = this.durability!;
    durability.sector = this.sector;
    durability.floor = this.floors[o.slot]!;
    durability.seq = this.last;
    if (!durability.acknowledged(sectors, (o.flags & F_FUA) !== 0)) this.forgotten++;
  }

  private noteWipe(o: XioObject): void {
    const durability = this.durability!;
    durability.sector = this.sector;
    durability.seq = this.last;
    durability.wiping(o.len / SECTOR_BYTES, o.op === OP_TRIM);
  }

  private judge(leaf: Leaf, i: number, offset: number): void {
    const { history, pattern } = this;
    this.judged++;
    pattern.sector = this.sector;
    const finding = pattern.identify(offset);
    history.value = pattern.value;
    const verdict = history.judge(leaf, i);
    if (verdict === MATCH) {
      history.settle(leaf, i);
      this.fold();
    } else if (verdict !== WILD || !this.isWildRight(leaf, i, finding)) {
      this.explain(leaf, i, offset, finding, verdict);
      history.accept(leaf, i);
      this.fold();
    }
  }

  /** Contents that no write of ours is needed for: before the first write, after a TRIM, after a power cut. */
  private isWildRight(leaf: Leaf, i: number, finding: Finding): boolean {
    const { history, durability, pattern } = this;
    if (finding === 'unfilled') return false;
    if (history.wild === ANYTHING) return true;
    if (history.wild === UNKNOWN) return finding === 'zeroes' || finding === 'foreign';
    if (!durability!.allows(this.sector, finding, pattern.version)) return false;
    history.settleSurvivor(leaf, i);
    this.fold();
    return true;
  }

  private fold(): void {
    const { value } = this.history;
    let h = Math.imul(this.digest ^ (value | 0), 0x9e3779b1);
    h ^= h >>> 15;
    this.digest = Math.imul(h ^ ((value / 2 ** 32) | 0), 0x85ebca77);
  }

  /** Something is wrong; cold path. */
  private explain(leaf: Leaf, i: number, offset: number, finding: Finding, verdict: Verdict): void {
    const { pattern, history } = this;
    const right = history.candidates(leaf, i);
    const wanted = right.map(nameOf).join(' or ');
    if (finding === 'unfilled') return this.blame('unfilled', 'the provider answered without filling the memory');
    if (finding === 'misplaced') {
      return this.blame(
        'misplaced',
        `holds sector ${pattern.claims}, version ${pattern.version}, instead of ${wanted}`,
      );
    }
    if (finding === 'torn') {
      const [head, tail] = pattern.tornVersions(offset);
      return this.blame(
        'torn',
        `is torn: begins with version ${head} of sector ${pattern.claims}, ends with version ${tail}, instead of ${wanted}`,
      );
    }
    if (right.includes(SURVIVOR)) {
      const floor = this.durability!.floorOf(this.sector);
      return this.blame('lost', `holds ${this.nameFound(finding)} after a power cut, but version ${floor} was durable`);
    }
    if (finding !== 'version') {
      const kind = finding === 'zeroes' ? 'lost' : 'foreign';
      return this.blame(kind, `holds ${this.nameFound(finding)} instead of ${wanted}`);
    }
    const newest = right.at(-1)!;
    const isOld = verdict === STALE || pattern.value < newest;
    this.blame(
      isOld ? 'stale' : 'changed',
      isOld
        ? `holds version ${pattern.version}, but ${wanted} was acknowledged before the read was issued`
        : `holds version ${pattern.version}, although it had already been read as ${wanted} with no write in between`,
    );
  }

  private nameFound(finding: Finding): string {
    if (finding === 'version') return `version ${this.pattern.version}`;
    return finding === 'zeroes' ? 'zeroes' : 'contents that this run never wrote';
  }

  private blame(kind: FaultKind, text: string): void {
    this.faults++;
    if (this.fault !== null) return;
    const posBytes = this.sector * SECTOR_BYTES;
    this.fault = {
      kind,
      posBytes,
      request: this.history.seq,
      text: `sector ${this.sector} (byte ${posBytes}) ${text}`,
    };
  }
}

/** From `at` on, passes units that were (or were not) touched. */
function skip(leaf: Leaf, at: number, unit: number, isTouched: boolean, limit: number): number {
  while (at < limit && touches(leaf, at, unit) === isTouched) at += unit;
  return at;
}

function touches(leaf: Leaf, at: number, unit: number): boolean {
  for (let i = at; i < at + unit; i++) if (leaf.cells[i] !== UNKNOWN) return true;
  return false;
}

function nameOf(value: number): string {
  if (value === UNKNOWN) return 'what was there before';
  if (value === ANYTHING) return 'anything';
  if (value === SURVIVOR) return 'what survived the power cut';
  return value === ZEROES ? 'zeroes' : `version ${value / VALUES_PER_VERSION}`;
}
