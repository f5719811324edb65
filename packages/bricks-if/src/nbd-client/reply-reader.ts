import {
  EXTENTS_PAYLOAD_BYTES,
  EXTENT_BYTES,
  EXTENT_HOLE,
  EXTENT_ZERO,
  F_UPTODATE,
  OP_EXTENTS,
  OP_READ,
  type Arena,
} from '@mars/brick-core';
import {
  CHUNK_BLOCK_STATUS,
  CHUNK_BYTES,
  CHUNK_DONE,
  CHUNK_NONE,
  CHUNK_OFFSET_DATA,
  CHUNK_OFFSET_HOLE,
  DATA_CHUNK_BYTES,
  DESCRIPTOR_BYTES,
  ERROR_CHUNK_BYTES,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STATE_HOLE,
  STATE_ZERO,
  STATUS_CHUNK_BYTES,
  STRUCTURED_REPLY_MAGIC,
  errnoOfNbd,
} from '../nbd/protocol.js';
import type { StreamBuffer } from '../if-nbd/stream-buffer.js';
import type { Call } from './call.js';
import type { ExportTerms } from './client-handshake.js';
import { MAX_ERROR_TEXT_BYTES, MAX_STATUS_DESCRIPTORS } from './limits.js';

/** What the reader needs from its connection. */
export interface ReplySink {
  /** The request of a cookie that is with the server now; null = there is none. */
  find(cookie0: number, cookie1: number): Call | null;
  /** The whole reply has come; `call.err` says how it ended. */
  replied(call: Call): void;
}

const NONE = 0;
/** Into the payload of a READ. */
const DATA = 1;
/** Descriptors of BLOCK_STATUS. */
const STATUS = 2;
/** Words of the server. */
const SKIP = 3;

const ERROR_BIT = 1 << 15;
const HOLE_CHUNK_BYTES = CHUNK_BYTES + 12;
const U32 = 2 ** 32;

/**
 * Understands the replies of one connection. The server is not trusted: whatever does not belong to a request that is under
 * way, or does not fit it, ends the connection ({@link error}), and nothing is written outside the payload of that request.
 *
 * Source: doc/proto.md of the NetworkBlockDevice project, "Simple reply message", "Structured reply chunk message"
 */
export class ReplyReader {
  /** What was wrong; empty while all is well. */
  error = '';
  /** The part of the current reply that is not here yet, bytes. */
  left = 0;
  /** Where the next byte of a DATA body goes, arena offset. */
  at = 0;
  private body = NONE;
  private call: Call | null = null;
  private isLast = false;
  /** Where the next descriptor begins, a position of the export. */
  private statusPos = 0.5;

  constructor(
    private readonly mem: Arena,
    private readonly stream: StreamBuffer,
    private readonly terms: ExportTerms,
    private readonly sink: ReplySink,
  ) {}

  /** The rest of the body may be received straight into place at {@link at}. */
  get wantsData(): boolean {
    return this.body === DATA && this.left > 0;
  }

  /** So many bytes of the body were received into place. */
  tookData(bytes: number): void {
    this.at += bytes;
    this.left -= bytes;
    if (this.left === 0) this.bodyEnds();
  }

  /** Takes from the stream whatever is complete. */
  run(): void {
    while (this.error === '' && (this.body === NONE ? this.header() : this.takeBody()));
  }

  // ------------------------------------------------------------------------------------------------------------ headers

  private header(): boolean {
    const { available, at } = this.stream;
    if (available < SIMPLE_REPLY_BYTES) return false;
    const magic = this.mem.view.getUint32(at);
    if (magic === SIMPLE_REPLY_MAGIC) return this.simple(at);
    if (magic === STRUCTURED_REPLY_MAGIC && this.terms.structured)
      return available >= CHUNK_BYTES && this.chunk(at, available);
    return this.wrong('something that is no reply');
  }

  private simple(at: number): boolean {
    const { view } = this.mem;
    const call = this.sink.find(view.getInt32(at + 8), view.getInt32(at + 12));
    if (call === null || call.isReplied) return this.wrong('a reply to nothing');
    this.stream.take(SIMPLE_REPLY_BYTES);
    call.err = errnoOfNbd(view.getUint32(at + 4));
    if (call.err !== 0 || call.o.op > OP_READ) {
      if (call.err === 0 && call.o.op === OP_EXTENTS) return this.wrong('no extents');
      return this.finish(call);
    }
    if (this.terms.structured) return this.wrong('a simple reply to a read, after structured ones were agreed');
    call.pieces.add(0, call.o.len);
    return this.begin(DATA, call, call.o.len, true, call.o.buf);
  }

  private chunk(at: number, available: number): boolean {
    const { view } = this.mem;
    const type = view.getUint16(at + 6);
    const length = view.getUint32(at + 16);
    const headBytes = headOf(type);
    if (headBytes < 0) return this.wrong(`a chunk of unknown type ${type}`);
    const bodyBytes = length - (headBytes - CHUNK_BYTES);
    if (bodyBytes < 0) return this.wrong('a chunk that is too short');
    if (available < headBytes) return false;
    const call = this.sink.find(view.getInt32(at + 8), view.getInt32(at + 12));
    if (call === null || call.isReplied) return this.wrong('a chunk of a reply to nothing');
    const isLast = (view.getUint16(at + 4) & CHUNK_DONE) !== 0;
    this.stream.take(headBytes);
    if (type & ERROR_BIT) return this.errorChunk(call, view.getUint32(at + CHUNK_BYTES), bodyBytes, isLast);
    if (type === CHUNK_NONE)
      return bodyBytes === 0 && isLast ? this.begin(SKIP, call, 0, true, 0) : this.wrong('an odd empty chunk');
    if (type === CHUNK_BLOCK_STATUS) return this.statusChunk(call, view.getUint32(at + CHUNK_BYTES), bodyBytes, isLast);
    const start = view.getUint32(at + CHUNK_BYTES) * U32 + view.getUint32(at + CHUNK_BYTES + 4) - call.o.pos;
    if (type === CHUNK_OFFSET_DATA) return this.dataChunk(call, start, bodyBytes, isLast);
    return this.holeChunk(call, start, view.getUint32(at + CHUNK_BYTES + 8), bodyBytes, isLast);
  }

