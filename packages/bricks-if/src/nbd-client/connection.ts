import {
  ErrorCode,
  MarsError,
  OP_WRITE,
  errnoName,
  invariant,
  RequestQueue,
  type Batcher,
  type FaultOwner,
  type Loop,
  type RingQueue,
  type XioObject,
} from '@mars/brick-core';
import type { RingSocket, SocketOwner } from '../if-nbd/ring-socket.js';
import { StreamBuffer } from '../if-nbd/stream-buffer.js';
import { INLINE_WRITE_BYTES, MAX_SEND_BYTES, MAX_SEND_SPANS } from '../limits.js';
import { CMD_DISC, REQUEST_BYTES, REQUEST_MAGIC } from '../nbd/protocol.js';
import type { Call } from './call.js';
import type { ExportTerms } from './client-handshake.js';
import { CLIENT_DEPTH, HEADERS_BYTES, HEADER_STRIDE } from './limits.js';
import { Opening, type Destination } from './opening.js';
import { ReplyReader, type ReplySink } from './reply-reader.js';
import { writeRequest } from './request-header.js';

/** Who uses the connections. */
export interface ConnectionOwner extends Omit<Batcher, 'onFault'>, FaultOwner {
  callOf(o: XioObject): Call;
  /** The server has answered: `call.err` says how. */
  answered(call: Call): void;
  /** The connection is gone for good, its memory is quiet. What it still had to do is in `left`, in the order of the requests. */
  lost(connection: NbdConnection, left: Call[], reason: string): void;
}

/**
 * - `idle`: no socket
 * - `opening`: on the way (see `Opening`)
 * - `agreed`: the server has said what the export is; the owner looks at that, and calls `use`
 * - `open`: requests flow
 * - `closing`: no more; the socket winds down, and ends in `idle`
 */
type State = 'idle' | 'opening' | 'agreed' | 'open' | 'closing';

/**
 * One connection to the server, used again after each loss. It sends all that is due in one message per tick, and never gives
 * memory back that the kernel may still use: a request whose reply overtakes the end of its own send waits for that, and after a
 * loss everything waits until the socket has wound down.
 */
export class NbdConnection implements SocketOwner, ReplySink {
  state: State = 'idle';
  /** Requests with the server, or in the queue to it. */
  load = 0;
  private readonly stream: StreamBuffer;
  private headers = -1;
  private socket: RingSocket | null = null;
  private reader: ReplyReader | null = null;
  private direct = false;
  private readonly calls: (Call | null)[] = new Array<Call | null>(CLIENT_DEPTH).fill(null);
  private readonly spare = new Int32Array(CLIENT_DEPTH);
  private spareCount = CLIENT_DEPTH;
  private serial = 0;
  private readonly queue = new RequestQueue();
  private readonly inSend: (Call | null)[] = new Array<Call | null>(CLIENT_DEPTH).fill(null);
  private inSendCount = 0;
  private sendBytes = 0;
  private closedWaiters: (() => void)[] = [];
  private reason = '';
  /** From {@link use} to {@link close}: its end is a loss then. */
  private isUsed = false;
  /** When bytes came last, and when the first of the requests that are with the server now was sent, monotonic µs. */
  private heardUs = 0.5;
  private busySinceUs = 0.5;

  constructor(
    readonly number: number,
    private readonly loop: Loop,
    private readonly ring: RingQueue,
    private readonly owner: ConnectionOwner,
  ) {
    this.stream = new StreamBuffer(loop.arena);
    for (let i = 0; i < CLIENT_DEPTH; i++) this.spare[i] = CLIENT_DEPTH - 1 - i;
  }

  get hasRoom(): boolean {
    return this.state === 'open' && this.load < CLIENT_DEPTH;
  }

  /**
   * Connects, and agrees on the export.
   * @throws MarsError SOCKET; the connection is `idle` again then
   */
  async open(to: Destination, signal: AbortSignal): Promise<ExportTerms> {
    invariant(this.state === 'idle', 'nbd-client: a connection was opened twice');
    this.state = 'opening';
    this.isUsed = false;
    try {
      this.allocate();
      const { loop, ring, stream, owner } = this;
      const opening = new Opening({ loop, ring, stream, output: this.headers, faults: owner }, to);
      const { socket, terms } = await opening.run(signal);
      this.reader = new ReplyReader(loop.arena, stream, terms, this);
      this.socket = socket;
      socket.owner = this;
      this.state = 'agreed';
      return terms;
    } catch (error) {
      this.state = 'idle';
      this.release();
      throw error;
    }
  }

