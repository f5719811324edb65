import type { Arena } from '@mars/brick-core';
import type { Survival } from './survival.js';
import { PAGE, type Fragment, type Page, type VolatileLayer } from './volatile-layer.js';

/** Lets everything through; the value of "no fragment is newer". */
const ALL = 2 ** 31 - 1;

/**
 * What of a page has to be written below: the data, and which bytes count. One page at a time.
 *
 * The rule of a power cut (I1): a granule ends up as it was after one of the writes to it, or as it was below. So the newest write
 * that reached the medium decides, and every older one in that granule is in it; bytes of two writes never mix in another way.
 */
export class PageImage {
  /** The run found by {@link nextRun}: bytes of the page, `[from, to)`. */
  from = 0;
  to = 0;
  /** Granules of this page in which something volatile was lost, or all was kept; valid after a build with a survival. */
  lost = 0;
  kept = 0;
  private readonly covered = new Uint8Array(PAGE);
  private readonly newestIn: Int32Array;

  /** @param granule bytes; a power of two, at most a page */
  constructor(
    private readonly mem: Arena,
    private readonly layer: VolatileLayer,
    private readonly granule: number,
  ) {
    this.newestIn = new Int32Array(PAGE / granule);
  }

  /**
   * Puts the dirty fragments up to the page's snapshot together; all of them, or what survives a cut.
   * @param into arena offset of a page, where every byte gets its place
   */
  build(page: Page, into: number, survival: Survival | null): void {
    this.covered.fill(0);
    if (survival === null) this.newestIn.fill(ALL);
    else this.choose(page, survival);
    let nr = 0;
    for (let f = page.firstDirty; f !== null; f = f.newer) {
      this.apply(f, ++nr, into);
      if (f === page.snapshot) return;
    }
  }

  /** The next bytes to be written at or behind `at`, as `from` and `to`. False when there are none. */
  nextRun(at: number): boolean {
    const from = this.covered.indexOf(1, at);
    if (from < 0) return false;
    const to = this.covered.indexOf(0, from);
    this.from = from;
    this.to = to < 0 ? PAGE : to;
    return true;
  }

  /** Finds for every granule the newest write that reached the medium. */
  private choose(page: Page, survival: Survival): void {
    const { newestIn, granule } = this;
    const perPage = PAGE / granule;
    newestIn.fill(0);
    this.lost = this.kept = 0;
    let nr = 0;
    for (let f = page.firstDirty; f !== null; f = f.newer) {
      nr++;
      for (let g = Math.floor(f.from / granule); g * granule < f.to; g++) {
        if (survival.reached(f.request, page.nr * perPage + g)) newestIn[g] = nr;
        else this.lost++;
      }
      if (f === page.snapshot) break;
    }
    for (const newest of newestIn) if (newest > 0) this.kept++;
  }

  private apply(f: Fragment, nr: number, into: number): void {
    const { granule } = this;
    this.layer.fetch(f);
    for (let at = f.from; at < f.to;) {
      const g = Math.floor(at / granule);
      const end = Math.min(f.to, (g + 1) * granule);
      if (nr <= this.newestIn[g]!) {
        this.mem.copy(into + at, this.layer.bounce + at, end - at);
        this.covered.fill(1, at, end);
      }
      at = end;
    }
  }
}
