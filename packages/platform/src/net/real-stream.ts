import type { Socket } from 'node:net';
import { ErrorCode, type NetStream } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';

/** Keep-alive probes start after this silence: a dead peer is noticed in minutes, not in hours. */
const KEEP_ALIVE_MS = 30_000;

/** One TCP or unix connection. */
export class RealStream implements NetStream {
  readonly remote: string;
  private error: Error | undefined;
  private isClosed = false;
  private closeHandlers: ((error?: Error) => void)[] = [];

  constructor(
    private readonly socket: Socket,
    remote?: string,
  ) {
    this.remote = remote ?? remoteOf(socket);
    // Requests and replies are small and latency counts; keep-alive is a no-op on unix sockets.
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('error', (cause) => (this.error ??= this.explain(cause)));
    socket.on('close', () => this.closed());
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed || this.socket.writableEnded || this.socket.destroyed) return false;
    // Node keeps a reference until the kernel has taken the bytes, but they are the caller's again at once: so copy.
    return this.socket.write(Buffer.from(bytes));
  }

  end(): void {
    this.socket.end();
  }

  destroy(error?: Error): void {
    this.error ??= error;
    // A reset tells the peer at once that this was no clean end; a close could look like one.
    if (error !== undefined && !this.socket.destroyed && this.mayReset) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** Only TCP has resets. */
  protected get mayReset(): boolean {
    return this.socket.remoteAddress !== undefined;
  }

  onData(handler: (bytes: Uint8Array) => void): void {
    this.socket.on('data', handler);
  }

  onDrain(handler: () => void): void {
    this.socket.on('drain', handler);
  }

  onClose(handler: (error?: Error) => void): void {
    if (this.isClosed) queueMicrotask(() => handler(this.error));
    else this.closeHandlers.push(handler);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  private closed(): void {
    this.isClosed = true;
    const handlers = this.closeHandlers;
    this.closeHandlers = [];
    for (const handler of handlers) handler(this.error);
  }

  private explain(cause: Error): Error {
    return machineError(ErrorCode.SOCKET, { action: `talk to ${this.remote}`, errno: errnoOf(cause), cause });
  }
}

function remoteOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) return 'a local process';
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
