import { ENOSPC, EINVAL, OP_READ, OP_WRITE, crashPoint } from '@mars/brick-core';
import type { Completer, XioInput, XioObject } from '@mars/brick-core';
import type { DecodedRecord } from '../../log-format/decode.js';
import { InFlightWrites, type DeviceRange } from './in-flight-writes.js';
import { MERGE_BYTES } from './limits.js';
import type { ReplayCounts, ReplayHost } from './types.js';

/** One write in the making: records that follow each other on the device, copied together. */
class Stage implements DeviceRange {
  pos = 0.5;
  len = 0;
}

/**
 * Puts records on the data device, in log order wherever they overlap: a write waits until no write to the same bytes is
 * under way (INV-8, INV-12), and everything behind it waits, too. Writes that do not overlap may overtake each other.
 *
 * Records that are no whole blocks of the device (odd lengths, or 512 bytes on 4096) are put into the blocks around them while nothing
 * else is under way.
 */
export class Applier {
  /** 0, or the negative errno of the first write that failed; nothing is started from then on. */
  err = 0;
  private data!: XioInput;
  private writes!: InFlightWrites;
  private readonly stage = new Stage();
  private block = -1;
  private isPatching = false;
  private hasWaited = false;
  private readonly writeStep: Completer;
  private readonly patchStep: Completer;

  constructor(
    private readonly host: ReplayHost,
    private readonly counts: ReplayCounts,
    private readonly progressed: () => void,
  ) {
    this.writeStep = host.completer((o) => this.written(o));
    this.patchStep = host.completer((o) => this.patched(o));
  }

  /** @returns false when there is no memory now */
  open(data: XioInput, parallel: number): boolean {
    const { mem, pool } = this.host.ctx;
    this.block = mem.alloc(MERGE_BYTES);
    if (this.block < 0) return false;
    // Bricks below may need objects of the same pool for every write of ours.
    const capacity = Math.max(1, Math.min(parallel, pool.size >> 1));
    if (this.writes?.capacity !== capacity) this.writes = new InFlightWrites(capacity, pool.size);
    this.data = data;
    this.err = 0;
    this.stage.len = 0;
    this.isPatching = this.hasWaited = false;
    return true;
  }

  close(): void {
    if (this.block >= 0) this.host.ctx.mem.release(this.block);
    this.block = -1;
  }

  /** Nothing under way: for close, and for the end after a failed write. */
  get isQuiet(): boolean {
    return this.writes.count === 0 && !this.isPatching;
  }

  /** Every record that was placed is on the device (not yet durable). */
  get isDrained(): boolean {
    return this.isQuiet && this.stage.len === 0;
  }

  /** 0, or the negative errno with which a record that does not fit the device is refused. Source: transaction-log.md 7.2. */
  verdict(r: DecodedRecord): number {
    if (r.pos < 0) return -EINVAL;
    return r.pos + r.payloadLen > this.data.cached.size ? -ENOSPC : 0;
  }

  /** Is it made of whole sectors, as every known writer makes them? */
  static isWhole(r: DecodedRecord): boolean {
    return ((r.pos | r.payloadLen) & 511) === 0;
  }

  /** Takes the payload of a record over. @returns false when it has to wait: `progressed` tells when to try again */
  place(r: DecodedRecord): boolean {
    if (!this.continuesStage(r)) {
      if (this.stage.len > 0 && !this.issue()) return false;
      this.stage.pos = r.pos;
      this.stage.len = 0;
    }
    this.copyPayload(r, this.block + this.stage.len);
    this.stage.len += r.payloadLen;
    return true;
  }

  /** Starts the write in the making, if it may start now. @returns whether there is none left */
  issue(): boolean {
    const { stage } = this;
    if (stage.len === 0) return true;
    if (this.err !== 0 || this.isPatching) return false;
    if (this.isMisaligned(stage)) {
      this.patch();
      return false;
    }
    if (this.writes.count === this.writes.capacity) return false;
    if (this.writes.overlaps(stage)) return this.waitForOverlap();
    const o = this.host.ctx.pool.take(this.host.brick, stage.len);
    if (o === null) return false;
    this.hasWaited = false;
    o.op = OP_WRITE;
    o.pos = stage.pos;
    o.len = stage.len;
    this.host.ctx.mem.copy(o.buf, this.block, stage.len);
    this.writes.enter(o);
    this.counts.writes++;
    this.counts.dataBytes += stage.len;
    stage.len = 0;
    crashPoint('replay.before-write');
    o.push(this.writeStep);
    this.data.io(o);
    return true;
  }

  private continuesStage(r: DecodedRecord): boolean {
    const { stage } = this;
    if (stage.len === 0 || r.pos !== stage.pos + stage.len) return false;
    const most = Math.min(MERGE_BYTES, this.data.cached.maxLen);
    return stage.len + r.payloadLen <= most && !this.isMisaligned(stage) && this.isAligned(r);
  }

  private isAligned(r: DecodedRecord): boolean {
    return ((r.pos | r.payloadLen) & (this.data.cached.align - 1)) === 0;
  }

  private isMisaligned(range: DeviceRange): boolean {
    return ((range.pos | range.len) & (this.data.cached.align - 1)) !== 0;
  }

  private copyPayload(r: DecodedRecord, to: number): void {
    const { mem } = this.host.ctx;
    if (r.payload === mem.u8) return mem.copy(to, r.payloadAt, r.payloadLen);
    // Expanded payloads stand in memory of the decoder; a view per record would cost more than this loop.
    const { payload, payloadAt, payloadLen } = r;
    for (let i = 0; i < payloadLen; i++) mem.u8[to + i] = payload[payloadAt + i]!;
  }

  private waitForOverlap(): boolean {
    if (!this.hasWaited) this.counts.overlapWaits++;
    this.hasWaited = true;
    return false;
  }

  private written(o: XioObject): void {
    this.writes.leave(o);
    if (o.err !== 0 && this.err === 0) this.err = o.err;
    this.host.ctx.pool.free(o);
    this.progressed();
  }

  /** Reads the blocks around the staged range, changes it in them, and writes them back. */
  private patch(): void {
    if (this.writes.count > 0) return;
    const { stage } = this;
    const { align } = this.data.cached;
    const from = stage.pos - (stage.pos % align);
    const end = Math.ceil((stage.pos + stage.len) / align) * align;
    const o = this.host.ctx.pool.take(this.host.brick, end - from);
    if (o === null) return;
    o.op = OP_READ;
    o.pos = from;
    o.len = end - from;
    this.isPatching = true;
    o.push(this.patchStep);
    this.data.io(o);
  }

  private patched(o: XioObject): void {
    const { stage } = this;
    if (o.err === 0 && o.op === OP_READ) {
      this.host.ctx.mem.copy(o.buf + (stage.pos - o.pos), this.block, stage.len);
      this.counts.writes++;
      this.counts.dataBytes += stage.len;
      o.op = OP_WRITE;
      o.flags = 0;
      crashPoint('replay.before-write');
      return this.data.io(o);
    }
    if (o.err !== 0) this.err = o.err;
    stage.len = 0;
    this.isPatching = false;
    this.host.ctx.pool.free(o);
    this.progressed();
  }
}
