import type { SeededRandom } from '@mars/brick-core';

/** Bytes that a disk writes in one piece: after a power cut a sector is old or new, never a mixture. */
export const SECTOR = 512;
/** Bytes of a page of the store; a page that was never written takes no memory. */
export const PAGE = 4096;
const SECTORS = PAGE / SECTOR;
const ALL_SECTORS = 0xff;

/**
 * One page in two images. `written` is what reads see; `durable` is what a power cut leaves.
 *
 * ```
 *   sector        0   1   2   3   4   5   6   7
 *   dirty         .   1   1   .   .   .   .   .      written, not synced: after a cut, old or new
 *   lost          .   .   .   .   .   1   .   .      a sync failed and forgot it: after a cut, old
 *   old contents      d   d           d              `durable` holds them (null = all zero)
 * ```
 * A sector that is neither dirty nor lost is the same in both images, and only `written` counts.
 */
class Page {
  readonly written = new Uint8Array(PAGE);
  durable: Uint8Array | null = null;
  dirty = 0;
  lost = 0;
  /** Number of the write that touched each sector last. */
  readonly touched = new Float64Array(SECTORS);
  /** Number of the truncation that cut this page off; what was written since cannot outlive a crash without it. */
  cutBy = 0;
  /** Cut off or punched out: reads as zeroes and takes no room, but its old contents may come back. */
  isFree = false;
}

/** A sync that has begun: everything written up to `upTo` is durable when it ends. */
export interface SyncToken {
  readonly upTo: number;
}

/** Draws what happens to a sector of which nobody can know. */
export type Coin = () => boolean;

/**
 * The bytes of one file or device, sparse, as written and as durable.
 *
 * The kernel may write back a dirty sector at any time. Instead of doing so in the background, the coin is tossed when the
 * sector is overwritten: had its former contents reached the disk by then? So after a cut a sector holds what was last
 * synced, or any one of the values written since.
 */
export class SectorStore {
  private readonly pages = new Map<number, Page>();
  private readonly dirtyPages = new Set<number>();
  private readonly syncs: SyncToken[] = [];
  private freePages = 0;
  private writes = 0;
  private cuts = 0;
  private durableCuts = 0;

  constructor(private readonly coin: Coin) {}

  /** Bytes that the written image takes on the disk. */
  get usedBytes(): number {
    return (this.pages.size - this.freePages) * PAGE;
  }

  /** Sectors whose fate a crash would have to decide. */
  get unsyncedSectors(): number {
    let count = 0;
    for (const number of this.dirtyPages) count += bitCount(this.pages.get(number)!.dirty);
    return count;
  }

  read(pos: number, into: Uint8Array): void {
    forPages(pos, into.length, (number, from, len, done) => {
      const page = this.pages.get(number);
      const target = into.subarray(done, done + len);
      if (page === undefined) target.fill(0);
      else target.set(page.written.subarray(from, from + len));
    });
  }

  /** No power cut can change this range any more. */
  isSynced(pos: number, len: number): boolean {
    let isSynced = true;
    forPages(pos, len, (number, from, part) => {
      const page = this.pages.get(number);
      if (page !== undefined && ((page.dirty | page.lost) & sectorsOf(from, part)) !== 0) isSynced = false;
    });
    return isSynced;
  }

  /** The other image: for each sector what a power cut would leave if it took back everything that it may take. */
  readDurable(pos: number, into: Uint8Array): void {
    this.read(pos, into);
    forPages(pos, into.length, (number, from, len, done) => {
      const page = this.pages.get(number);
      if (page === undefined) return;
      for (let at = from; at < from + len; at++) {
        if (((page.dirty | page.lost) & (1 << Math.floor(at / SECTOR))) !== 0)
          into[done + at - from] = page.durable === null ? 0 : page.durable[at]!;
      }
    });
  }

  write(pos: number, bytes: Uint8Array): void {
    this.writes++;
    forPages(pos, bytes.length, (number, from, len, done) => {
      const page = this.pageFor(number);
      this.touch(number, page, sectorsOf(from, len));
      this.setFree(page, false);
      page.written.set(bytes.subarray(done, done + len), from);
    });
  }

