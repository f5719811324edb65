import {
  ErrorCode,
  MarsError,
  OP_WRITE,
  errnoName,
  invariant,
  type Batcher,
  type Loop,
  type NetAddress,
  type RingQueue,
  type XioObject,
} from '@mars/brick-core';
import { RingSocket, type SocketOwner } from '../if-nbd/ring-socket.js';
import { StreamBuffer } from '../if-nbd/stream-buffer.js';
import { INLINE_WRITE_BYTES, MAX_SEND_BYTES, MAX_SEND_SPANS, SOCKET_BUFFER_BYTES } from '../limits.js';
import { CMD_DISC, REQUEST_BYTES, REQUEST_MAGIC } from '../nbd/protocol.js';
import type { Call } from './call.js';
import { CallQueue } from './call-queue.js';
import { ClientHandshake, type ExportTerms } from './client-handshake.js';
import { CLIENT_DEPTH, CONNECT_MS, HEADERS_BYTES, HEADER_STRIDE } from './limits.js';
import { ReplyReader, type ReplySink } from './reply-reader.js';
import { writeRequest } from './request-header.js';

/** Who uses the connections. */
export interface ConnectionOwner extends Batcher {
  callOf(o: XioObject): Call;
  /** The server has answered: `call.err` says how. */
  answered(call: Call): void;
  /** The connection is gone for good, its memory is quiet. What it still had to do is in `left`, in the order of the requests. */
  lost(connection: NbdConnection, left: Call[], reason: string): void;
}

/**
 * - `idle`: no socket
 * - `connecting`, `greeting`: on the way
 * - `agreed`: the server has said what the export is; the owner looks at that, and calls `use`
 * - `open`: requests flow
 * - `closing`: no more; the socket winds down, and ends in `idle`
 */
