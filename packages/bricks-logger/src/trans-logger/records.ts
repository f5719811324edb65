import type { Arena } from '@mars/brick-core';
import { RecordEncoder, newRecordMeta, recordRoomBytes, type EncoderOptions } from '../log-format/encode.js';
import { CLASSIC_MAX_PAYLOAD_LEN, HEADER_BYTES, OVERHEAD_BYTES, nextSeq, type LogArea } from '../log-format/layout.js';
import type { Block, BlockStore } from './blocks.js';
import type { LogInput } from './log-input.js';
import type { Version } from './memory-buffer.js';
import type { Stamp } from './stamps.js';

/**
 * Encodes records into blocks and keeps these in log order until they are written. A block belongs to one log; only the last
 * one, the open block, gets more records.
 */
export class RecordQueue {
  /** The oldest block with something that is not written, or the open one. */
  head: Block | null = null;
  open: Block | null = null;
  private encoder!: RecordEncoder;
  private readonly area: LogArea;
  private readonly meta = newRecordMeta();
  private readonly lastStamp: Stamp = { stampSec: 0, stampNsec: 0 };
  private isCompressing = false;
  /** Where the plain data of compressed records stands. */
  private plain: Block | null = null;

  constructor(
    private readonly mem: Arena,
    private readonly blocks: BlockStore,
  ) {
    this.area = { bytes: mem.u8, view: mem.view };
  }

  start(options: EncoderOptions): void {
    this.encoder = new RecordEncoder(options);
    this.isCompressing = (options.compression ?? 'none') !== 'none';
  }

  close(): void {
    this.drop();
    this.closePlain();
  }

  /** Whether a record of `slot` with a payload of that length finds memory now; makes room for it. */
  hasRoom(slot: LogInput, len: number): boolean {
    return this.hasBlock(slot, len) && (!this.isCompressing || this.hasPlainRoom(len));
  }

  /** The same for a version whose data is in memory already. */
  hasBlock(slot: LogInput, len: number): boolean {
    if (this.open !== null && this.open.room >= recordRoomBytes(len)) return true;
    const block = this.blocks.take();
    if (block === null) return false;
    block.slot = slot;
    this.enqueue(block);
    return true;
  }

  /**
   * Encodes the next record of `slot`; the version's data stands in memory from now on.
   * @param from  arena offset of the payload; -1 = zeroes
   * @returns bytes of the record
   */
  add(slot: LogInput, v: Version, from: number, stamp: Stamp): number {
    const block = this.open!;
    const at = block.buf + block.used;
    this.lastStamp.stampSec = stamp.stampSec;
    this.lastStamp.stampNsec = stamp.stampNsec;
    const total = this.encode(slot, v, from);
    if (from >= 0) this.keepData(v, block, at, total, from);
    return total;
  }

  /** Encodes a version once more, for another log; its data stays where it is. @returns bytes of the record */
  addAgain(slot: LogInput, v: Version): number {
    return this.encode(slot, v, v.data);
  }

  /** The open block gets no more records: the next ones belong to another log. */
  closeOpen(): void {
    this.open = null;
  }

  /** Blocks that are written and will get no more records leave the queue. */
  trim(): void {
    for (let block = this.head; block !== null && block.sent === block.used && block !== this.open; block = this.head) {
      this.head = block.next;
      block.next = null;
      this.blocks.release(block);
    }
    // An empty place is better used by a fresh group than kept while nobody writes.
    const { open } = this;
    if (open === null || open !== this.head || open.sent < open.used) return;
    if (open.room >= recordRoomBytes(CLASSIC_MAX_PAYLOAD_LEN)) return;
    this.head = this.open = null;
    this.blocks.release(open);
  }

  /** Forgets whatever is not written. */
  drop(): void {
    for (let block = this.head; block !== null;) {
      const { next } = block;
      block.next = null;
      this.blocks.release(block);
      block = next;
    }
    this.head = this.open = null;
  }

  private encode(slot: LogInput, v: Version, from: number): number {
    const block = this.open!;
    const at = block.buf + block.used;
    const { meta } = this;
    meta.stampSec = this.lastStamp.stampSec;
    meta.stampNsec = this.lastStamp.stampNsec;
    meta.pos = v.pos;
    meta.seq = slot.seq;
    slot.seq = nextSeq(slot.seq);
    if (from < 0) this.mem.fill(at + HEADER_BYTES, v.len, 0);
    const source = from < 0 ? at + HEADER_BYTES : from;
    const total = this.encoder.encode(this.area, at, block.buf + block.capacity, meta, this.area, source, v.len);
    block.used += total;
    return total;
  }

  /** The payload in the record serves as memory, unless it was compressed. */
  private keepData(v: Version, block: Block, at: number, total: number, from: number): void {
    if (total === OVERHEAD_BYTES + v.len) {
      v.block = block;
      v.data = at + HEADER_BYTES;
    } else {
      const plain = this.plain!;
      v.block = plain;
      v.data = plain.buf + plain.used;
      this.mem.copy(v.data, from, v.len);
      plain.used += v.len;
    }
    v.block.refs++;
  }

  private hasPlainRoom(len: number): boolean {
    if (this.plain !== null && this.plain.room >= len) return true;
    this.closePlain();
    this.plain = this.blocks.take();
    return this.plain !== null;
  }

  private closePlain(): void {
    if (this.plain !== null) this.blocks.release(this.plain);
    this.plain = null;
  }

  private enqueue(block: Block): void {
    if (this.head === null) this.head = block;
    else {
      let tail = this.open ?? this.head;
      while (tail.next !== null) tail = tail.next;
      tail.next = block;
    }
    this.open = block;
  }
}