  /** The range reads as zeroes; may take part of a crash sector by sector, like a write. */
  zero(pos: number, len: number): void {
    this.writes++;
    forPages(pos, len, (number, from, part) => {
      const page = this.pages.get(number);
      if (page === undefined) return;
      this.touch(number, page, sectorsOf(from, part));
      page.written.fill(0, from, from + part);
      if (part === PAGE) this.setFree(page, true);
    });
  }

  /** Pages that a write to this range would have to allocate. */
  missingPages(pos: number, len: number): number {
    let missing = 0;
    forPages(pos, len, (number) => {
      if (this.pages.get(number)?.isFree ?? true) missing++;
    });
    return missing;
  }

  /** Takes room for the range without changing its contents. */
  allocate(pos: number, len: number): void {
    forPages(pos, len, (number) => this.setFree(this.pageFor(number), false));
  }

  /**
   * Cuts everything from `sizeBytes` on. In the durable image it stays until {@link cutIsDurable}.
   * @returns number of the cut
   */
  cut(sizeBytes: number): number {
    const cut = ++this.cuts;
    this.writes++;
    for (const [number, page] of this.pages) {
      const from = Math.max(0, sizeBytes - number * PAGE);
      if (from >= PAGE) continue;
      this.touch(number, page, sectorsOf(from, PAGE - from), false);
      page.written.fill(0, from);
      page.cutBy = cut;
      if (from === 0) this.setFree(page, true);
    }
    return cut;
  }

  /** The journal has committed this cut: the bytes beyond it are gone for good. */
  cutIsDurable(cut: number, sizeBytes: number): void {
    this.durableCuts = Math.max(this.durableCuts, cut);
    for (const [number, page] of this.pages) {
      const from = Math.max(0, sizeBytes - number * PAGE);
      if (from < PAGE) page.durable?.fill(0, from);
    }
  }

  beginSync(): SyncToken {
    const token = { upTo: this.writes };
    this.syncs.push(token);
    return token;
  }

  /** Everything up to the token is durable now; with a range, only what lies in it (O_DSYNC). */
  endSync(token: SyncToken, range?: { pos: number; len: number }): void {
    this.drop(token);
    const settle = (number: number, mask: number): void => {
      const page = this.pages.get(number);
      if (page !== undefined) this.clean(number, page, synced(page, token.upTo) & mask);
    };
    if (range === undefined) for (const number of this.dirtyPages) settle(number, ALL_SECTORS);
    else forPages(range.pos, range.len, (number, from, len) => settle(number, sectorsOf(from, len)));
  }

  /** The sync failed as disks do it (fsyncgate): nothing is durable, and yet nothing counts as dirty any more. */
  failSync(token: SyncToken): void {
    this.drop(token);
    for (const number of this.dirtyPages) {
      const page = this.pages.get(number)!;
      const gone = synced(page, token.upTo);
      page.lost |= gone;
      page.dirty &= ~gone;
      if (page.dirty === 0) this.dirtyPages.delete(number);
    }
  }

  /** The sync failed or was given up; everything is as dirty as before. */
  abandonSync(token: SyncToken): void {
    this.drop(token);
  }

  /** The page cache forgets what it believes to be clean: sectors that a failed sync has lost fall back to their old contents. */
  evict(): void {
    for (const page of this.pages.values()) {
      revert(page, page.lost);
      page.lost = 0;
      if (page.dirty === 0) page.durable = null;
    }
  }

  /** Flips one bit on the medium, silently. */
  rot(pos: number, bit: number): void {
    const page = this.pageFor(Math.floor(pos / PAGE));
    const at = pos % PAGE;
    page.written[at]! ^= 1 << bit;
    page.touched[Math.floor(at / SECTOR)] ||= this.writes || 1;
    if (page.durable !== null) page.durable[at]! ^= 1 << bit;
  }

