import {
  ErrorCode,
  MarsError,
  errnoName,
  type Batcher,
  type FaultOwner,
  type Loop,
  type NetAddress,
  type RingQueue,
  type TlsClient,
} from '@mars/brick-core';
import { RingSocket, type SocketOwner } from '../if-nbd/ring-socket.js';
import type { StreamBuffer } from '../if-nbd/stream-buffer.js';
import { SOCKET_BUFFER_BYTES } from '../limits.js';
import { ClientHandshake, type ExportTerms } from './client-handshake.js';
import { CONNECT_MS, HEADERS_BYTES } from './limits.js';

/** Where to, and how. */
export interface Destination {
  address: NetAddress;
  exportName: string;
  /** `null` = in the clear. */
  tls: TlsClient | null;
}

/** Memory and services of the connection that is opened. */
export interface OpeningParts {
  loop: Loop;
  ring: RingQueue;
  stream: StreamBuffer;
  /** Arena block of HEADERS_BYTES for what is said. */
  output: number;
  faults: FaultOwner;
}

/** A server that has agreed; nothing is under way on its socket. */
export interface Opened {
  socket: RingSocket;
  terms: ExportTerms;
}

/**
 * One attempt to come to an agreement with a server: connect, greet, with STARTTLS where wanted. Cold path, one step at a time:
 * when it is over, either way, nothing is under way on the socket and in the memory.
 *
 * ```
 *  connecting ──> greeting ──(STARTTLS: ──> securing ──> greeting)──> over
 *                     └──────── fail ──> ending (the socket winds down) ──> over
 * ```
 */
export class Opening implements SocketOwner, Batcher {
  rank = 0;
  plugged = false;
  private step: 'connecting' | 'greeting' | 'securing' | 'ending' | 'over' = 'connecting';
  private socket!: RingSocket;
  private readonly handshake: ClientHandshake;
  /** Bytes that wait to be sent. */
  private output: Uint8Array | null = null;
  private sendBytes = 0;
  private reason = '';
  private readonly securing = new AbortController();
  private resolve!: (opened: Opened) => void;
  private reject!: (error: Error) => void;

  constructor(
    private readonly parts: OpeningParts,
    private readonly to: Destination,
  ) {
    this.handshake = new ClientHandshake(to.exportName, to.tls !== null);
  }

  /** @throws MarsError SOCKET */
  async run(signal: AbortSignal): Promise<Opened> {
    const fd = await this.connect(signal);
    const { loop, stream } = this.parts;
    this.parts.ring.sockets!.tune(fd, { sendBytes: SOCKET_BUFFER_BYTES, receiveBytes: SOCKET_BUFFER_BYTES });
    stream.head = stream.tail = 0;
    loop.after(CONNECT_MS, this, outOfTime);
    const abort = (): void => this.fail('the connection is not wanted any more');
    signal.addEventListener('abort', abort, { once: true });
    const opened = new Promise<Opened>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.useSocket(fd);
    this.pump();
    return opened.finally(() => signal.removeEventListener('abort', abort));
  }

  /** Ends the attempt; `run` throws when the socket has wound down. */
  fail(reason: string): void {
    if (this.step !== 'greeting' && this.step !== 'securing') return;
    this.reason = reason;
    if (this.step === 'securing') this.securing.abort(new Error(reason));
    else this.socket.destroy();
    this.step = 'ending';
  }

  received(result: number): void {
    if (this.step !== 'greeting') return;
    if (result <= 0) return this.fail(result === 0 ? 'the server has ended it' : errnoName(result));
    const { stream, loop } = this.parts;
    stream.tail += result;
    for (let used = 1; used > 0 && stream.available > 0;) {
      used = this.handshake.consume(loop.arena.u8.subarray(stream.at, stream.at + stream.available));
      stream.take(used);
    }
    this.output = this.handshake.takeOutput();
    this.pump();
  }

  sent(result: number): void {
    if (this.step !== 'greeting') return;
    if (result !== this.sendBytes) this.fail(result < 0 ? errnoName(result) : 'it takes no more');
    else this.pump();
  }

