import {
  OP_FLUSH,
  OP_WRITE,
  invariant,
  type BrickContext,
  type Completer,
  type Counter,
  type ObjectOwner,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { MAX_FLYING_PAGES } from '../limits.js';
import { aspectOf } from './aspect.js';
import type { PageImage } from './page-image.js';
import type { Survival } from './survival.js';
import { PAGE, type Fragment, type Page, type VolatileLayer } from './volatile-layer.js';

/** What the brick wants to hear. */
export interface WriteBackEvents {
  /** This stands below now; called before it leaves the layer. */
  cleaned(f: Fragment): void;
  /** The page could not be written; its fragments stay volatile. */
  failed(page: Page, err: number): void;
  /** A cut has decided about a page: pieces of writes that were lost, granules in which something was kept. */
  decided(lost: number, kept: number): void;
  /** Something came back, or can be tried again. */
  progressed(): void;
  flushed(err: number): void;
}

/**
 * Writes pages of the volatile layer below, and flushes below.
 *
 * I2: a page is written by one request at a time, so two versions of a granule never race below. A page that is wanted while it
 * flies is written once more afterwards.
 * I3: what is written is everything the page held when it took off; newer fragments stay dirty.
 */
export class WriteBack {
  /** Pages under way. */
  flying = 0;
  isFlushing = false;
  /** While set, only what survives is written. */
  survival: Survival | null = null;
  private wantedHead: Page | null = null;
  private wantedTail: Page | null = null;
  private mustRetry = false;
  private readonly pages: Counter;
  /** Payloads of this brick's own: taken once and kept, so that write-back goes on when the arena is full. */
  private readonly buffers = new Int32Array(MAX_FLYING_PAGES);
  private freeBuffers = 0;
  private ownBuffers = 0;

  constructor(
    private readonly ctx: BrickContext,
    private readonly owner: ObjectOwner,
    private readonly next: XioInput,
    private readonly layer: VolatileLayer,
    private readonly image: PageImage,
    private readonly events: WriteBackEvents,
    private readonly pageDone: Completer,
    private readonly flushDone: Completer,
  ) {
    this.pages = ctx.counter('writeBacks');
  }

  get isIdle(): boolean {
    return this.flying === 0 && !this.isFlushing && this.wantedHead === null;
  }

  /** Takes the memory without which nothing could be written back. False when the arena has none. */
  reserve(): boolean {
    return this.freeBuffers > 0 || this.addBuffer();
  }

  /** Gives all memory back. */
  close(): void {
    invariant(this.freeBuffers === this.ownBuffers, 'memory of a page that flies cannot be given back');
    for (let i = 0; i < this.freeBuffers; i++) this.ctx.mem.release(this.buffers[i]!);
    this.freeBuffers = this.ownBuffers = 0;
  }

  /** This page shall be written back, as soon as it can be. */
  want(page: Page): void {
    if (page.state === 'flying') page.isWantedAgain = true;
    if (page.state !== 'idle') return;
    page.state = 'wanted';
    page.nextWanted = null;
    if (this.wantedTail === null) this.wantedHead = page;
    else this.wantedTail.nextWanted = page;
    this.wantedTail = page;
  }

  /** Everything up to fragment number `nr` shall be written back. */
  wantUpTo(nr: number): void {
    for (let f = this.layer.dirtyOldest; f !== null && f.nr <= nr; f = f.dirtyAfter) this.want(f.page!);
  }

  /** Forgets what is only wanted; what flies comes back. */
  forgetWanted(): void {
    while (this.takeWanted() !== null);
  }

  /** Sends what is wanted, as far as limits and memory allow. */
  pump(): void {
    while (this.wantedHead !== null && this.flying < MAX_FLYING_PAGES) {
      if (!this.reserve()) return this.retryUnlessFlying();
      const o = this.ctx.pool.take(this.owner, 0);
      if (o === null) return this.retryUnlessFlying();
      o.buf = this.buffers[--this.freeBuffers]!;
      this.takeOff(this.takeWanted()!, o);
    }
  }

  /** Asks the brick below to make durable what it has. False when there is no object for it now. */
  flush(): boolean {
    invariant(!this.isFlushing, 'one flush at a time');
    const o = this.ctx.pool.take(this.owner, 0);
    if (o === null) {
      this.retryUnlessFlying();
      return false;
    }
    this.isFlushing = true;
    o.op = OP_FLUSH;
    o.push(this.flushDone);
    this.next.io(o);
    return true;
  }

  /** A page request came back; called by the brick's completer. */
  pageReturned(o: XioObject): void {
    const child = aspectOf(o, this.ctx.slot);
    const page = child.page!;
    const { err } = o;
    child.page = null;
    if (err >= 0) page.doneTo = child.toByte;
    if (err < 0) this.fail(page, o, err);
    else if (!this.sendRun(page, o)) this.complete(page, o);
    this.events.progressed();
  }

  /** A flush came back; called by the brick's completer. */
  flushReturned(o: XioObject): void {
    const { err } = o;
    this.isFlushing = false;
    this.ctx.pool.free(o);
    this.events.flushed(err);
    this.events.progressed();
  }

  private takeOff(page: Page, o: XioObject): void {
    page.state = 'flying';
    page.isWantedAgain = false;
    page.snapshot = page.newest;
    page.doneTo = 0;
    if (this.survival === null) page.isWhole = true;
    this.flying++;
    if (!this.sendRun(page, o)) this.complete(page, o);
  }

  /** Sends the next run of bytes of a flying page. False when everything has been written. */
  private sendRun(page: Page, o: XioObject): boolean {
    const { image } = this;
    image.build(page, o.buf, page.isWhole ? null : this.survival);
    if (!image.nextRun(page.doneTo)) return false;
    const child = aspectOf(o, this.ctx.slot);
    const isFirst = page.doneTo === 0;
    child.page = page;
    child.toByte = image.to;
    o.op = OP_WRITE;
    o.flags = 0;
    o.pos = page.nr * PAGE + image.from;
    o.len = image.to - image.from;
    // A payload starts at the start of its block.
    this.ctx.mem.copy(o.buf, o.buf + image.from, o.len);
    if (isFirst) o.push(this.pageDone);
    this.next.io(o);
    return true;
  }

  private complete(page: Page, o: XioObject): void {
    const { snapshot } = page;
    if (this.survival !== null && !page.isWhole) this.events.decided(this.image.lost, this.image.kept);
    page.isWhole = false;
    for (let f = page.firstDirty; f !== null; f = f.newer) {
      this.events.cleaned(f);
      this.layer.clean(f);
      if (f === snapshot) break;
    }
    this.pages.n++;
    this.land(page, o);
    this.layer.freeLimbo();
  }

  private fail(page: Page, o: XioObject, err: number): void {
    // In a power cut there is nobody to tell and nothing to keep: what cannot be written is lost like the rest.
    if (this.survival !== null) return this.complete(page, o);
    // Half a page may stand below now. If power fails before it is whole, it must become whole then (I1).
    if (page.doneTo === 0) page.isWhole = false;
    this.land(page, o);
    this.events.failed(page, err);
  }

  private land(page: Page, o: XioObject): void {
    this.buffers[this.freeBuffers++] = o.buf;
    this.ctx.pool.free(o);
    this.flying--;
    page.state = 'idle';
    page.snapshot = null;
    if (page.isWantedAgain && page.firstDirty !== null) this.want(page);
    page.isWantedAgain = false;
  }

  private takeWanted(): Page | null {
    const page = this.wantedHead;
    if (page === null) return null;
    this.wantedHead = page.nextWanted;
    if (this.wantedHead === null) this.wantedTail = null;
    page.nextWanted = null;
    page.state = 'idle';
    return page;
  }

  private addBuffer(): boolean {
    const buf = this.ownBuffers < MAX_FLYING_PAGES ? this.ctx.mem.alloc(PAGE) : -1;
    if (buf < 0) return false;
    this.ownBuffers++;
    this.buffers[this.freeBuffers++] = buf;
    return true;
  }

  /** Objects or memory have run out for the moment: what flies brings some back, else somebody else must. */
  private retryUnlessFlying(): void {
    if (this.mustRetry || this.flying > 0) return;
    this.mustRetry = true;
    this.ctx.loop.after(RETRY_MS, this, retry);
  }

  /** Called by the retry timer only. */
  retried(): void {
    this.mustRetry = false;
    this.events.progressed();
  }
}

const RETRY_MS = 1;

function retry(writeBack: WriteBack): void {
  writeBack.retried();
}
