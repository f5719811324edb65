import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import {
  ETIMEDOUT,
  ErrorCode,
  MarsError,
  type Net,
  type NetAddress,
  type NetListener,
  type NetStream,
} from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { nameOf, replacingStale, startListening } from './listen.js';
import { RealStream } from './real-stream.js';

/** A connection attempt ends after this time when nobody says otherwise, ms. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** TCP and unix sockets of this machine. */
export class RealNet implements Net {
  private readonly open = new Set<{ destroy(): void }>();

  connect(
    address: NetAddress,
    { timeoutMs = CONNECT_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<NetStream> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const socket = connect(address);
      const name = nameOf(address);
      const settle = (run: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        socket.removeAllListeners();
        run();
      };
      const fail = (error: Error): void =>
        settle(() => {
          socket.on('error', () => {}); // a late error of a connection that nobody wants any more
          socket.destroy();
          reject(error);
        });
      const onAbort = (): void => fail(signal!.reason as Error);
      const timer = setTimeout(() => fail(connectError(name, { code: 'ETIMEDOUT' })), timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.once('error', (cause) => fail(connectError(name, cause)));
      socket.once('connect', () => settle(() => resolve(this.adopt(socket, name))));
    });
  }

  async listen(address: NetAddress, accept: (stream: NetStream) => void): Promise<NetListener> {
    const server = createServer({ pauseOnConnect: false }, (socket) => accept(this.adopt(socket)));
    await replacingStale(address, () => startListening(server, address));
    return this.listenerOf(server, address);
  }

  /** Closes every listener and connection. */
  shutDown(): void {
    for (const each of [...this.open]) each.destroy();
  }

  private adopt(socket: Socket, remote?: string): RealStream {
    this.open.add(socket);
    socket.once('close', () => this.open.delete(socket));
    return new RealStream(socket, remote);
  }

  private listenerOf(server: Server, asked: NetAddress): NetListener {
    const entry = { destroy: () => server.close() };
    this.open.add(entry);
    server.on('error', () => {}); // accept() without descriptors: the connection waits in the backlog, nothing is lost
    const bound = server.address();
    const address =
      'path' in asked ? asked : { host: (bound as AddressInfo).address, port: (bound as AddressInfo).port };
    return {
      address,
      close: () =>
        new Promise((resolve) => {
          this.open.delete(entry);
          server.close(() => resolve());
        }),
    };
  }
}

export function connectError(name: string, cause: unknown): MarsError {
  const errno = (cause as NodeJS.ErrnoException).code === 'ETIMEDOUT' ? ETIMEDOUT : errnoOf(cause);
  const isDns = (cause as NodeJS.ErrnoException).syscall === 'getaddrinfo';
  const hint = isDns ? 'The name does not resolve: check it with "getent hosts NAME", or use the address.' : undefined;
  return machineError(ErrorCode.SOCKET, {
    action: `connect to ${name}`,
    errno,
    hint,
    ...(cause instanceof Error ? { cause } : {}),
  });
}
