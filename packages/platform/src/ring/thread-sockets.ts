import { createServer, Socket, type AddressInfo, type Server } from 'node:net';
import { EAFNOSUPPORT, ECANCELED, EINVAL, EISCONN, ENOTCONN, EPIPE, type NetAddress } from '@mars/brick-core';
import { errnoOf } from '../errors.js';
import { ACCEPT_BACKLOG } from './limits.js';

/** Whoever is told the result of an operation, once. */
export type Answer = (result: number) => void;

/** A handle of the fallback: what an io_uring descriptor of a socket would be. */
export interface Handle {
  /** Ends everything that waits with -ECANCELED and frees the socket. */
  close(): void;
  /** Takes back one waiting operation. @returns false when it does not wait (any more) */
  withdraw(answer: Answer): boolean;
}

/** A listening socket; connections wait here, paused, until somebody accepts them. */
export class ThreadListener implements Handle {
  private readonly ready: Socket[] = [];
  private waiting: Answer[] = [];
  private constructor(
    private readonly server: Server,
    private readonly adopt: (socket: Socket) => number,
  ) {
    server.on('connection', (socket: Socket) => this.arrived(socket));
    server.on('error', () => {}); // out of descriptors: the connection waits in the kernel's backlog
  }

  /** @param bind starts listening; rejects with Node's error */
  static async open(
    bind: (server: Server) => Promise<void>,
    adopt: (socket: Socket) => number,
  ): Promise<ThreadListener> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    await bind(server);
    return new ThreadListener(server, adopt);
  }

  get address(): NetAddress {
    const bound = this.server.address();
    if (typeof bound === 'string') return { path: bound };
    return { host: (bound as AddressInfo).address, port: (bound as AddressInfo).port };
  }

  accept(answer: Answer): void {
    const socket = this.ready.shift();
    if (socket === undefined) this.waiting.push(answer);
    else answer(this.adopt(socket));
  }

  /** As on a real socket: who waits for a connection learns that none will come. */
  shutdown(): number {
    const waiting = this.waiting;
    this.waiting = [];
    for (const answer of waiting) answer(-EINVAL);
    return 0;
  }

  withdraw(answer: Answer): boolean {
    const at = this.waiting.indexOf(answer);
    if (at >= 0) this.waiting.splice(at, 1);
    return at >= 0;
  }

  close(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const answer of waiting) answer(-ECANCELED);
    for (const socket of this.ready) socket.destroy();
    this.server.close();
  }

  private arrived(socket: Socket): void {
    socket.on('error', () => {}); // before it is accepted nobody can be told
    const answer = this.waiting.shift();
    if (answer !== undefined) answer(this.adopt(socket));
    else if (this.ready.length < ACCEPT_BACKLOG) this.ready.push(socket);
    else socket.destroy();
  }
}

interface Receive {
  into: Uint8Array;
  at: number;
  end: number;
  start: number;
  all: boolean;
  answer: Answer;
}

/** A connection (or a socket that will be one): `net.Socket` with the manners of recv(2) and send(2). */
export class ThreadStream implements Handle {
  private receives: Receive[] = [];
  private sends: Answer[] = [];
  private connecting: Answer | null = null;
  private failed = 0;
  private ended = false;
  private connected: boolean;
  private readonly onReadable = (): void => this.pump();
  private readonly onError = (error: Error): void => this.fail(-errnoOf(error));
  private readonly onClose = (): void => this.fail(-ENOTCONN);
  private readonly onEnd = (): void => {
    this.ended = true;
    this.pump();
  };

  constructor(
    readonly socket: Socket = new Socket({ allowHalfOpen: true }),
    readonly family: 'unix' | 'tcp' = 'tcp',
  ) {
    this.connected = !socket.pending && !socket.connecting;
    socket.on('readable', this.onReadable);
    socket.on('end', this.onEnd);
    socket.on('error', this.onError);
    socket.on('close', this.onClose);
  }

