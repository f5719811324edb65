import type { XioObject } from '@mars/brick-core';
import { MAX_PIECES } from './limits.js';

/**
 * - `waiting`: in the queue of the brick, or of a connection; the server knows nothing of it
 * - `sending`: the kernel may still read header and payload, so their memory must stay, even when the reply is here already
 * - `sent`: the server has it
 */
export type CallPhase = 'waiting' | 'sending' | 'sent';

/** One request on its way to the server and back: the brick's private state of an object. */
export class Call {
  o!: XioObject;
  /** Requests are sent in this order, again too. */
  order = 0.5;
  phase: CallPhase = 'waiting';
  /** Place in the table of its connection; first half of the cookie. */
  index = -1;
  /** Second half: a reply to the former user of the place is not taken for ours. */
  serial = 0;
  /** 0 or a negative errno. */
  err = 0;
  /** The last chunk has come. */
  isReplied = false;
  /** It was with the server when a connection broke. */
  isResent = false;
  /** Changes that were answered before this request came: a flush covers those. */
  changesBefore = 0;
  /** Bytes of extent records so far (EXTENTS). */
  recordBytes = 0;
  readonly pieces = new Pieces();

  begin(o: XioObject, order: number, changesBefore: number): void {
    this.o = o;
    this.order = order;
    this.changesBefore = changesBefore;
    this.isResent = false;
    this.again();
  }

  /** Nothing of it has happened yet. */
  again(): void {
    this.phase = 'waiting';
    this.index = -1;
    this.err = this.recordBytes = 0;
    this.isReplied = false;
    this.pieces.clear();
  }
}

/** Which parts of a READ have come; each byte exactly once, or the server is not to be trusted. */
export class Pieces {
  private readonly starts = new Int32Array(MAX_PIECES);
  private readonly ends = new Int32Array(MAX_PIECES);
  private count = 0;
  bytes = 0;

  clear(): void {
    this.count = this.bytes = 0;
  }

  /** @returns false when it overlaps an earlier piece, or there are too many */
  add(start: number, len: number): boolean {
    const end = start + len;
    let touching = -1;
    for (let i = 0; i < this.count; i++) {
      if (start < this.ends[i]! && this.starts[i]! < end) return false;
      if (this.ends[i] === start) touching = i;
    }
    if (touching < 0 && this.count === MAX_PIECES) return false;
    this.bytes += len;
    if (touching >= 0) this.ends[touching] = end;
    else {
      this.starts[this.count] = start;
      this.ends[this.count++] = end;
    }
    return true;
  }
}
