import { ARENA_PAGE, F_NODATA, OP_ZERO, invariant, type Arena, type XioObject } from '@mars/brick-core';

export const PAGE = ARENA_PAGE;
/** Pages that are allocated at once. */
const SLAB_PAGES = 64;

/** What one write changed in one page. Pooled; its memory belongs to it for good. */
export class Fragment {
  page: Page | null = null;
  /** Bytes of the page that the write changed, `[from, to)`; they stand at the same place in `bytes`. */
  from = 0;
  to = 0;
  /** Order among all fragments. */
  nr = 0.5;
  /** Number of the write that it is a part of. */
  request = 0.5;
  /** A write with FUA that waits until this is written back. */
  owner: XioObject | null = null;
  isDirty = false;
  /** Which cleaning wrote it back; reads that started before still need it. */
  cleanedAt = 0.5;
  /** The next newer one of the same page; in a pool or in limbo: the next one there. */
  newer: Fragment | null = null;
  nextLimbo: Fragment | null = null;
  dirtyBefore: Fragment | null = null;
  dirtyAfter: Fragment | null = null;

  constructor(readonly bytes: Uint8Array) {}
}

export type PageState = 'idle' | 'wanted' | 'flying';

/** A page of the device of which something is volatile. */
export class Page {
  /** Page number on the device. */
  nr = 0.5;
  oldest: Fragment | null = null;
  newest: Fragment | null = null;
  state: PageState = 'idle';
  /** Wanted once more, while it was flying. */
  isWantedAgain = false;
  nextWanted: Page | null = null;
  /** While flying: the newest fragment that is being written back, and how far. */
  snapshot: Fragment | null = null;
  doneTo = 0;
  /** Its writing has begun, so it must be written to the end even if power fails: granules are never mixed. */
  isWhole = false;
  /** Next in the same bucket, or in the pool. */
  chain: Page | null = null;

  get firstDirty(): Fragment | null {
    let f = this.oldest;
    while (f !== null && !f.isDirty) f = f.newer;
    return f;
  }
}

/**
 * The contents of the volatile cache: every write in full, cut at page boundaries, in order. Nothing is merged, because after a
 * power cut each granule may hold *any* of the values that were written to it.
 *
 * ```
 *   page 17:  oldest ─> [512,1024) ─> [0,4096) ─> [100,612)  newest
 *              clean        dirty        dirty        dirty
 * ```
 * A fragment that was written back (clean) is kept while a read is under way that started before: what that read brings from
 * below may be older. Such fragments wait in limbo, in two generations: the older one is freed when its last read has ended.
 *
 * The memory is not the arena's: a cache that fills it would starve the requests that it serves. Bytes pass between the two
 * through a bounce page, because `TypedArray.set` copies whole views, and a view per request would be garbage.
 */
export class VolatileLayer {
  dirtyOldest: Fragment | null = null;
  dirtyNewest: Fragment | null = null;
  /** Fragments in use, dirty or in limbo. */
  used = 0;
  /** Fragments that are not written back. */
  dirty = 0;
  /** Number of the youngest fragment. */
  lastNr = 0;
  /** How many fragments were ever cleaned: the time scale of reads. */
  cleanings = 0;
  /** End of the last volatile byte since the layer was empty, bytes. */
  endBytes = 0.5;
  readonly fragments: Fragment[] = [];
  private readonly buckets: (Page | null)[];
  private freeFragment: Fragment | null = null;
  private freePage: Page | null = null;
  private readonly bounceView: Uint8Array;
  private generation = 0;
  private readonly reading = [0, 0];
  private readonly limboHead: (Fragment | null)[] = [null, null];
  private readonly limboTail: (Fragment | null)[] = [null, null];

