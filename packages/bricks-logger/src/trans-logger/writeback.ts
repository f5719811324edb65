import {
  OP_WRITE,
  crashPoint,
  errnoName,
  type Completer,
  type Counter,
  type Histogram,
  type XioObject,
} from '@mars/brick-core';
import { Elevator } from './elevator.js';
import type { LoggerFaults } from './faults.js';
import type { LoggerHouse } from './house.js';
import {
  REGION_BYTES,
  REGION_SECTORS,
  SECTOR_BYTES,
  WRITEBACKS_PER_TICK,
  WRITEBACK_RETRY_MS,
  WRITEBACK_RETRY_MS_MAX,
} from './limits.js';
import { firstSector, type MemoryBuffer, type Region, type Version } from './memory-buffer.js';
import { stateOf } from './request-state.js';

/**
 * Brings what is durable in the log to the data device, region by region in ascending order.
 *
 * ```
 *   durable version ─> elevator ─> region: members fixed ─> newest data of each sector ─> runs ─WRITE─> all back:
 *                                                                              members leave memory, positions move
 * ```
 * - Members are durable (INV-7), and what is written later forms a later writeback.
 * - One writeback per region at a time, so two versions of a sector never race (INV-8).
 * - Runs are copied, so neighbours go out as one aligned write and superseded data not at all.
 * - A failed write changes nothing: the members stay in memory, readable, and no position moves.
 *
 * Source: transaction-log.md 2.2 (phases 1 and 3)
 */
export class Writeback {
  /** Error of the device; 0 while all is well. Nothing is written until the next try. */
  err = 0;
  /** Writes at once at most. */
  parallel = 0;
  /** The device failed a flush: writing more would not bring back what it lost. */
  isLost = false;
  runsUnderWay = 0;
  private readonly elevator = new Elevator();
  /** A region that got no memory for its next run. */
  private stalled: Region | null = null;
  private regionsUnderWay = 0;
  private readonly owners: (Version | null)[] = new Array<Version | null>(REGION_SECTORS).fill(null);
  /** Always ours: with it everything gets written back in the end, however short the pool is. */
  private reserve: XioObject | null = null;
  private isReserveUsed = false;
  private retryMs = WRITEBACK_RETRY_MS;
  private readonly runStep: Completer;
  private readonly counts: Record<'writes' | 'bytes' | 'versions', Counter>;
  private readonly writeUs: Histogram;

  constructor(
    private readonly house: LoggerHouse,
    private readonly memory: MemoryBuffer,
    private readonly stateChanged: () => void,
    private readonly faults: LoggerFaults,
  ) {
    const { ctx } = house;
    this.runStep = house.completer((o) => this.runDone(o));
    this.writeUs = ctx.histogram('writeback_us');
    this.counts = {
      writes: ctx.counter('writebacks'),
      bytes: ctx.counter('writeback_bytes'),
      versions: ctx.counter('written_back'),
    };
  }

  /** @returns false when the pool has no object to spare */
  start(): boolean {
    this.err = 0;
    this.isLost = false;
    this.retryMs = WRITEBACK_RETRY_MS;
    this.reserve ??= this.house.ctx.pool.take(this.house.brick, REGION_BYTES);
    return this.reserve !== null;
  }

  close(): void {
    if (this.reserve !== null) this.house.ctx.pool.free(this.reserve);
    this.reserve = null;
    while (this.elevator.pop() !== null);
    if (this.stalled !== null) this.stalled.isWriting = false;
    this.stalled = null;
    this.regionsUnderWay = 0;
  }

  /** Nothing is being written, and nothing could be written now. */
  get isIdle(): boolean {
    return this.regionsUnderWay === 0 && this.elevator.length === 0;
  }

  get isQuiet(): boolean {
    return this.runsUnderWay === 0;
  }

  becameDurable(v: Version): void {
    const region = v.region!;
    if (!region.isQueued && !region.isWriting) this.elevator.push(region);
  }

  /** Starts writes until so many are under way, but not too many in one tick. */
  pump(): void {
    let budget = WRITEBACKS_PER_TICK;
    while (this.err === 0 && this.runsUnderWay < this.parallel && budget-- > 0) {
      const region = this.stalled ?? this.collect();
      if (region === null) return;
      this.stalled = null;
      if (!this.writeRuns(region)) {
        this.stalled = region;
        return;
      }
    }
  }

  /** Fixes the members of the next region. */
  private collect(): Region | null {
    const region = this.elevator.pop();
    if (region === null) return null;
    region.isWriting = true;
    region.cursor = region.underWay = region.err = 0;
    this.regionsUnderWay++;
    for (let v = region.newest; v !== null; v = v.older) v.isCollected = v.isDurable;
    return region;
  }

