import { F_UPTODATE, RequestQueue, type Completer, type Counter, type XioObject } from '@mars/brick-core';
import type { LoggerFaults } from './faults.js';
import type { LoggerHouse } from './house.js';
import { READ_RETRY_MS, REGION_BYTES, SECTOR_BYTES } from './limits.js';
import type { MemoryBuffer, Version } from './memory-buffer.js';
import { Mix, newCoverage, stateOf } from './request-state.js';

/**
 * Reads. What memory holds is copied when the read comes, because it may be written back and forgotten before the device answers;
 * what is left comes from the device and is overlaid at completion, sector by sector (INV-9).
 *
 * ```
 *   all in memory      copy, answer
 *   nothing            pass on
 *   some               memory → side block;  device → request;  side block → request
 * ```
 * Source: transaction-log.md 2.5; data-path.md 6 ("take the copy at submit")
 */
export class Reader {
  /** The device lost data that it had not flushed: what comes from there may be stale. */
  deviceErr = 0;
  private readonly scratch = newCoverage();
  private readonly waiting = new RequestQueue();
  private isTimerArmed = false;
  private readonly mixStep: Completer;
  private readonly counts: Record<'reads' | 'memory' | 'mixed', Counter>;

  constructor(
    private readonly house: LoggerHouse,
    private readonly memory: MemoryBuffer,
    private readonly faults: LoggerFaults,
  ) {
    this.mixStep = house.completer((o) => this.mixDone(o));
    const { ctx } = house;
    this.counts = {
      reads: ctx.counter('reads'),
      memory: ctx.counter('reads_from_memory'),
      mixed: ctx.counter('reads_mixed'),
    };
  }

  get isQuiet(): boolean {
    return this.waiting.length === 0;
  }

  enter(o: XioObject): void {
    this.counts.reads.n++;
    if (this.waiting.length > 0 || !this.start(o)) this.wait(o);
  }

  /** Reads that found no block to copy to: by now there may be one, or what they need from memory was written back. */
  admit(): void {
    for (let o = this.waiting.peek(); o !== null && this.start(o); o = this.waiting.peek()) this.waiting.shift();
  }

  /** @returns false when there is no memory for it now */
  private start(o: XioObject): boolean {
    const found = this.memory.isEmpty || this.faults.readsIgnoreMemory ? 0 : this.findCovered(o, this.scratch);
    if (found === o.len / SECTOR_BYTES && found > 0) this.serve(o);
    else if (this.deviceErr !== 0) this.house.ctx.loop.finish(o, this.deviceErr);
    else if (found === 0) this.house.data.io(o);
    else return this.mix(o);
    return true;
  }

  private wait(o: XioObject): void {
    this.waiting.push(o);
    if (!this.isTimerArmed) this.house.clock.after(READ_RETRY_MS, null, this.lookAgain);
    this.isTimerArmed = true;
  }

  private readonly lookAgain = (): void => {
    this.isTimerArmed = false;
    this.admit();
    if (this.waiting.length === 0) return;
    this.isTimerArmed = true;
    this.house.clock.after(READ_RETRY_MS, null, this.lookAgain);
  };

  private serve(o: XioObject): void {
    this.counts.memory.n++;
    this.copyCovered(o, o.buf, this.scratch);
    o.flags |= F_UPTODATE;
    this.house.ctx.loop.finish(o, 0);
  }

  private mix(o: XioObject): boolean {
    const block = this.house.ctx.mem.alloc(o.len);
    if (block < 0) return false;
    const mix = (stateOf(o, this.house.ctx.slot).mix ??= new Mix());
    mix.block = block;
    this.counts.mixed.n++;
    this.copyCovered(o, block, mix.covered);
    o.push(this.mixStep);
    this.house.data.io(o);
    return true;
  }

  private mixDone(o: XioObject): void {
    const mix = stateOf(o, this.house.ctx.slot).mix!;
    if (o.err >= 0) this.overlay(o, mix);
    this.house.ctx.mem.release(mix.block);
    mix.block = -1;
    o.done(o.err);
  }

  private overlay(o: XioObject, { block, covered }: Mix): void {
    const { mem } = this.house.ctx;
    const sectors = o.len / SECTOR_BYTES;
    for (let from = 0; from < sectors;) {
      if (!isSet(covered, from)) from++;
      else {
        let to = from + 1;
        while (to < sectors && isSet(covered, to)) to++;
        mem.copy(o.buf + from * SECTOR_BYTES, block + from * SECTOR_BYTES, (to - from) * SECTOR_BYTES);
        from = to;
      }
    }
  }

  /** How many sectors of the request memory holds. */
  private findCovered(o: XioObject, covered: Int32Array): number {
    covered.fill(0);
    let found = 0;
    for (let at = 0; at < o.len; at += this.inRegion(o, at)) {
      const region = this.memory.find(o.pos + at);
      if (region === null) continue;
      const end = at + this.inRegion(o, at);
      for (let v = region.newest; v !== null; v = v.older) found += mark(o, v, at, end, covered);
    }
    return found;
  }

  /** Newest first: a sector that is there already is newer. */
  private copyCovered(o: XioObject, to: number, covered: Int32Array): void {
    covered.fill(0);
    for (let at = 0; at < o.len; at += this.inRegion(o, at)) {
      const region = this.memory.find(o.pos + at);
      if (region === null) continue;
      const end = at + this.inRegion(o, at);
      for (let v = region.newest; v !== null; v = v.older) this.copyVersion(o, v, at, end, to, covered);
    }
  }

  private copyVersion(o: XioObject, v: Version, at: number, end: number, to: number, covered: Int32Array): void {
    const offset = v.pos - o.pos;
    const first = Math.max(at, offset) / SECTOR_BYTES;
    const last = Math.min(end, offset + v.len) / SECTOR_BYTES;
    for (let from = first; from < last;) {
      if (isSet(covered, from)) from++;
      else {
        let next = from;
        for (; next < last && !isSet(covered, next); next++) set(covered, next);
        const start = from * SECTOR_BYTES;
        this.memory.copyOut(v, start - offset, (next - from) * SECTOR_BYTES, to + start);
        from = next;
      }
    }
  }

  /** Bytes from there to the end of the region or of the request. */
  private inRegion(o: XioObject, at: number): number {
    return Math.min(o.len - at, REGION_BYTES - ((o.pos + at) & (REGION_BYTES - 1)));
  }
}

function mark(o: XioObject, v: Version, at: number, end: number, covered: Int32Array): number {
  const offset = v.pos - o.pos;
  const last = Math.min(end, offset + v.len) / SECTOR_BYTES;
  let fresh = 0;
  for (let sector = Math.max(at, offset) / SECTOR_BYTES; sector < last; sector++) {
    if (isSet(covered, sector)) continue;
    set(covered, sector);
    fresh++;
  }
  return fresh;
}

function isSet(bits: Int32Array, at: number): boolean {
  return (bits[at >> 5]! & (1 << (at & 31))) !== 0;
}

function set(bits: Int32Array, at: number): void {
  bits[at >> 5]! |= 1 << (at & 31);
}