  private dataChunk(call: Call, start: number, len: number, isLast: boolean): boolean {
    if (len === 0 || !this.isNew(call, start, len)) return this.wrong('data that was not asked for');
    return this.begin(DATA, call, len, isLast, call.o.buf + start);
  }

  private holeChunk(call: Call, start: number, len: number, bodyBytes: number, isLast: boolean): boolean {
    if (bodyBytes !== 0 || len === 0 || !this.isNew(call, start, len))
      return this.wrong('a hole that was not asked for');
    this.mem.fill(call.o.buf + start, len, 0);
    return this.begin(SKIP, call, 0, isLast, 0);
  }

  private isNew({ o, pieces }: Call, start: number, len: number): boolean {
    return o.op === OP_READ && start >= 0 && start + len <= o.len && pieces.add(start, len);
  }

  private statusChunk(call: Call, contextId: number, bodyBytes: number, isLast: boolean): boolean {
    const isFit = bodyBytes > 0 && bodyBytes % DESCRIPTOR_BYTES === 0;
    const isOurs = call.o.op === OP_EXTENTS && contextId === this.terms.contextId && call.recordBytes === 0;
    if (!isFit || !isOurs || bodyBytes > MAX_STATUS_DESCRIPTORS * DESCRIPTOR_BYTES)
      return this.wrong('extents that were not asked for');
    this.statusPos = call.o.pos;
    return this.begin(STATUS, call, bodyBytes, isLast, 0);
  }

  private errorChunk(call: Call, error: number, bodyBytes: number, isLast: boolean): boolean {
    if (error === 0 || bodyBytes > MAX_ERROR_TEXT_BYTES + 8) return this.wrong('an error that is none');
    if (call.err === 0) call.err = errnoOfNbd(error);
    return this.begin(SKIP, call, bodyBytes, isLast, 0);
  }

  // -------------------------------------------------------------------------------------------------------------- bodies

  private begin(body: number, call: Call, bytes: number, isLast: boolean, at: number): boolean {
    this.body = body;
    this.call = call;
    this.left = bytes;
    this.isLast = isLast;
    this.at = at;
    return bytes > 0 || this.bodyEnds();
  }

  private takeBody(): boolean {
    const { stream } = this;
    let n = Math.min(this.left, stream.available);
    if (this.body === STATUS) n -= n % DESCRIPTOR_BYTES;
    if (n === 0) return false;
    if (this.body === DATA) this.mem.copy(this.at, stream.at, n);
    else if (this.body === STATUS && !this.descriptors(stream.at, n)) return false;
    stream.take(n);
    this.at += n;
    this.left -= n;
    return this.left > 0 || this.bodyEnds();
  }

  private bodyEnds(): boolean {
    const call = this.call!;
    this.body = NONE;
    this.call = null;
    return this.isLast ? this.finish(call) : true;
  }

  /** Records for the consumer, clipped to what it asked about; what does not fit is left out: it asks again from there. */
  private descriptors(at: number, bytes: number): boolean {
    const call = this.call!;
    const { o } = call;
    const { view } = this.mem;
    for (let from = at; from < at + bytes; from += DESCRIPTOR_BYTES) {
      const len = Math.min(view.getUint32(from), o.pos + o.len - this.statusPos);
      if (view.getUint32(from) === 0) return this.wrong('an empty extent');
      if (len <= 0 || call.recordBytes + EXTENT_BYTES > EXTENTS_PAYLOAD_BYTES) continue;
      const state = view.getUint32(from + 4);
      const to = o.buf + call.recordBytes;
      view.setFloat64(to, this.statusPos, true);
      view.setFloat64(to + 8, len, true);
      view.setUint32(to + 16, (state & STATE_HOLE ? EXTENT_HOLE : 0) | (state & STATE_ZERO ? EXTENT_ZERO : 0), true);
      view.setUint32(to + 20, 0, true);
      call.recordBytes += EXTENT_BYTES;
      this.statusPos += len;
    }
    return true;
  }

  private finish(call: Call): boolean {
    const { o } = call;
    if (call.err === 0 && o.op === OP_READ) {
      if (call.pieces.bytes !== o.len) return this.wrong('a part of the data only');
      o.flags |= F_UPTODATE;
    }
    if (call.err === 0 && o.op === OP_EXTENTS) {
      if (call.recordBytes === 0) return this.wrong('no extents');
      o.len = call.recordBytes;
    }
    call.isReplied = true;
    this.sink.replied(call);
    return true;
  }

  private wrong(what: string): false {
    this.error = `the server sent ${what}`;
    return false;
  }
}

/** Bytes of a chunk up to its body; -1 = we do not know this type. Errors of any type begin alike. */
function headOf(type: number): number {
  if (type & ERROR_BIT) return ERROR_CHUNK_BYTES;
  if (type === CHUNK_NONE) return CHUNK_BYTES;
  if (type === CHUNK_OFFSET_DATA) return DATA_CHUNK_BYTES;
  if (type === CHUNK_OFFSET_HOLE) return HOLE_CHUNK_BYTES;
  return type === CHUNK_BLOCK_STATUS ? STATUS_CHUNK_BYTES : -1;
}