  /** @returns false when there is no memory for the next run: it goes on from there */
  private writeRuns(region: Region): boolean {
    this.findOwners(region);
    const { owners } = this;
    let at = region.cursor;
    while (region.err === 0) {
      while (at < REGION_SECTORS && owners[at] === null) at++;
      if (at === REGION_SECTORS) break;
      let end = at + 1;
      while (end < REGION_SECTORS && owners[end] !== null) end++;
      region.cursor = at;
      if (!this.writeRun(region, at, end)) return false;
      at = end;
    }
    region.cursor = REGION_SECTORS;
    if (region.underWay === 0) this.regionDone(region);
    return true;
  }

  /** The newest member wins (INV-8). */
  private findOwners(region: Region): void {
    const { owners } = this;
    owners.fill(null);
    for (let v = region.newest; v !== null; v = v.older) {
      if (!v.isCollected) continue;
      const first = firstSector(v);
      const last = first + v.len / SECTOR_BYTES;
      for (let sector = first; sector < last; sector++) {
        if (owners[sector] === null || this.faults.oldestWins) owners[sector] = v;
      }
    }
  }

  private writeRun(region: Region, first: number, end: number): boolean {
    const len = (end - first) * SECTOR_BYTES;
    const o = this.takeObject(len);
    if (o === null) return false;
    o.op = OP_WRITE;
    o.flags = 0;
    o.pos = region.nr * REGION_BYTES + first * SECTOR_BYTES;
    o.len = len;
    this.fill(o, first, end);
    const state = stateOf(o, this.house.ctx.slot);
    state.region = region;
    state.enteredUs = this.house.clock.nowUs;
    region.underWay++;
    this.runsUnderWay++;
    this.counts.writes.n++;
    this.counts.bytes.n += len;
    crashPoint('logger.before-writeback');
    o.push(this.runStep);
    this.house.data.io(o);
    return true;
  }

  private takeObject(len: number): XioObject | null {
    const o = this.house.ctx.pool.take(this.house.brick, len);
    if (o !== null || this.isReserveUsed) return o;
    this.isReserveUsed = true;
    return this.reserve;
  }

  private fill(o: XioObject, first: number, end: number): void {
    const { owners } = this;
    for (let at = first; at < end;) {
      const v = owners[at]!;
      let to = at + 1;
      while (to < end && owners[to] === v) to++;
      const offset = (at - firstSector(v)) * SECTOR_BYTES;
      this.memory.copyOut(v, offset, (to - at) * SECTOR_BYTES, o.buf + (at - first) * SECTOR_BYTES);
      at = to;
    }
  }

  private runDone(o: XioObject): void {
    const state = stateOf(o, this.house.ctx.slot);
    const region = state.region!;
    state.region = null;
    this.writeUs.add(this.house.clock.nowUs - state.enteredUs);
    if (o.err < 0) region.err = o.err;
    if (o !== this.reserve) this.house.ctx.pool.free(o);
    else {
      o.unwind();
      this.isReserveUsed = false;
    }
    region.underWay--;
    this.runsUnderWay--;
    this.house.plug();
    if (region.underWay > 0) return;
    if (region.err !== 0 && region === this.stalled) this.stalled = null;
    if (region.err !== 0 || region.cursor === REGION_SECTORS) this.regionDone(region);
  }

  private regionDone(region: Region): void {
    this.regionsUnderWay--;
    region.isWriting = false;
    if (region.err !== 0) return this.regionFailed(region);
    this.retryMs = WRITEBACK_RETRY_MS;
    crashPoint('logger.after-writeback');
    let isMoreDurable = false;
    region.isQueued = true; // so that it does not vanish with its last version
    for (let v = region.newest; v !== null;) {
      const { older } = v;
      if (v.isCollected) this.forget(v);
      else if (v.isDurable) isMoreDurable = true;
      v = older;
    }
    region.isQueued = false;
    if (isMoreDurable) this.elevator.push(region);
    else this.memory.dropIfEmpty(region);
  }

  private forget(v: Version): void {
    if (this.faults.publishOverGaps) v.slot!.skipTo(v);
    else v.slot!.writtenBack(v);
    this.memory.remove(v);
    this.counts.versions.n++;
  }

  /** Nothing is forgotten; the device is tried again after a while (transaction-log.md 2.2 [OURS], bricks.md 7). */
  private regionFailed(region: Region): void {
    for (let v = region.newest; v !== null; v = v.older) v.isCollected = false;
    this.elevator.push(region);
    if (this.err !== 0) return;
    this.err = region.err;
    this.house.ctx.log.error(
      {
        err: errnoName(region.err),
        retryMs: this.retryMs,
        hint: 'Look at the data device; nothing is lost, the log has it.',
      },
      'writing back failed: writeback stops, reads are served',
    );
    this.house.clock.after(this.retryMs, null, this.retry);
    this.retryMs = Math.min(2 * this.retryMs, WRITEBACK_RETRY_MS_MAX);
    this.stateChanged();
  }

  /** Tries the device again; a device that lost data cannot be tried again. */
  tryNow(): void {
    if (this.err === 0 || this.isLost) return;
    this.err = 0;
    this.stateChanged();
    this.house.plug();
  }

  private readonly retry = (): void => this.tryNow();
}