type State = 'idle' | 'connecting' | 'greeting' | 'agreed' | 'open' | 'closing';

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
  private handshake: ClientHandshake | null = null;
  private reader: ReplyReader | null = null;
  private direct = false;
  private readonly calls: (Call | null)[] = new Array<Call | null>(CLIENT_DEPTH).fill(null);
  private readonly spare = new Int32Array(CLIENT_DEPTH);
  private spareCount = CLIENT_DEPTH;
  private serial = 0;
  private readonly queue = new CallQueue();
  private readonly inSend: (Call | null)[] = new Array<Call | null>(CLIENT_DEPTH).fill(null);
  private inSendCount = 0;
  private sendBytes = 0;
  /** Bytes of the handshake that wait for room in the ring, or for the end of the send before. */
  private output: Uint8Array | null = null;
  private opening: { resolve: (terms: ExportTerms) => void; reject: (error: Error) => void } | null = null;
  private closedWaiters: (() => void)[] = [];
  private reason = '';
  /** From {@link use} to {@link close}: its end is a loss then. */
  private isUsed = false;
  private epoch = 0;

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
  async open(address: NetAddress, exportName: string, signal: AbortSignal): Promise<ExportTerms> {
    invariant(this.state === 'idle', 'nbd-client: a connection was opened twice');
    this.state = 'connecting';
    this.isUsed = false;
    try {
      this.allocate();
      const fd = await this.connect(address, signal);
      this.ring.sockets!.tune(fd, { sendBytes: SOCKET_BUFFER_BYTES, receiveBytes: SOCKET_BUFFER_BYTES });
      return await this.greet(fd, exportName, signal);
    } catch (error) {
      await this.whenClosed();
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
    return true;
  }

  /** Ends it; says goodbye when nothing is under way. */
  async close(): Promise<void> {
    if (this.isLive && this.handshake === null && this.load === 0 && !this.socket!.sending) this.sayGoodbye();
    this.isUsed = false;
    this.fail('it was closed');
    await this.whenClosed();
    this.release();
  }

  private get isLive(): boolean {
    return this.state === 'open' || this.state === 'agreed' || this.state === 'greeting';
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
    if (this.output !== null) this.sendOutput(socket);
    else if (this.queue.length > 0) this.sendCalls(socket);
    this.receive();
  }

  // -------------------------------------------------------------------------------------------------------- connecting

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

  private async connect(address: NetAddress, signal: AbortSignal): Promise<number> {
    const sockets = this.ring.sockets!;
    const bytes = sockets.encode(address);
    this.loop.arena.u8.set(bytes, this.headers);
    const fd = sockets.create(address);
    const { epoch } = this;
    let isOver = false;
    const giveUp = (): void => {
      if (!isOver && epoch === this.epoch) void this.ring.call((c, t) => this.ring.cancelFd(fd, c, t));
    };
    this.loop.after(CONNECT_MS, undefined, giveUp);
    signal.addEventListener('abort', giveUp);
    const result = await this.ring.call((c, t) => this.ring.connect(fd, this.headers, bytes.length, c, t));
    isOver = true;
    signal.removeEventListener('abort', giveUp);
    if (result >= 0 && !signal.aborted) return fd;
    sockets.close(fd);
    signal.throwIfAborted();
    throw new MarsError(ErrorCode.SOCKET, `cannot connect: ${errnoName(result)}`, { details: { errno: -result } });
  }

  private greet(fd: number, exportName: string, signal: AbortSignal): Promise<ExportTerms> {
    this.socket = new RingSocket(fd, this.ring, this.loop);
    this.socket.owner = this;
    this.handshake = new ClientHandshake(exportName);
    this.stream.head = this.stream.tail = 0;
    this.state = 'greeting';
    const epoch = ++this.epoch;
    this.loop.after(CONNECT_MS, undefined, () => {
      if (this.epoch === epoch && this.state === 'greeting') this.fail('it does not end the handshake');
    });
    const abort = (): void => this.fail('the connection is not wanted any more');
    signal.addEventListener('abort', abort, { once: true });
    const opened = new Promise<ExportTerms>((resolve, reject) => (this.opening = { resolve, reject }));
    this.receive();
    return opened.finally(() => signal.removeEventListener('abort', abort));
  }

  private shakeHands(): void {
    const handshake = this.handshake!;
    const { u8 } = this.loop.arena;
    for (let used = 1; used > 0 && this.stream.available > 0;) {
      used = handshake.consume(u8.subarray(this.stream.at, this.stream.at + this.stream.available));
      this.stream.take(used);
    }
    this.output = handshake.takeOutput();
    if (handshake.state === 'failed') this.fail(handshake.reason);
    else if (handshake.state === 'done') this.isOpen(handshake.terms);
    else if (this.stream.available === this.stream.capacity) this.fail('its answer is too long');
  }

  private isOpen(terms: ExportTerms): void {
    this.reader = new ReplyReader(this.loop.arena, this.stream, terms, this);
    this.handshake = null;
    this.state = 'agreed';
    this.opening!.resolve(terms);
    this.opening = null;
  }

  private sendOutput(socket: RingSocket): void {
    const bytes = this.output!;
    if (bytes.length > HEADERS_BYTES) return this.fail('the export name is too long');
    const vector = this.ring.vector(1);
    if (vector < 0) return this.ring.awaitRoom(this.owner);
    this.loop.arena.u8.set(bytes, this.headers);
    this.ring.span(vector, 0, this.headers, bytes.length);
    if (!socket.send(vector, 1)) return this.ring.awaitRoom(this.owner);
    this.sendBytes = bytes.length;
    this.output = null;
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
    while (this.queue.head !== null && spans + 2 <= MAX_SEND_SPANS && bytes < MAX_SEND_BYTES) {
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
    if (this.state === 'greeting') this.shakeHands();
    if (this.reader !== null) this.read(this.reader);
    this.receive();
    if (this.output !== null) this.loop.plug(this.owner);
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

  private fail(reason: string): void {
    if (!this.isLive) return;
    this.state = 'closing';
    this.reason = reason;
    this.socket!.destroy();
  }

  /** The socket has wound down: nothing of ours is in the hands of the kernel any more. */
  closed(): void {
    const { opening, reason } = this;
    this.socket = null;
    this.reader = null;
    this.handshake = null;
    this.output = null;
    this.opening = null;
    this.state = 'idle';
    this.epoch++;
    const left = this.takeLeft();
    for (const resolve of this.closedWaiters.splice(0)) resolve();
    if (opening === null) {
      if (this.isUsed) this.owner.lost(this, left, reason);
    } else opening.reject(new MarsError(ErrorCode.SOCKET, reason));
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
