import { invariant, type Arena } from '@mars/brick-core';
import type { Block, BlockStore } from './blocks.js';
import { MAX_VERSIONS, REGION_BUCKETS, REGION_BYTES, SECTOR_BYTES } from './limits.js';
import type { LogInput } from './log-input.js';

/**
 * What one log record says about the device, from the moment in which the write was taken until it is written back
 * (the "shadow" of transaction-log.md 2.1). Never crosses a region.
 */
export class Version {
  // 0.5: these hold positions beyond 2^31, and must never be boxed (bricks.md 5.3 rule 8).
  pos = 0.5;
  len = 0;
  /** Arena offset of the data; -1 = zeroes. */
  data = -1;
  /** Where `data` stands; null for zeroes. */
  block: Block | null = null;
  region: Region | null = null;
  newer: Version | null = null;
  older: Version | null = null;
  /** Neighbours in the position list of the log, in log order. */
  before: Version | null = null;
  after: Version | null = null;
  slot: LogInput | null = null;
  /** End of its record, in the order of all logs. */
  endLsn = 0.5;
  takenUs = 0.5;
  /** Its record is durable: it may go to the device (INV-7). */
  isDurable = false;
  /** Is being written back; what comes later forms a later writeback. */
  isCollected = false;

  constructor() {
    this.pos = this.endLsn = this.takenUs = 0;
  }
}

/** 64 KiB of the device and everything in memory that overlaps it, newest first. */
export class Region {
  nr = 0.5;
  newest: Version | null = null;
  next: Region | null = null;
  /** Stands in the elevator. */
  isQueued = false;
  /** Writebacks under way, and the sector from which on none was issued yet; see `writeback.ts`. */
  underWay = 0;
  cursor = 0;
  isWriting = false;
  err = 0;

  constructor() {
    this.nr = 0;
  }
}

/**
 * The memory of the logger: region → versions, newest first, several versions of the same bytes side by side.
 * Entries are pooled: after the first few thousand writes nothing is allocated. Source: transaction-log.md 2.1
 */
export class MemoryBuffer {
  versions = 0;
  private readonly buckets: (Region | null)[] = new Array<Region | null>(REGION_BUCKETS).fill(null);
  private freeVersions: Version | null = null;
  private freeRegions: Region | null = null;

  constructor(
    private readonly mem: Arena,
    private readonly blocks: BlockStore,
  ) {}

  get hasRoom(): boolean {
    return this.versions < MAX_VERSIONS;
  }

  get isEmpty(): boolean {
    return this.versions === 0;
  }

  /** A fresh version at the head of its region: from here on reads see it (transaction-log.md 2.2, phase 0). */
  insert(pos: number, len: number): Version {
    const v = this.freeVersions ?? new Version();
    this.freeVersions = v.after;
    v.after = null;
    v.pos = pos;
    v.len = len;
    const region = this.find(pos) ?? this.addRegion(pos);
    v.region = region;
    v.older = region.newest;
    if (region.newest !== null) region.newest.newer = v;
    region.newest = v;
    this.versions++;
    return v;
  }

  /** Takes a version out of its region and forgets it; its data may go. */
  remove(v: Version): void {
    const region = v.region!;
    invariant(v.before === null && v.after === null, 'a version was forgotten that its log still counts');
    if (v.newer === null) region.newest = v.older;
    else v.newer.older = v.older;
    if (v.older !== null) v.older.newer = v.newer;
    if (v.block !== null) this.blocks.release(v.block);
    v.block = v.region = v.newer = v.older = v.slot = null;
    v.isDurable = v.isCollected = false;
    v.data = -1;
    v.after = this.freeVersions;
    this.freeVersions = v;
    this.versions--;
    this.dropIfEmpty(region);
  }

  /** The region that holds this position of the device, or null when nothing of it is in memory. */
  find(pos: number): Region | null {
    const nr = Math.floor(pos / REGION_BYTES);
    let region = this.buckets[nr & (REGION_BUCKETS - 1)] ?? null;
    while (region !== null && region.nr !== nr) region = region.next;
    return region;
  }

  /** Copies `len` bytes of a version, from `offset` bytes behind its start, to arena offset `to`. */
  copyOut(v: Version, offset: number, len: number, to: number): void {
    if (v.data < 0) this.mem.fill(to, len, 0);
    else this.mem.copy(to, v.data + offset, len);
  }

  dropIfEmpty(region: Region): void {
    if (region.newest !== null || region.isQueued || region.isWriting) return;
    const bucket = region.nr & (REGION_BUCKETS - 1);
    let at = this.buckets[bucket]!;
    if (at === region) this.buckets[bucket] = region.next;
    else {
      while (at.next !== region) at = at.next!;
      at.next = region.next;
    }
    region.next = this.freeRegions;
    this.freeRegions = region;
  }

  private addRegion(pos: number): Region {
    const region = this.freeRegions ?? new Region();
    this.freeRegions = region.next;
    region.nr = Math.floor(pos / REGION_BYTES);
    region.cursor = region.err = 0;
    const bucket = region.nr & (REGION_BUCKETS - 1);
    region.next = this.buckets[bucket] ?? null;
    this.buckets[bucket] = region;
    return region;
  }
}

/** First sector of a version within its region. */
export function firstSector(v: Version): number {
  return (v.pos - v.region!.nr * REGION_BYTES) / SECTOR_BYTES;
}
