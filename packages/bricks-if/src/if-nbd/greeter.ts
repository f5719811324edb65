import type { Arena, FaultOwner, Logger, Loop, RingQueue, TlsServer } from '@mars/brick-core';
import { Handshake, type ExportDirectory, type TlsPolicy } from '../nbd/handshake.js';
import type { NbdExport } from './export.js';
import { Replies } from './replies.js';
import { RingSocket, type SocketOwner } from './ring-socket.js';
import { Session } from './session.js';
import { StreamBuffer } from './stream-buffer.js';

/** Bytes of one send during the handshake. */
const OUTPUT_BYTES = 4096;

/** What a greeter needs from its listener. */
export interface Reception extends ExportDirectory<NbdExport>, FaultOwner {
  readonly loop: Loop;
  readonly ring: RingQueue;
  readonly log: Logger;
  readonly policy: TlsPolicy;
  readonly tls: TlsServer | null;
  tune(fd: number): void;
  /** The connection is in transmission: the clock no longer runs. */
  handedOver(greeter: Greeter): void;
  /** The connection is gone. */
  ended(greeter: Greeter): void;
  /** A session that a greeter has handed over is gone. */
  sessionEnded(): void;
}

/**
 * One client from accept to transmission. Cold path, one step at a time: it reads the next option only when the answer to the
 * one before has left, so its output is bounded, whatever the client sends.
 */
export class Greeter implements SocketOwner {
  readonly deadlineUs: number;
  private readonly handshake: Handshake<NbdExport>;
  private readonly stream: StreamBuffer;
  private readonly mem: Arena;
  private output = -1;
  private queue: Uint8Array[] = [];
  private sendBytes = 0;
  private securing: AbortController | null = null;
  private isOver = false;

  constructor(
    private readonly home: Reception,
    private socket: RingSocket,
    limitMs: number,
  ) {
    this.deadlineUs = home.loop.nowUs + limitMs * 1000;
    this.mem = home.loop.arena;
    this.stream = new StreamBuffer(this.mem);
    this.handshake = new Handshake(home, home.policy);
    socket.owner = this;
  }

  start(): void {
    const isOpen = this.stream.open();
    this.output = this.mem.alloc(OUTPUT_BYTES);
    if (isOpen && this.output >= 0) this.pump();
    else this.end('no memory for another client');
  }

  /** Ends the connection; `reason` goes to the log. */
  end(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    if (reason !== '') this.home.log.debug({ reason }, 'NBD handshake ended');
    if (this.securing !== null) this.securing.abort(new Error(reason));
    else this.socket.destroy();
  }

  received(result: number): void {
    if (this.isOver) return;
    if (result <= 0) return this.end('the client has gone');
    this.stream.tail += result;
    this.pump();
  }

  sent(result: number): void {
    if (this.isOver) return;
    if (result !== this.sendBytes) return this.end('the client does not listen');
    this.pump();
  }

  closed(): void {
    this.isOver = true;
    this.stream.close();
    this.releaseOutput();
    this.home.ended(this);
  }

  onFault(error: unknown, work: unknown): void {
    this.home.onFault(error, work);
    this.end('this server is out of order');
  }

  private pump(): void {
    while (!this.isOver && !this.socket.sending && !this.hasSent()) {
      const { state } = this.handshake;
      if (state === 'transmission') return this.handOver();
      if (state === 'starttls') return void this.secure();
      if (state === 'closed') return this.end(this.handshake.reason);
      const used = this.handshake.consume(this.unread());
      if (used > 0) this.stream.take(used);
      else if (this.handshake.state === state) return this.listen();
    }
  }

  private unread(): Uint8Array {
    return this.mem.u8.subarray(this.stream.at, this.stream.at + this.stream.available);
  }

  private listen(): void {
    const { stream } = this;
    stream.compact();
    if (!this.socket.receive(stream.block + stream.tail, stream.capacity - stream.tail, false))
      this.end('the ring is full');
  }

  /** Sends the next part of what there is to say. @returns false when there is nothing */
  private hasSent(): boolean {
    this.queue.push(...this.handshake.replies.take());
    if (this.queue.length === 0) return false;
    this.sendBytes = this.fillOutput();
    const { ring } = this.home;
    const vector = ring.vector(1);
    if (vector >= 0) ring.span(vector, 0, this.output, this.sendBytes);
    if (vector < 0 || !this.socket.send(vector, 1)) this.end('the ring is full');
    return true;
  }

  private fillOutput(): number {
    let bytes = 0;
    while (this.queue.length > 0 && bytes < OUTPUT_BYTES) {
      const part = this.queue.shift()!;
      const n = Math.min(part.length, OUTPUT_BYTES - bytes);
      this.mem.u8.set(part.subarray(0, n), this.output + bytes);
      bytes += n;
      if (n < part.length) this.queue.unshift(part.subarray(n));
    }
    return bytes;
  }

  private handOver(): void {
    const target = this.handshake.chosen!;
    const headers = this.mem.alloc(Replies.headerBytes(target.depth));
    if (headers < 0) return this.end('no memory for another client');
    this.isOver = true;
    this.releaseOutput();
    const { structured, hasContext } = this.handshake;
    const onClosed = (): void => this.home.sessionEnded();
    this.home.handedOver(this);
    new Session(target, this.socket, this.stream, headers, { structured, hasContext }, onClosed).start();
  }

  /** The plain bytes come over a socket of their own, and this greeter goes on there. */
  private async secure(): Promise<void> {
    // Bytes that came before the TLS handshake were not protected; obeying them afterwards would make TLS pointless.
    if (this.stream.available > 0) return this.end('bytes in the clear behind STARTTLS');
    this.securing = new AbortController();
    try {
      const peer = await this.home.tls!.accept(this.socket.giveAway(), { signal: this.securing.signal });
      this.securing = null;
      this.goOnAt(peer.fd);
    } catch (err) {
      this.home.log.info({ err }, 'TLS handshake of an NBD client failed');
      this.closed();
    }
  }

  private goOnAt(fd: number): void {
    this.socket = new RingSocket(fd, this.home.ring, this.home.loop);
    this.socket.owner = this;
    if (this.isOver) return this.socket.destroy();
    this.home.tune(fd);
    this.handshake.secured();
    this.pump();
  }

  private releaseOutput(): void {
    if (this.output >= 0) this.mem.release(this.output);
    this.output = -1;
  }
}
