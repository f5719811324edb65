import { CAP_EXTENTS, EXTENTS_PAYLOAD_BYTES, type Batcher, type XioObject } from '@mars/brick-core';
import { DRAIN_MS, PAYLOAD_MS, PIECE_BYTES, RANGE_PIECE_BYTES, RETRY_MS } from '../limits.js';
import {
  CMD_BLOCK_STATUS,
  CMD_DISC,
  CMD_FLAG_REQ_ONE,
  CMD_FLUSH,
  CMD_READ,
  CMD_WRITE,
  REQUEST_BYTES,
} from '../nbd/protocol.js';
import { NbdRequest, verdict, type Permissions } from '../nbd/transmission.js';
import { Answers } from './answers.js';
import { flagsOf } from './commands.js';
import type { NbdExport } from './export.js';
import { Issuer } from './issuer.js';
import { LongRequests, type LongRequest, type Pending } from './pending.js';
import { Replies } from './replies.js';
import type { RingSocket, SocketOwner } from './ring-socket.js';
import type { StreamBuffer } from './stream-buffer.js';

/** Descriptors of one BLOCK_STATUS reply: as many as there are records. */
const ALL_DESCRIPTORS = 0x7fffffff;

/** What the handshake agreed on. */
export interface Agreement {
  structured: boolean;
  hasContext: boolean;
}

/**
 * One client in the transmission phase: requests from the socket become objects, their answers become replies. Hot path.
 *
 * ```
 *  socket ──RECV──> stream buffer ──parse──> objects ──io──> brick below ──complete──> replies ──SENDMSG──> socket
 *                        └ large WRITE: RECV straight into the object
 * ```
 * It takes a request only while the pool, its depth and its replies have room; else it stops parsing and receiving, so the
 * client feels it in its socket. Nothing here grows with what a client sends.
 * Source: data-path.md 3, 6, 7
 */
export class Session implements SocketOwner, Batcher, Permissions {
  rank = 0;
  plugged = false;
  sizeBytes = 0.5;
  readonly flags: number;
  readonly structured: boolean;
  readonly hasContext: boolean;
  readonly chunkBytes = PIECE_BYTES;
  /** `ending`: what is under way is still answered; `dead`: nothing more is sent. */
  private state: 'open' | 'ending' | 'dead' = 'open';
  private readonly request = new NbdRequest();
  private readonly replies: Replies;
  private readonly answers: Answers;
  private readonly issuer: Issuer;
  private readonly view: DataView;
  /** The WRITE whose payload is being received, and how much of it is missing, bytes. */
  private filling: XioObject | null = null;
  private missing = 0;
  private fillingUs = 0.5;
  /** The long request whose pieces are being issued. */
  private long: LongRequest | null = null;
  private readonly longs = new LongRequests();
  /** Payload of a refused WRITE that is still to come, bytes, and the protocol's error that follows it. */
  private skipBytes = 0.5;
  private skipError = 0;
  /** Waits for objects, memory or completions: neither parses nor receives. */
  private stalled = false;
  private retryArmed = false;
  /** The last request was a large WRITE: receive only a header, so that the payload needs no copy. */
  private lean = false;
  /** The last receive filled the buffer. */
  private wasFull = false;

  /** @param headers arena block of `Replies.headerBytes(depth)`; goes back with {@link closed} */
  constructor(
    private readonly target: NbdExport,
    private readonly socket: RingSocket,
    private readonly stream: StreamBuffer,
    private readonly headers: number,
    { structured, hasContext }: Agreement,
    private readonly onClosed: () => void,
  ) {
    const { arena } = target.loop;
    this.view = arena.view;
    this.issuer = new Issuer(this, target);
    this.flags = target.flags;
    this.structured = structured;
    this.hasContext = hasContext;
    this.skipBytes = 0;
    const free = (o: XioObject): void => this.issuer.free(o);
    this.replies = new Replies(free, headers, target.depth);
    this.answers = new Answers(arena, this.replies, structured, free);
  }

