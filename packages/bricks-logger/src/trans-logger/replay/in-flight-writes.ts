import { invariant, type XioObject } from '@mars/brick-core';

/** A range of the device. Fields instead of arguments: positions above 2^31 would be boxed on every call. */
export interface DeviceRange {
  readonly pos: number;
  readonly len: number;
}

/**
 * The writes under way, to be asked whether a range overlaps one of them. A dense list that is searched from end to end: at
 * its bound of 512 that costs about as much as one checksum of 4 KiB, and nothing has to be kept in order.
 */
export class InFlightWrites {
  count = 0;
  private readonly starts: Float64Array;
  private readonly ends: Float64Array;
  private readonly slots: Int32Array;
  /** Pool slot → place in the lists, −1 = not under way. */
  private readonly placeOf: Int32Array;

  constructor(capacity: number, poolSlots: number) {
    this.starts = new Float64Array(capacity);
    this.ends = new Float64Array(capacity);
    this.slots = new Int32Array(capacity);
    this.placeOf = new Int32Array(poolSlots).fill(-1);
  }

  get capacity(): number {
    return this.slots.length;
  }

  enter(o: XioObject): void {
    const place = this.count++;
    invariant(place < this.capacity, 'more writes under way than replay allows');
    this.starts[place] = o.pos;
    this.ends[place] = o.pos + o.len;
    this.slots[place] = o.slot;
    this.placeOf[o.slot] = place;
  }

  leave(o: XioObject): void {
    const place = this.placeOf[o.slot]!;
    invariant(place >= 0, 'a write came back that was not under way');
    const last = --this.count;
    this.placeOf[this.slots[last]!] = place;
    this.placeOf[o.slot] = -1;
    this.starts[place] = this.starts[last]!;
    this.ends[place] = this.ends[last]!;
    this.slots[place] = this.slots[last]!;
  }

  overlaps(range: DeviceRange): boolean {
    const { starts, ends, count } = this;
    const end = range.pos + range.len;
    for (let i = 0; i < count; i++) if (starts[i]! < end && ends[i]! > range.pos) return true;
    return false;
  }
}