  /** From now on it takes requests. @returns false when it was lost already */
  use(): boolean {
    if (this.state !== 'agreed') return false;
    this.isUsed = true;
    this.state = 'open';
    this.receive();
    return true;
  }

  /** Ends it; says goodbye when nothing is under way. */
  async close(): Promise<void> {
    if (this.isLive && this.load === 0 && !this.socket!.sending) this.sayGoodbye();
    this.isUsed = false;
    this.fail('it was closed');
    await this.whenClosed();
    this.release();
  }

  private get isLive(): boolean {
    return this.state === 'open' || this.state === 'agreed';
  }

  /** Queues a request; {@link flush} sends it. */
  enqueue(o: XioObject): void {
    this.load++;
    this.queue.push(o);
  }

  /** Once per tick: everything that is due leaves in one message. */
  flush(): void {
    const { socket } = this;
    if (socket === null || socket.sending || !this.isLive) return;
    if (this.queue.length > 0) this.sendCalls(socket);
    this.receive();
  }

  // ------------------------------------------------------------------------------------------------------------- memory

  private allocate(): void {
    if (this.headers < 0) this.headers = this.loop.arena.alloc(HEADERS_BYTES);
    if (this.headers >= 0 && (this.stream.block >= 0 || this.stream.open())) return;
    throw new MarsError(ErrorCode.LIMIT_REACHED, 'the arena has no room for one more connection');
  }

  private release(): void {
    this.stream.close();
    if (this.headers >= 0) this.loop.arena.release(this.headers);
    this.headers = -1;
  }

  private sayGoodbye(): void {
    const { view } = this.loop.arena;
    const vector = this.ring.vector(1);
    if (vector < 0) return;
    this.loop.arena.fill(this.headers, REQUEST_BYTES, 0);
    view.setUint32(this.headers, REQUEST_MAGIC);
    view.setUint16(this.headers + 6, CMD_DISC);
    this.ring.span(vector, 0, this.headers, REQUEST_BYTES);
    if (this.socket!.send(vector, 1)) this.sendBytes = REQUEST_BYTES;
  }

  // ------------------------------------------------------------------------------------------------------------ sending

  private sendCalls(socket: RingSocket): void {
    if (this.spareCount === CLIENT_DEPTH) this.busySinceUs = this.loop.nowUs;
    const spans = this.choose();
    const vector = this.ring.vector(spans);
    if (vector < 0) return this.unchoose();
    let span = 0;
    this.sendBytes = 0;
    for (let i = 0; i < this.inSendCount; i++) {
      const call = this.inSend[i]!;
      const { o } = call;
      const at = this.headers + call.index * HEADER_STRIDE;
      writeRequest(this.loop.arena.view, at, o, call.index, call.serial);
      this.ring.span(vector, span++, at, REQUEST_BYTES);
      this.sendBytes += REQUEST_BYTES;
      if (o.op !== OP_WRITE || o.len === 0) continue;
      this.ring.span(vector, span++, o.buf, o.len);
      this.sendBytes += o.len;
    }
    if (!socket.send(vector, spans)) this.unchoose();
  }

  /** Takes from the queue what fits into one message. @returns spans */
  private choose(): number {
    let spans = 0;
    let bytes = 0;
    while (!this.queue.isEmpty && spans + 2 <= MAX_SEND_SPANS && bytes < MAX_SEND_BYTES) {
      const call = this.owner.callOf(this.queue.shift()!);
      call.index = this.spare[--this.spareCount]!;
      call.serial = this.serial = (this.serial + 1) | 0;
      call.phase = 'sending';
      this.calls[call.index] = call;
      this.inSend[this.inSendCount++] = call;
      spans += call.o.op === OP_WRITE && call.o.len > 0 ? 2 : 1;
      bytes += call.o.op === OP_WRITE ? call.o.len : 0;
    }
    return spans;
  }

  /** The ring had no room: back into the queue, in order. */
  private unchoose(): void {
    while (this.inSendCount > 0) {
      const call = this.inSend[--this.inSendCount]!;
      this.inSend[this.inSendCount] = null;
      this.forget(call);
      call.again();
      this.queue.unshift(call.o);
    }
    this.ring.awaitRoom(this.owner);
  }