  connect(address: NetAddress, answer: Answer): void {
    if (this.connected || this.connecting) return answer(-EISCONN);
    if ('path' in address !== (this.family === 'unix')) return answer(-EAFNOSUPPORT);
    this.connecting = answer;
    this.socket.connect(address, () => {
      this.connected = true;
      this.settleConnect(0);
    });
  }

  recv(into: Uint8Array, at: number, len: number, all: boolean, answer: Answer): void {
    if (!this.connected) return answer(this.failed || -ENOTCONN);
    this.receives.push({ into, at, end: at + len, start: at, all, answer });
    this.pump();
  }

  /** `bytes` is the callee's. */
  send(bytes: Uint8Array, answer: Answer): void {
    if (!this.connected) return answer(this.failed || -ENOTCONN);
    if (this.socket.destroyed || this.socket.writableEnded)
      return answer(this.failed === -ENOTCONN ? -EPIPE : this.failed || -EPIPE);
    this.sends.push(answer);
    this.socket.write(bytes, (error) => {
      if (this.take(answer)) answer(error ? -errnoOf(error) : bytes.length);
    });
  }

  shutdown(read: boolean, write: boolean): number {
    if (!this.connected || this.socket.destroyed) return -ENOTCONN;
    if (write) this.socket.end();
    if (read) this.ended = true;
    this.pump();
    return 0;
  }

  withdraw(answer: Answer): boolean {
    const at = this.receives.findIndex((receive) => receive.answer === answer);
    if (at >= 0) this.receives.splice(at, 1);
    if (this.connecting === answer) {
      this.connecting = null;
      this.socket.destroy();
      return true;
    }
    return at >= 0;
  }

  close(): void {
    this.fail(-ECANCELED);
    // As close(2): what was written still goes out, then the connection ends.
    if (this.socket.writableLength > 0 && !this.socket.destroyed) this.socket.end(() => this.socket.destroy());
    else this.socket.destroy();
  }

  /** Lets go of the socket; nothing may be under way. */
  release(): Socket {
    const { socket } = this;
    socket
      .off('readable', this.onReadable)
      .off('end', this.onEnd)
      .off('error', this.onError)
      .off('close', this.onClose);
    return socket;
  }

  /** Hands what has arrived to those who wait, first come first served. */
  private pump(): void {
    while (this.receives.length > 0) {
      const first = this.receives[0]!;
      if (this.fill(first)) continue;
      if (this.ended || this.failed)
        this.finish(first, first.at > first.start ? first.at - first.start : this.endResult());
      else return;
    }
  }

  /** @returns true when `receive` was answered */
  private fill(receive: Receive): boolean {
    const { readableLength } = this.socket;
    const want = Math.min(receive.end - receive.at, readableLength);
    if (want > 0) {
      receive.into.set(this.socket.read(want) as Buffer, receive.at);
      receive.at += want;
    }
    const isDone = receive.at === receive.end || (receive.at > receive.start && !receive.all);
    if (isDone) this.finish(receive, receive.at - receive.start);
    else if (readableLength === 0) this.socket.read(0); // makes Node ask the kernel
    return isDone;
  }

  private endResult(): number {
    return this.ended || this.failed === -ENOTCONN ? 0 : this.failed;
  }

  private finish(receive: Receive, result: number): void {
    this.receives.shift();
    receive.answer(result);
  }

  private fail(errno: number): void {
    this.failed ||= errno;
    this.settleConnect(errno);
    const receives = this.receives;
    if (errno === -ECANCELED) {
      this.receives = [];
      for (const receive of receives) receive.answer(errno);
    } else this.pump();
    const sends = this.sends;
    this.sends = [];
    for (const answer of sends) answer(errno === -ENOTCONN ? -EPIPE : errno);
  }

  private settleConnect(result: number): void {
    const answer = this.connecting;
    this.connecting = null;
    answer?.(result);
  }

  private take(answer: Answer): boolean {
    const at = this.sends.indexOf(answer);
    if (at >= 0) this.sends.splice(at, 1);
    return at >= 0;
  }
}
