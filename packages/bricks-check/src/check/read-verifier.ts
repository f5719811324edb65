import { F_NODATA, OP_READ, OP_TRIM, OP_WRITE, OP_ZERO, type Arena, type XioObject } from '@mars/brick-core';
import { MAX_HISTORY_ENTRIES, MAX_HISTORY_LEAVES } from '../limits.js';
import type { InFlight } from '../verify/in-flight.js';
import { SectorDigest } from '../verify/sector-digest.js';
import {
  ANYTHING,
  LEAF_SECTORS,
  MATCH,
  SECTOR_BYTES,
  STALE,
  SectorHistory,
  WILD,
  type Leaf,
} from '../verify/sector-history.js';

/**
 * Compares what is read with what was written, by digests of whole sectors. A sector that is written in part counts as not
 * known; a sector that is read in part is not judged.
 */
export class ReadVerifier {
  /** Number of the last issued request. */
  last = 0.5;
  /** Sectors that were judged. */
  judged = 0;
  /** What the last completed request had wrong; `null` = nothing. */
  faultKind: 'stale' | 'mismatch' | null = null;
  faultText = '';

  private readonly history = new SectorHistory(MAX_HISTORY_LEAVES, MAX_HISTORY_ENTRIES);
  private readonly digest: SectorDigest;
  private readonly zeroes: SectorDigest;
  private readonly lens: Int32Array;
  private unwatched = 0;

  constructor(
    mem: Arena,
    private readonly flying: InFlight,
    slots: number,
  ) {
    this.digest = new SectorDigest(mem.view);
    this.zeroes = new SectorDigest(mem.view);
    this.zeroes.computeZeroes(SECTOR_BYTES);
    this.lens = new Int32Array(slots);
    this.last = 0;
  }

  /** Sectors that were written since the last call, but could not be watched because the table is full. */
  takeUnwatched(): number {
    const { unwatched } = this;
    this.unwatched = 0;
    return unwatched;
  }

  clear(): void {
    this.history.clear();
  }

  hasRoomFor(len: number): boolean {
    // An unaligned request touches up to two sectors more than its length says.
    return this.history.hasRoomFor(len / SECTOR_BYTES + 2);
  }

  forgetDoubtful(): number {
    return this.history.forgetDoubtful();
  }

  /** Request `last` is about to be passed on. */
  issued(o: XioObject): void {
    if (!isWatched(o)) return;
    this.lens[o.slot] = o.len;
    this.history.seq = this.history.floor = this.last;
    this.walk(o, BEGIN);
  }

  /** The request has been answered, and has left `flying`. `isModified`: nobody knows what was really written. */
  completed(o: XioObject, isModified: boolean): void {
    const { history, flying } = this;
    this.faultKind = null;
    if (!isWatched(o)) return;
    history.seq = flying.seq[o.slot]!;
    history.last = this.last;
    history.oldest = flying.head < 0 ? Infinity : flying.seq[flying.head]!;
    this.walk(o, isModified ? END_MODIFIED : END);
  }

  /** Visits every sector that the request touches, also in part. */
  private walk(o: XioObject, what: number): void {
    const len = this.lens[o.slot]!;
    const first = Math.floor(o.pos / SECTOR_BYTES);
    const head = o.pos - first * SECTOR_BYTES;
    const sectors = Math.ceil((head + len) / SECTOR_BYTES);
    let no = Math.floor(first / LEAF_SECTORS);
    let i = first - no * LEAF_SECTORS;
    let leaf = this.history.leaf(no);
    for (let k = 0; k < sectors; k++, i++) {
      if (i === LEAF_SECTORS) {
        i = 0;
        leaf = this.history.leaf(++no);
      }
      // Where in the payload the sector begins; negative where its beginning is not part of the request.
      const at = k * SECTOR_BYTES - head;
      if (leaf === null) this.unwatched += what === BEGIN && o.op !== OP_READ ? 1 : 0;
      else if (what === BEGIN) this.begin(leaf, i, o, at, len);
      else this.end(leaf, i, o, at, what === END_MODIFIED);
    }
  }

  private begin(leaf: Leaf, i: number, o: XioObject, at: number, len: number): void {
    const { history } = this;
    if (o.op === OP_READ) return history.beginRead(leaf, i);
    const isWhole = at >= 0 && at + SECTOR_BYTES <= len;
    if (!isWhole || o.op === OP_TRIM) history.value = ANYTHING;
    else if (o.op === OP_ZERO) history.value = this.zeroes.value;
    else {
      this.digest.compute(o.buf + at, SECTOR_BYTES);
      history.value = this.digest.value;
    }
    history.beginWrite(leaf, i);
  }

  private end(leaf: Leaf, i: number, o: XioObject, at: number, isModified: boolean): void {
    const { history } = this;
    if (o.op === OP_READ) {
      if (o.err >= 0 && at >= 0 && at + SECTOR_BYTES <= o.len) this.judge(leaf, i, o, at);
      return history.endRead(leaf, i);
    }
    if (isModified) {
      history.value = ANYTHING;
      history.revalue(leaf, i);
    }
    history.endWrite(leaf, i, o.err >= 0);
  }

  private judge(leaf: Leaf, i: number, o: XioObject, at: number): void {
    const { history } = this;
    this.judged++;
    this.digest.compute(o.buf + at, SECTOR_BYTES);
    history.value = this.digest.value;
    const verdict = history.judge(leaf, i);
    if (verdict === MATCH) return history.settle(leaf, i);
    if (verdict === WILD) return;
    if (this.faultKind === null) this.explain(verdict === STALE, leaf, i);
    history.accept(leaf, i);
  }

  private explain(isStale: boolean, leaf: Leaf, i: number): void {
    const sector = leaf.no * LEAF_SECTORS + i;
    const where = `sector ${sector} (byte ${sector * SECTOR_BYTES})`;
    this.faultKind = isStale ? 'stale' : 'mismatch';
    this.faultText = isStale
      ? `returned an old version of ${where}: a newer write was answered before the read was sent`
      : `returned in ${where} something else than what was written`;
  }
}

const BEGIN = 0;
const END = 1;
const END_MODIFIED = 2;

function isWatched(o: XioObject): boolean {
  if (o.op === OP_READ) return (o.flags & F_NODATA) === 0;
  return o.op === OP_WRITE || o.op === OP_ZERO || o.op === OP_TRIM;
}