  sent(result: number): void {
    const isWhole = result === this.sendBytes;
    for (let i = 0; i < this.inSendCount; i++) {
      const call = this.inSend[i]!;
      this.inSend[i] = null;
      if (this.state === 'open' && isWhole) this.wasSent(call);
    }
    this.inSendCount = 0;
    if (!isWhole) this.fail(result < 0 ? errnoName(result) : 'it takes no more');
    else this.loop.plug(this.owner);
  }

  private wasSent(call: Call): void {
    call.phase = 'sent';
    if (call.isReplied) this.complete(call);
  }

  // ---------------------------------------------------------------------------------------------------------- receiving

  private receive(): void {
    const { socket, stream, reader } = this;
    if (socket === null || socket.receiving || !this.isLive) return;
    this.direct = reader !== null && reader.wantsData && reader.left >= INLINE_WRITE_BYTES;
    if (!this.direct && stream.tail === stream.capacity) {
      if (stream.head === 0) stream.grow();
      stream.compact();
    }
    const isUnderWay = this.direct
      ? socket.receive(reader!.at, reader!.left, true)
      : socket.receive(stream.block + stream.tail, stream.capacity - stream.tail, false);
    if (!isUnderWay) this.ring.awaitRoom(this.owner);
  }

  received(result: number): void {
    if (!this.isLive) return;
    if (result <= 0) return this.fail(result === 0 ? 'the server has ended it' : errnoName(result));
    if (this.direct) this.reader!.tookData(result);
    else this.stream.tail += result;
    this.heardUs = this.loop.nowUs;
    this.read(this.reader!);
    this.receive();
  }

  private read(reader: ReplyReader): void {
    reader.run();
    if (reader.error !== '') this.fail(reader.error);
  }

  find(cookie0: number, cookie1: number): Call | null {
    if (cookie0 < 0 || cookie0 >= CLIENT_DEPTH) return null;
    const call = this.calls[cookie0]!;
    return call !== null && call.serial === cookie1 ? call : null;
  }

  replied(call: Call): void {
    if (call.phase === 'sent') this.complete(call);
  }

  private complete(call: Call): void {
    this.forget(call);
    this.load--;
    this.owner.answered(call);
  }

  private forget(call: Call): void {
    this.calls[call.index] = null;
    this.spare[this.spareCount++] = call.index;
  }

  // ------------------------------------------------------------------------------------------------------------- ending

  /** Requests are with the server, and for that long not one byte has come from it: the connection counts as broken. */
  endIfMute(timeoutMs: number): void {
    if (this.state !== 'open' || this.spareCount === CLIENT_DEPTH) return;
    const silentMs = (this.loop.nowUs - Math.max(this.heardUs, this.busySinceUs)) / 1000;
    if (silentMs >= timeoutMs) this.fail(`the server has been mute for ${Math.floor(silentMs)} ms`);
  }

  onFault(error: unknown): void {
    this.owner.onFault(error, null);
    this.fail('it is out of order');
  }

  private fail(reason: string): void {
    if (!this.isLive) return;
    this.state = 'closing';
    this.reason = reason;
    this.socket!.destroy();
  }

  /** The socket has wound down: nothing of ours is in the hands of the kernel any more. */
  closed(): void {
    this.socket = null;
    this.reader = null;
    this.state = 'idle';
    const left = this.takeLeft();
    for (const resolve of this.closedWaiters.splice(0)) resolve();
    if (this.isUsed) this.owner.lost(this, left, this.reason);
  }

  private whenClosed(): Promise<void> {
    if (this.socket === null) return Promise.resolve();
    return new Promise((resolve) => this.closedWaiters.push(resolve));
  }

  /** All that is not answered, oldest first. */
  private takeLeft(): Call[] {
    const left: Call[] = [];
    for (const call of this.calls) {
      // Its reply was here before its send had ended: so it is answered.
      if (call?.isReplied) this.complete(call);
      else if (call !== null) left.push(call);
    }
    for (const call of left) this.forget(call);
    for (let o = this.queue.shift(); o !== null; o = this.queue.shift()) left.push(this.owner.callOf(o));
    this.inSend.fill(null);
    this.inSendCount = this.load = 0;
    return left.sort((a, b) => a.order - b.order);
  }
}
