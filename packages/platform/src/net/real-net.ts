import { chmodSync, unlinkSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { ErrorCode, MarsError, type Net, type NetAddress, type NetListener, type NetStream } from '@mars/brick-core';
import { EADDRINUSE, errnoOf, machineError } from '../errors.js';
import { RealStream } from './real-stream.js';

/** A connection attempt ends after this time when nobody says otherwise, ms. */
export const CONNECT_TIMEOUT_MS = 10_000;
const ETIMEDOUT = 110;
/** Connections that wait to be accepted. */
const BACKLOG = 128;
/** Sockets in the file system are for their owner only. */
const SOCKET_MODE = 0o600;

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
    try {
      await startListening(server, address);
    } catch (error) {
      if (!('path' in address) || errnoOf(error) !== EADDRINUSE) throw listenError(address, error);
      await this.replaceStale(server, address.path, error);
    }
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

  /** A socket file without a listener is what a killed process leaves behind. */
  private async replaceStale(server: Server, path: string, cause: unknown): Promise<void> {
    const address = { path };
    if (await isAlive(path)) throw listenError(address, cause);
    try {
      unlinkSync(path);
      await startListening(server, address);
    } catch (error) {
      throw listenError(address, error);
    }
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

function startListening(server: Server, address: NetAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    server.once('error', onError);
    withPrivateUmask('path' in address, () =>
      server.listen({ ...address, backlog: BACKLOG }, () => {
        server.removeListener('error', onError);
        if ('path' in address) chmodSync(address.path, SOCKET_MODE);
        resolve();
      }),
    );
  });
}

/** listen() binds at once, so the socket is private from its first moment; workers may not touch the umask and chmod later. */
function withPrivateUmask(isUnix: boolean, run: () => void): void {
  if (!isUnix || !isMainThread) return run();
  const before = process.umask(0o777 & ~SOCKET_MODE);
  try {
    run();
  } finally {
    process.umask(before);
  }
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Only "nobody listens" proves that it is stale.
    probe.once('error', (error) => resolve((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED'));
  });
}

function nameOf(address: NetAddress): string {
  if ('path' in address) return address.path;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function connectError(name: string, cause: unknown): MarsError {
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

function listenError(address: NetAddress, cause: unknown): MarsError {
  return machineError(ErrorCode.SOCKET, {
    action: `listen on ${nameOf(address)}`,
    errno: errnoOf(cause),
    cause,
    hint: errnoOf(cause) === EADDRINUSE ? inUseHint(address) : undefined,
    ...('path' in address ? { path: address.path } : {}),
  });
}

function inUseHint(address: NetAddress): string {
  if ('path' in address) return `Another process listens on ${address.path}; "ss -xlp" shows which. Stop it first.`;
  return `Another process listens on port ${address.port}; "ss -ltnp sport = :${address.port}" shows which. Stop it, or choose another port.`;
}