  /** Begins with what the handshake left in the buffer. */
  start(): void {
    this.socket.owner = this;
    this.target.sessionOpened(this);
    this.parse();
    this.wake();
  }

  // --------------------------------------------------------------------------------------------------------------- life

  /** Takes no more requests; what is under way is answered, then the connection is closed. */
  end(): void {
    if (this.state !== 'open') return;
    this.state = 'ending';
    this.endIfIdle();
    if (this.issuer.issued === 0) this.limitFarewell();
  }

  /** From here on only the client can keep us waiting. */
  private limitFarewell(): void {
    if (this.state === 'ending') this.target.loop.after(DRAIN_MS, this, destroySession);
  }

  /** Ends a client that has begun a WRITE and does not go on. Called by the export, now and then. */
  checkPayload(nowUs: number): void {
    if (this.filling !== null && nowUs - this.fillingUs > PAYLOAD_MS * 1000) this.breakOff();
  }

  /** Closes now. */
  destroy(): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.socket.destroy();
  }

  closed(): void {
    this.state = 'dead';
    this.replies.drop();
    if (this.filling !== null) this.issuer.free(this.filling);
    this.filling = null;
    this.stream.close();
    this.target.loop.arena.release(this.headers);
    this.target.sessionClosed(this);
    this.onClosed();
  }

  /** What is under way for this client comes back to us, or to the brick below, when that is switched off. */
  onFault(error: unknown, work: unknown): void {
    this.target.onFault(error, work);
    this.destroy();
  }

  private endIfIdle(): void {
    if (this.state === 'ending' && this.issuer.issued === 0 && this.replies.isEmpty) this.destroy();
  }

  private breakOff(): false {
    this.target.stats.brokenClients.n++;
    this.destroy();
    return false;
  }

  // ------------------------------------------------------------------------------------------------------------ sockets

  received(result: number): void {
    if (this.state !== 'open') return;
    if (result < 0) return this.destroy();
    if (result === 0) return this.end();
    if (this.filling === null) this.arrived(result);
    else this.filled(result);
    if (this.replies.isEmpty) return;
    this.wake();
  }

  sent(result: number): void {
    if (!this.replies.sent(result)) this.destroy();
    if (this.stalled || this.state === 'ending' || !this.replies.isEmpty) this.wake();
  }

  endBatch(): void {
    if (this.state === 'open' && (this.stalled || !this.socket.receiving)) this.parse();
    if (this.state !== 'dead' && !this.replies.send(this.socket, this.target.ring)) this.target.ring.awaitRoom(this);
    this.endIfIdle();
  }

  private wake(): void {
    if (this.plugged) return;
    this.rank = this.target.brick.rank;
    this.target.loop.plug(this);
  }

  private arrived(bytes: number): void {
    this.stream.tail += bytes;
    this.wasFull = this.stream.tail === this.stream.capacity;
    this.parse();
  }

  private filled(bytes: number): void {
    this.missing -= bytes;
    if (this.missing === 0) this.issueFilled();
    this.parse();
  }

  private issueFilled(): void {
    const o = this.filling!;
    this.filling = null;
    this.issuer.issue(o);
  }

  private listen(): void {
    if (this.state !== 'open' || this.stalled || this.socket.receiving) return;
    if (!(this.filling === null ? this.listenForMore() : this.listenForRest())) this.target.ring.awaitRoom(this);
  }

  private listenForRest(): boolean {
    const o = this.filling!;
    return this.socket.receive(o.buf + o.len - this.missing, this.missing, true);
  }

  private listenForMore(): boolean {
    const { stream } = this;
    if (this.wasFull) stream.grow();
    this.wasFull = false;
    stream.compact();
    const isLean = this.lean && stream.tail < REQUEST_BYTES && this.skipBytes === 0;
    const end = isLean ? REQUEST_BYTES : stream.capacity;
    return this.socket.receive(stream.block + stream.tail, end - stream.tail, false);
  }

  // ------------------------------------------------------------------------------------------------------------- parsing

  private parse(): void {
    this.stalled = false;
    while (this.state === 'open' && this.step());
    this.listen();
  }

  /** One thing that can be done now. @returns false when more bytes, objects or completions are needed first */
  private step(): boolean {
    if (this.filling !== null) return false;
    if (this.skipBytes > 0) return this.skip();
    if (this.long !== null) return this.nextPiece(this.long);
    if (this.stream.available < REQUEST_BYTES) return false;
    return this.begin();
  }

  /** @param bytes of payload that the next object needs */
  private hasRoom(bytes: number): boolean {
    return (
      this.issuer.issued + this.replies.held < this.target.depth &&
      this.issuer.hasRoom(bytes) &&
      this.replies.hasRoom(this.issuer.issued + 1)
    );
  }

  private stall(): false {
    this.stalled = true;
    this.target.stats.stalls.n++;
    // Completions and sends of our own wake us; without any, only time can.
    if (this.issuer.issued === 0 && this.replies.isEmpty && !this.retryArmed) {
      this.retryArmed = true;
      this.target.loop.after(RETRY_MS, this, retrySession);
    }
    return false;
  }

  /** Called by the retry timer. */
  retry(): void {
    this.retryArmed = false;
    if (this.state === 'open') this.wake();
  }

  private begin(): boolean {
    const r = this.request;
    if (!r.decode(this.view, this.stream.at)) return this.breakOff();
    if (r.type === CMD_DISC) {
      this.end();
      return false;
    }
    if (!this.hasRoom(r.type <= CMD_WRITE ? Math.min(r.length, PIECE_BYTES) : 0)) return this.stall();
    this.sizeBytes = this.target.input.cached.size;
    const error = verdict(r, this);
    if (error !== 0) return this.refuse(error);
    if (r.type === CMD_WRITE) return this.write();
    this.lean = false;
    return this.withoutPayload();
  }

  private refuse(error: number): boolean {
    this.target.stats.errors.n++;
    this.stream.take(REQUEST_BYTES);
    if (this.request.type === CMD_WRITE && this.request.length > 0) {
      this.skipBytes = this.request.length;
      this.skipError = error;
    } else this.answers.atOnce(this.request, error);
    return true;
  }

  /** The request of the skipped payload is still in `request`: nothing else was decoded since. */
  private skip(): boolean {
    const n = Math.min(this.skipBytes, this.stream.available);
    this.skipBytes -= n;
    this.stream.take(n);
    if (this.skipBytes > 0) return false;
    this.answers.atOnce(this.request, this.skipError);
    return true;
  }

  private withoutPayload(): boolean {
    const r = this.request;
    if (r.length === 0 && r.type !== CMD_FLUSH) return this.nothing();
    if (r.type === CMD_BLOCK_STATUS) return this.blockStatus();
    if (r.length > (r.type === CMD_READ ? PIECE_BYTES : RANGE_PIECE_BYTES)) return this.beginLong();
    const o = this.issuer.take(r.type === CMD_READ ? r.length : 0);
    if (o === null) return this.stall();
    this.stream.take(REQUEST_BYTES);
    this.issuer.describe(o, r, r.length);
    this.issuer.count(r);
    this.issuer.issue(o);
    return true;
  }

  private nothing(): boolean {
    this.stream.take(REQUEST_BYTES);
    this.answers.atOnce(this.request, 0);
    return true;
  }

  private blockStatus(): boolean {
    const r = this.request;
    if (!(this.target.input.cached.caps & CAP_EXTENTS)) {
      this.stream.take(REQUEST_BYTES);
      this.answers.allAllocated(r);
      return true;
    }
    const o = this.issuer.take(EXTENTS_PAYLOAD_BYTES);
    if (o === null) return this.stall();
    this.stream.take(REQUEST_BYTES);
    // Less than was asked for is a good answer.
    const a = this.issuer.describe(o, r, Math.min(r.length, RANGE_PIECE_BYTES));
    a.descriptors = r.flags & CMD_FLAG_REQ_ONE ? 1 : ALL_DESCRIPTORS;
    this.issuer.count(r);
    this.issuer.issue(o);
    return true;
  }

  private write(): boolean {
    const r = this.request;
    if (r.length === 0) return this.nothing();
    if (r.length > PIECE_BYTES) return this.beginLong();
    const isInline = r.length <= this.stream.inlineBytes;
    this.lean = !isInline;
    // A short payload comes with the next receive, together with what follows it.
    if (isInline && this.stream.available < REQUEST_BYTES + r.length) return false;
    const o = this.issuer.take(r.length);
    if (o === null) return this.stall();
    this.stream.take(REQUEST_BYTES);
    this.issuer.describe(o, r, r.length);
    this.issuer.count(r);
    this.fill(o);
    return true;
  }

  /** Copies what has arrived of the payload; issues the object when that is all of it. */
  private fill(o: XioObject): void {
    const n = Math.min(o.len, this.stream.available);
    this.target.loop.arena.copy(o.buf, this.stream.at, n);
    this.stream.take(n);
    if (n === o.len) return this.issuer.issue(o);
    this.filling = o;
    this.missing = o.len - n;
    this.fillingUs = this.target.loop.nowUs;
  }

  // ------------------------------------------------------------------------------------------------------- long requests

  private beginLong(): boolean {
    const r = this.request;
    const l = this.longs.take();
    if (l === null) return this.stall();
    this.stream.take(REQUEST_BYTES);
    l.begin(r, flagsOf(r));
    this.long = l;
    this.lean = false;
    this.issuer.count(r);
    return true;
  }

  private nextPiece(l: LongRequest): boolean {
    if (this.isSerial(l) && this.issuer.issued > 0) {
      this.stalled = true; // its completion goes on
      return false;
    }
    if (l.rest === 0) {
      // A serial one is ours until the end; others are freed by their last piece.
      if (this.isSerial(l)) l.isFree = true;
      this.long = null;
      return true;
    }
    const hasPayload = l.type <= CMD_WRITE;
    const len = Math.min(l.rest, hasPayload ? PIECE_BYTES : RANGE_PIECE_BYTES);
    if (!this.hasRoom(hasPayload ? len : 0)) return this.stall();
    const o = this.issuer.take(hasPayload ? len : 0);
    if (o === null) return this.stall();
    this.issuePiece(l, o, len);
    return true;
  }

  private issuePiece(l: LongRequest, o: XioObject, len: number): void {
    this.issuer.describePiece(o, l, len);
    if (l.type === CMD_WRITE) this.fill(o);
    else this.issuer.issue(o);
  }

  /** Without chunks the data of a READ must follow its header without anything between: so one piece at a time, and nothing else. */
  private isSerial(l: LongRequest): boolean {
    return l.type === CMD_READ && !this.structured;
  }

  // ------------------------------------------------------------------------------------------------------------- answers

  /** The brick below has answered. */
  completed(o: XioObject, a: Pending): void {
    const long = this.issuer.cameBack(a);
    if (this.state === 'dead') return this.issuer.free(o);
    const error = long === null ? this.answers.answer(o, a) : this.pieceCompleted(o, a, long);
    if (error > 0) this.target.stats.errors.n++;
    if (this.issuer.issued === 0) this.limitFarewell();
    this.wake();
  }

  private pieceCompleted(o: XioObject, a: Pending, l: LongRequest): number {
    const error = this.answers.answerPiece(o, a, l);
    if (error < 0) this.destroy();
    if (l.pieces === 0 && l.rest === 0 && !this.isSerial(l)) l.isFree = true;
    return error;
  }
}

function destroySession(session: Session): void {
  session.destroy();
}

function retrySession(session: Session): void {
  session.retry();
}