  /**
   * @param bounce arena offset of a page that belongs to this layer
   * @param limit fragments at most; each takes a page
   */
  constructor(
    private readonly mem: Arena,
    readonly bounce: number,
    private readonly limit: number,
  ) {
    this.bounceView = new Uint8Array(mem.memory, bounce, PAGE);
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(16, limit)));
    this.buckets = new Array<Page | null>(buckets).fill(null);
    this.endBytes = 0;
  }

  /**
   * Keeps what a WRITE or ZERO changes, from byte `done` of the request on.
   * @returns how far it came; less than `o.len` when the layer is full
   */
  absorb(o: XioObject, done: number, request: number, owner: XioObject | null): number {
    while (done < o.len) {
      const f = this.takeFragment();
      if (f === null) break;
      const pos = o.pos + done;
      const page = Math.floor(pos / PAGE);
      f.from = (pos - page * PAGE) | 0;
      f.to = Math.min(PAGE, f.from + o.len - done);
      f.request = request;
      f.owner = owner;
      this.fill(f, o, done);
      this.append(f, this.findOrAdd(page));
      done += f.to - f.from;
    }
    if (o.pos + done > this.endBytes) this.endBytes = o.pos + done;
    return done;
  }

  /**
   * Puts what is newer than below over the data of a read that came back.
   * @param len bytes that the reader gets
   * @param startedAt `cleanings` when the read went down
   */
  overlay(o: XioObject, len: number, startedAt: number): void {
    if (this.used === 0 || o.flags & F_NODATA) return;
    const end = o.pos + len;
    for (let page = Math.floor(o.pos / PAGE); page * PAGE < end; page++) {
      const found = this.find(page);
      if (found !== null) this.overlayPage(o, len, found, startedAt);
    }
  }

  /** Brings the bytes of a fragment to the bounce page, each to its place. */
  fetch(f: Fragment): void {
    this.mem.u8.set(f.bytes, this.bounce);
  }

  find(nr: number): Page | null {
    let page = this.buckets[this.bucketOf(nr)] ?? null;
    while (page !== null && page.nr !== nr) page = page.chain;
    return page;
  }

  /** A read goes down. @returns its generation, for {@link readEnds} */
  readStarts(): number {
    this.reading[this.generation]!++;
    return this.generation;
  }

  readEnds(generation: number): void {
    this.reading[generation]!--;
    this.freeLimbo();
  }

  /** Takes a fragment off the dirty list: it stands below now (or was lost). */
  clean(f: Fragment): void {
    invariant(f.isDirty, 'a fragment was written back twice');
    f.isDirty = false;
    f.owner = null;
    f.cleanedAt = ++this.cleanings;
    this.dirty--;
    if (f.dirtyBefore === null) this.dirtyOldest = f.dirtyAfter;
    else f.dirtyBefore.dirtyAfter = f.dirtyAfter;
    if (f.dirtyAfter === null) this.dirtyNewest = f.dirtyBefore;
    else f.dirtyAfter.dirtyBefore = f.dirtyBefore;
    f.dirtyBefore = f.dirtyAfter = null;
    this.toLimbo(f);
  }

  /** Frees what no read needs any more. Called after cleaning, and whenever a read ends. */
  freeLimbo(): void {
    // Two flips pass everything through when nobody reads.
    for (let flips = 0; flips < 2 && this.used > this.dirty; flips++) {
      const old = 1 - this.generation;
      if (this.reading[old]! > 0) return;
      let f = this.limboHead[old] ?? null;
      while (f !== null) {
        const next: Fragment | null = f.nextLimbo;
        this.freeOne(f);
        f = next;
      }
      this.limboHead[old] = this.limboTail[old] = null;
      this.generation = old;
    }
    if (this.used === 0) this.endBytes = 0;
  }

  private toLimbo(f: Fragment): void {
    const tail = this.limboTail[this.generation]!;
    if (tail === null) this.limboHead[this.generation] = f;
    else tail.nextLimbo = f;
    this.limboTail[this.generation] = f;
  }

  private overlayPage(o: XioObject, len: number, page: Page, startedAt: number): void {
    // Offset of the page in the payload; negative when the read starts inside it.
    const base = page.nr * PAGE - o.pos;
    for (let f = page.oldest; f !== null; f = f.newer) {
      if (!f.isDirty && f.cleanedAt <= startedAt) continue;
      const from = Math.max(f.from, -base);
      const to = Math.min(f.to, len - base);
      if (from >= to) continue;
      this.fetch(f);
      this.mem.copy(o.buf + base + from, this.bounce + from, to - from);
    }
  }

  private fill(f: Fragment, o: XioObject, done: number): void {
    if (o.op === OP_ZERO) f.bytes.fill(0, f.from, f.to);
    else {
      this.mem.copy(this.bounce + f.from, o.buf + done, f.to - f.from);
      f.bytes.set(this.bounceView);
    }
  }

  private append(f: Fragment, page: Page): void {
    f.nr = ++this.lastNr;
    f.page = page;
    f.newer = null;
    if (page.newest === null) page.oldest = f;
    else page.newest.newer = f;
    page.newest = f;
    f.isDirty = true;
    f.dirtyBefore = this.dirtyNewest;
    if (this.dirtyNewest === null) this.dirtyOldest = f;
    else this.dirtyNewest.dirtyAfter = f;
    this.dirtyNewest = f;
    this.dirty++;
  }

  private takeFragment(): Fragment | null {
    if (this.used >= this.limit) return null;
    if (this.freeFragment === null) this.addSlab();
    const f = this.freeFragment!;
    this.freeFragment = f.newer;
    this.used++;
    return f;
  }

  /** Back to the pool. Fragments of a page are freed oldest first, as they were cleaned. */
  private freeOne(f: Fragment): void {
    const page = f.page!;
    invariant(page.oldest === f, 'fragments of a page must be freed in order');
    page.oldest = f.newer;
    if (page.oldest === null) this.removePage(page);
    f.page = null;
    f.nextLimbo = null;
    f.newer = this.freeFragment;
    this.freeFragment = f;
    this.used--;
  }

  private addSlab(): void {
    const memory = new ArrayBuffer(SLAB_PAGES * PAGE);
    for (let i = 0; i < SLAB_PAGES; i++) {
      const f = new Fragment(new Uint8Array(memory, i * PAGE, PAGE));
      this.fragments.push(f);
      f.newer = this.freeFragment;
      this.freeFragment = f;
    }
  }

  private bucketOf(nr: number): number {
    return Math.imul(nr | 0, 0x9e3779b1) & (this.buckets.length - 1);
  }

  private findOrAdd(nr: number): Page {
    const found = this.find(nr);
    if (found !== null) return found;
    const page = this.freePage ?? new Page();
    this.freePage = page.chain;
    const bucket = this.bucketOf(nr);
    page.nr = nr;
    page.chain = this.buckets[bucket]!;
    this.buckets[bucket] = page;
    return page;
  }

  private removePage(page: Page): void {
    invariant(page.state === 'idle', 'a page went away while it was written back');
    page.newest = null;
    page.snapshot = null;
    const bucket = this.bucketOf(page.nr);
    if (this.buckets[bucket] === page) this.buckets[bucket] = page.chain;
    else {
      let before = this.buckets[bucket]!;
      while (before.chain !== page) before = before.chain!;
      before.chain = page.chain;
    }
    page.chain = this.freePage;
    this.freePage = page;
  }
}