  /**
   * Power is gone: every unsynced sector becomes old or new, each for itself.
   * @param sizeBytes size that the journal has left; beyond it nothing is left
   */
  crash(survives: Coin, sizeBytes: number): void {
    for (const [number, page] of this.pages) {
      const mayLive = page.cutBy <= this.durableCuts ? page.dirty : 0;
      revert(page, page.lost | (page.dirty & ~mayLive));
      for (let sector = 0; sector < SECTORS; sector++)
        if (mayLive & (1 << sector) && !survives()) revert(page, 1 << sector);
      page.durable = null;
      page.dirty = page.lost = page.cutBy = 0;
      page.isFree = false;
      const left = sizeBytes - number * PAGE;
      if (left <= 0) this.pages.delete(number);
      else if (left < PAGE) page.written.fill(0, left);
    }
    this.dirtyPages.clear();
    this.freePages = 0;
    this.syncs.length = 0;
    this.cuts = this.durableCuts = 0;
  }

  private pageFor(number: number): Page {
    let page = this.pages.get(number);
    if (page === undefined) this.pages.set(number, (page = new Page()));
    return page;
  }

  /** Keeps what a crash may bring back, before the sectors in `mask` are changed. */
  private touch(number: number, page: Page, mask: number, mayHaveReachedDisk = true): void {
    const promised = this.syncs.reduce((newest, sync) => Math.max(newest, sync.upTo), 0);
    const isReachable = page.cutBy <= this.durableCuts;
    for (let sector = 0; sector < SECTORS; sector++) {
      const bit = 1 << sector;
      if (!(mask & bit)) continue;
      if (page.lost & bit) page.lost &= ~bit;
      else if (!(page.dirty & bit)) {
        // A sector that nobody has touched is zero, and so is its place in a durable image that was not made yet.
        if (page.touched[sector]! > 0) keep(page, sector);
      }
      // A sync under way has promised this value, so it must be on the disk before it is overwritten.
      else if (isReachable && (page.touched[sector]! <= promised || (mayHaveReachedDisk && this.coin())))
        keep(page, sector);
      page.touched[sector] = this.writes;
    }
    page.dirty |= mask;
    this.dirtyPages.add(number);
  }

  private clean(number: number, page: Page, mask: number): void {
    page.dirty &= ~mask;
    if (page.dirty !== 0) return;
    this.dirtyPages.delete(number);
    if (page.lost !== 0) return;
    page.durable = null;
    if (page.isFree) {
      this.pages.delete(number);
      this.freePages--;
    }
  }

  private drop(token: SyncToken): void {
    const at = this.syncs.indexOf(token);
    if (at >= 0) this.syncs.splice(at, 1);
  }

  private setFree(page: Page, isFree: boolean): void {
    if (page.isFree === isFree) return;
    page.isFree = isFree;
    this.freePages += isFree ? 1 : -1;
  }
}

/** Copies one sector of the written image into the durable one. */
function keep(page: Page, sector: number): void {
  const from = sector * SECTOR;
  page.durable ??= new Uint8Array(PAGE);
  page.durable.set(page.written.subarray(from, from + SECTOR), from);
}

function revert(page: Page, mask: number): void {
  for (let sector = 0; sector < SECTORS; sector++) {
    if (!(mask & (1 << sector))) continue;
    const from = sector * SECTOR;
    if (page.durable === null) page.written.fill(0, from, from + SECTOR);
    else page.written.set(page.durable.subarray(from, from + SECTOR), from);
  }
}

/** Dirty sectors whose last write a sync up to `upTo` covers. */
function synced(page: Page, upTo: number): number {
  let mask = 0;
  for (let sector = 0; sector < SECTORS; sector++) if (page.touched[sector]! <= upTo) mask |= 1 << sector;
  return mask & page.dirty;
}

function sectorsOf(from: number, len: number): number {
  const first = Math.floor(from / SECTOR);
  const end = Math.ceil((from + len) / SECTOR);
  return ((1 << end) - 1) & ~((1 << first) - 1);
}

function forPages(
  pos: number,
  len: number,
  visit: (page: number, from: number, len: number, done: number) => void,
): void {
  let done = 0;
  while (done < len) {
    const at = pos + done;
    const page = Math.floor(at / PAGE);
    const from = at - page * PAGE;
    const part = Math.min(PAGE - from, len - done);
    visit(page, from, part, done);
    done += part;
  }
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** A coin with this share of heads. */
export function coinOf(random: SeededRandom, heads: number): Coin {
  return () => random.float() < heads;
}
