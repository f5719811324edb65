import type { Region } from './memory-buffer.js';

/** A binary heap of regions, lowest position first; its array never shrinks, so pushing allocates nothing in the long run. */
class RegionHeap {
  private readonly regions: (Region | null)[] = [];
  length = 0;

  push(region: Region): void {
    let at = this.length++;
    if (at === this.regions.length) this.regions.push(null);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.regions[parent]!.nr <= region.nr) break;
      this.regions[at] = this.regions[parent]!;
      at = parent;
    }
    this.regions[at] = region;
  }

  /** The heap must not be empty. */
  pop(): Region {
    const first = this.regions[0]!;
    const last = this.regions[--this.length]!;
    this.regions[this.length] = null;
    if (this.length > 0) this.sink(last);
    return first;
  }

  private sink(region: Region): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.length) break;
      if (child + 1 < this.length && this.regions[child + 1]!.nr < this.regions[child]!.nr) child++;
      if (this.regions[child]!.nr >= region.nr) break;
      this.regions[at] = this.regions[child]!;
      at = child;
    }
    this.regions[at] = region;
  }
}

/**
 * Regions in ascending order, one way: what comes in behind the present position waits for the next sweep.
 * Source: transaction-log.md 2.2 ("ascending")
 */
export class Elevator {
  private sweep = new RegionHeap();
  private later = new RegionHeap();
  private at = -1;

  get length(): number {
    return this.sweep.length + this.later.length;
  }

  push(region: Region): void {
    region.isQueued = true;
    if (region.nr > this.at) this.sweep.push(region);
    else this.later.push(region);
  }

  pop(): Region | null {
    if (this.sweep.length === 0) {
      if (this.later.length === 0) return null;
      const { sweep } = this;
      this.sweep = this.later;
      this.later = sweep;
    }
    const region = this.sweep.pop();
    this.at = region.nr;
    region.isQueued = false;
    return region;
  }
}