  closed(): void {
    this.step = 'over';
    this.reject(new MarsError(ErrorCode.SOCKET, this.reason));
  }

  /** The ring has room again. */
  endBatch(): void {
    this.pump();
  }

  onFault(error: unknown): void {
    this.parts.faults.onFault(error, null);
    this.fail('it is out of order');
  }

  private async connect(signal: AbortSignal): Promise<number> {
    const { loop, ring, output } = this.parts;
    const sockets = ring.sockets!;
    const bytes = sockets.encode(this.to.address);
    loop.arena.u8.set(bytes, output);
    const fd = sockets.create(this.to.address);
    const giveUp = (): void => {
      if (this.step === 'connecting') void ring.call((c, t) => ring.cancelFd(fd, c, t));
    };
    loop.after(CONNECT_MS, undefined, giveUp);
    signal.addEventListener('abort', giveUp);
    const result = await ring.call((c, t) => ring.connect(fd, output, bytes.length, c, t));
    this.step = 'over';
    signal.removeEventListener('abort', giveUp);
    if (result >= 0 && !signal.aborted) return fd;
    sockets.close(fd);
    signal.throwIfAborted();
    throw new MarsError(ErrorCode.SOCKET, `cannot connect: ${errnoName(result)}`, { details: { errno: -result } });
  }

  private useSocket(fd: number): void {
    this.step = 'greeting';
    this.socket = new RingSocket(fd, this.parts.ring, this.parts.loop);
    this.socket.owner = this;
  }

  /** The next thing that can be done. As long as something is being sent, nothing is: so a socket that changes hands is quiet. */
  private pump(): void {
    if (this.step !== 'greeting' || this.socket.sending || this.socket.receiving) return;
    const { state, reason, terms } = this.handshake;
    if (this.output !== null) this.send(this.output);
    else if (state === 'failed') this.fail(reason);
    else if (state === 'secure') void this.secure(this.to.tls!);
    else if (state === 'done') {
      this.step = 'over';
      this.resolve({ socket: this.socket, terms });
    } else this.listen();
  }

  private send(bytes: Uint8Array): void {
    const { ring, loop, output } = this.parts;
    if (bytes.length > HEADERS_BYTES) return this.fail('the export name is too long');
    const vector = ring.vector(1);
    if (vector < 0) return ring.awaitRoom(this);
    loop.arena.u8.set(bytes, output);
    ring.span(vector, 0, output, bytes.length);
    if (!this.socket.send(vector, 1)) return ring.awaitRoom(this);
    this.sendBytes = bytes.length;
    this.output = null;
  }

  private listen(): void {
    const { ring, stream } = this.parts;
    if (stream.available === stream.capacity) return this.fail('its answer is too long');
    stream.compact();
    const isUnderWay = this.socket.receive(stream.block + stream.tail, stream.capacity - stream.tail, false);
    if (!isUnderWay) ring.awaitRoom(this);
  }

  /** The plain bytes come over a socket of their own, and the handshake goes on there. */
  private async secure(tls: TlsClient): Promise<void> {
    // Bytes that came before the TLS handshake were not protected; believing them afterwards would make TLS pointless.
    if (this.parts.stream.available > 0) return this.fail('it says something in the clear behind STARTTLS');
    this.step = 'securing';
    try {
      const peer = await tls.connect(this.socket.giveAway(), { signal: this.securing.signal });
      this.useSocket(peer.fd);
      if (this.securing.signal.aborted) return this.fail(this.reason);
      this.handshake.secured();
      this.output = this.handshake.takeOutput();
      this.pump();
    } catch (error) {
      if (!this.securing.signal.aborted) this.reason = (error as Error).message;
      this.closed();
    }
  }

  /** Called by the timer. */
  timeIsOver(): void {
    this.fail('it does not end the handshake');
  }
}

function outOfTime(opening: Opening): void {
  opening.timeIsOver();
}
