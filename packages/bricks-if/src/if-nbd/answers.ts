import { EIO, type Arena, type XioObject } from '@mars/brick-core';
import { describeExtents } from '../nbd/extents.js';
import { ALLOCATION_ID } from '../nbd/handshake.js';
import {
  CHUNK_BYTES,
  CHUNK_DONE,
  CMD_BLOCK_STATUS,
  CMD_READ,
  DATA_CHUNK_BYTES,
  DESCRIPTOR_BYTES,
  ERROR_CHUNK_BYTES,
  ERROR_OFFSET_CHUNK_BYTES,
  SIMPLE_REPLY_BYTES,
  STATUS_CHUNK_BYTES,
  nbdError,
} from '../nbd/protocol.js';
import type { NbdRequest } from '../nbd/transmission.js';
import type { LongRequest, Pending } from './pending.js';
import type { Replies } from './replies.js';
import {
  putData,
  putDescriptor,
  putError,
  putErrorOffset,
  putNone,
  putSimple,
  putStatus,
  type Cookie,
} from './reply-headers.js';

/** Turns answers of the brick below into replies. Replies with payload keep the object, all others free it at once. */
export class Answers {
  private readonly view: DataView;

  /** @param structured READ and BLOCK_STATUS are answered in chunks; other commands never are */
  constructor(
    mem: Arena,
    private readonly replies: Replies,
    private readonly structured: boolean,
    private readonly free: (o: XioObject) => void,
  ) {
    this.view = mem.view;
  }

  /** A request that never became an object. `error`: the protocol's number. */
  atOnce(r: NbdRequest, error: number): void {
    this.withoutPayload(r, r.type, error);
  }

  /** BLOCK_STATUS of a provider that cannot tell: all of it counts as allocated. */
  allAllocated(r: NbdRequest): void {
    const at = this.replies.header(STATUS_CHUNK_BYTES + DESCRIPTOR_BYTES);
    putStatus(this.view, at, r, ALLOCATION_ID, DESCRIPTOR_BYTES);
    putDescriptor(this.view, at + STATUS_CHUNK_BYTES, r.length, 0);
  }

  /** An answered request. @returns the protocol's error number that the client sees */
  answer(o: XioObject, a: Pending): number {
    if (a.type === CMD_READ) return this.read(o, a);
    if (a.type === CMD_BLOCK_STATUS && o.err === 0) return this.status(o, a);
    const error = nbdError(o.err);
    this.withoutPayload(a, a.type, error);
    this.free(o);
    return error;
  }

  /**
   * An answered piece of a long request; `l.pieces` does not count it any more.
   * @returns the protocol's error number, or -1: a reply that has begun cannot be finished, so the connection must end
   */
  answerPiece(o: XioObject, a: Pending, l: LongRequest): number {
    const isLast = l.pieces === 0 && l.rest === 0;
    if (l.type === CMD_READ) return this.structured ? this.chunk(o, a, isLast) : this.inOrder(o, a, l);
    if (o.err < 0 && l.err === 0) l.err = o.err;
    this.free(o);
    if (isLast) this.withoutPayload(l, l.type, nbdError(l.err));
    return isLast ? nbdError(l.err) : 0;
  }

  private withoutPayload(c: Cookie, type: number, error: number): void {
    if (!this.structured || (type !== CMD_READ && type !== CMD_BLOCK_STATUS)) {
      putSimple(this.view, this.replies.header(SIMPLE_REPLY_BYTES), c, error);
    } else if (error !== 0) {
      putError(this.view, this.replies.header(ERROR_CHUNK_BYTES), c, error);
    } else putNone(this.view, this.replies.header(CHUNK_BYTES), c);
  }

  private read(o: XioObject, a: Pending): number {
    const error = readError(o, a);
    if (error !== 0) {
      this.withoutPayload(a, CMD_READ, error);
      this.free(o);
    } else if (this.structured) this.data(o, a, CHUNK_DONE);
    else {
      const at = o.buf - SIMPLE_REPLY_BYTES;
      putSimple(this.view, at, a, 0);
      this.replies.payload(o, at, SIMPLE_REPLY_BYTES + o.len);
    }
    return error;
  }

  private data(o: XioObject, a: Pending, flags: number): void {
    const at = o.buf - DATA_CHUNK_BYTES;
    putData(this.view, at, a, flags, o, o.len);
    this.replies.payload(o, at, DATA_CHUNK_BYTES + o.len);
  }

  private chunk(o: XioObject, a: Pending, isLast: boolean): number {
    const error = readError(o, a);
    const flags = isLast ? CHUNK_DONE : 0;
    if (error === 0) this.data(o, a, flags);
    else {
      putErrorOffset(this.view, this.replies.header(ERROR_OFFSET_CHUNK_BYTES), a, flags, error, o);
      this.free(o);
    }
    return error;
  }

  /** One piece of a long READ with simple replies: one header, then all data in order; no other reply may come between. */
  private inOrder(o: XioObject, a: Pending, l: LongRequest): number {
    const error = readError(o, a);
    if (error === 0) {
      const header = l.isHeaderSent ? 0 : SIMPLE_REPLY_BYTES;
      if (header > 0) putSimple(this.view, o.buf - header, a, 0);
      l.isHeaderSent = true;
      this.replies.payload(o, o.buf - header, header + o.len);
      return 0;
    }
    this.free(o);
    l.rest = 0;
    if (l.isHeaderSent) return -1;
    this.withoutPayload(a, CMD_READ, error);
    return error;
  }

  private status(o: XioObject, a: Pending): number {
    let bytes = describeExtents(this.view, o.buf, o.len, a.len, a.descriptors);
    if (bytes === 0) {
      putDescriptor(this.view, o.buf, a.len, 0);
      bytes = DESCRIPTOR_BYTES;
    }
    const at = o.buf - STATUS_CHUNK_BYTES;
    putStatus(this.view, at, a, ALLOCATION_ID, bytes);
    this.replies.payload(o, at, STATUS_CHUNK_BYTES + bytes);
    return 0;
  }
}

/** A short read can only mean that the provider shrank under us: the rest does not exist. */
function readError(o: XioObject, a: Pending): number {
  return nbdError(o.err === 0 && o.len !== a.len ? -EIO : o.err);
}
