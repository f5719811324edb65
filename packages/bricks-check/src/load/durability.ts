import { LEAF_SECTORS } from '../verify/sector-history.js';
import type { Finding } from './sector-pattern.js';

/** What has been promised durable in 256 KiB of the device; versions, 0 = nothing. */
class Promises {
  /** Anything older than this has been replaced durably. */
  readonly floor = new Float64Array(LEAF_SECTORS);
  /** Newest ZERO, and newest TRIM, that was ever issued here: such contents carry no version. */
  readonly zeroed = new Float64Array(LEAF_SECTORS);
  readonly trimmed = new Float64Array(LEAF_SECTORS);
}

/**
 * What must survive a power cut, per sector.
 *
 * A write is durable when it was acknowledged with FUA, or acknowledged before the issue of a FLUSH that was answered. Then
 * everything that had ended before it was issued is gone for good (`floor`); what was under way beside it, or issued later,
 * may still be what is found after the cut. Contents name their version, so one number per sector is enough.
 *
 * Acknowledged writes wait in a ring, in the order of their acknowledgements, for the flush that covers them.
 * The floor of a write that overlapped others is that of its oldest companion: where three writes overlap in a chain, that is
 * a little generous, never too strict. If the ring is full, the oldest promise is forgotten (counted by the caller).
 */
export class Durability {
  /** Number of the last issued request (at `acknowledged`), or of the flush (at `flushed`), or floor to apply. */
  seq = 0.5;
  floor = 0.5;
  /** First sector of the write. */
  sector = 0.5;
  private readonly leaves = new Map<number, Promises>();
  private readonly sectors: Float64Array;
  private readonly counts: Int32Array;
  private readonly floors: Float64Array;
  private readonly acks: Float64Array;
  private readonly mask: number;
  private head = 0;
  private tail = 0;

  /** @param ringSize acknowledged writes that may wait for a flush; a power of two */
  constructor(ringSize: number) {
    this.sectors = new Float64Array(ringSize);
    this.counts = new Int32Array(ringSize);
    this.floors = new Float64Array(ringSize);
    this.acks = new Float64Array(ringSize);
    this.mask = ringSize - 1;
    this.seq = this.floor = this.sector = 0;
  }

  /** A ZERO or TRIM of `count` sectors from `sector` on, number `seq`, is issued. */
  wiping(count: number, isTrim: boolean): void {
    this.each(count, isTrim ? markTrimmed : markZeroed);
  }

  /** A write of `count` sectors from `sector` on with this `floor` is acknowledged at `seq`. @returns false: a promise was lost */
  acknowledged(count: number, isDurable: boolean): boolean {
    if (isDurable) {
      this.each(count, raiseFloor);
      return true;
    }
    const hadRoom = this.tail - this.head <= this.mask;
    if (!hadRoom) this.head++;
    const at = this.tail++ & this.mask;
    this.sectors[at] = this.sector;
    this.counts[at] = count;
    this.floors[at] = this.floor;
    this.acks[at] = this.seq;
    return hadRoom;
  }

  /** A flush that was issued as request `seq` is answered: everything acknowledged before its issue is durable. */
  flushed(): void {
    while (this.head !== this.tail && this.acks[this.head & this.mask]! < this.seq) {
      const at = this.head++ & this.mask;
      this.sector = this.sectors[at]!;
      this.floor = this.floors[at]!;
      this.each(this.counts[at]!, raiseFloor);
    }
  }

  /** The power was cut: what was not flushed by now never will be. */
  cut(): void {
    this.head = this.tail;
  }

  /** May `sector` hold this after a power cut? `version` counts for the finding 'version'. Cold path. */
  allows(sector: number, finding: Finding, version: number): boolean {
    if (finding === 'unfilled') return false;
    const promises = this.leaves.get(Math.floor(sector / LEAF_SECTORS));
    const i = sector % LEAF_SECTORS;
    const floor = promises?.floor[i] ?? 0;
    const zeroed = promises?.zeroed[i] ?? 0;
    const trimmed = promises?.trimmed[i] ?? 0;
    // After a TRIM anything may be found, also what had been replaced long ago.
    if (trimmed > 0 && trimmed >= floor) return true;
    if (finding === 'version') return version >= floor;
    if (finding === 'zeroes') return floor === 0 || (zeroed > 0 && zeroed >= floor);
    // What was there before the first write is not ours, and may come back while nothing is durable.
    return finding === 'foreign' && floor === 0;
  }

  /** The lowest version that may be found, for error texts. */
  floorOf(sector: number): number {
    return this.leaves.get(Math.floor(sector / LEAF_SECTORS))?.floor[sector % LEAF_SECTORS] ?? 0;
  }

  private each(count: number, act: (self: Durability, promises: Promises, i: number) => void): void {
    let no = Math.floor(this.sector / LEAF_SECTORS);
    let i = this.sector - no * LEAF_SECTORS;
    let promises = this.leafOf(no);
    for (let k = 0; k < count; k++, i++) {
      if (i === LEAF_SECTORS) {
        i = 0;
        promises = this.leafOf(++no);
      }
      act(this, promises, i);
    }
  }

  private leafOf(no: number): Promises {
    let promises = this.leaves.get(no);
    if (promises === undefined) this.leaves.set(no, (promises = new Promises()));
    return promises;
  }
}

function raiseFloor(self: Durability, promises: Promises, i: number): void {
  if (self.floor > promises.floor[i]!) promises.floor[i] = self.floor;
}

function markZeroed(self: Durability, promises: Promises, i: number): void {
  promises.zeroed[i] = self.seq;
}

function markTrimmed(self: Durability, promises: Promises, i: number): void {
  promises.trimmed[i] = self.seq;
}
