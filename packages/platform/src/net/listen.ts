import { chmodSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { EADDRINUSE, ErrorCode, type MarsError, type NetAddress } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';

/** Connections that wait to be accepted. */
export const LISTEN_BACKLOG = 128;
/** Sockets in the file system are for their owner only. */
export const SOCKET_MODE = 0o600;

export interface ListenOptions {
  backlog?: number;
  /** Of a unix socket. */
  mode?: number;
}

/**
 * Runs `listen`; when a unix socket is in the way that nobody listens on (a killed process leaves it behind), removes it and
 * tries once more. @throws MarsError with a hint that names the port or path
 */
export async function replacingStale<T>(address: NetAddress, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    const mayBeStale = 'path' in address && errnoOf(error) === EADDRINUSE;
    if (!mayBeStale || (await isAlive(address.path))) throw listenError(address, error);
    try {
      unlinkSync(address.path);
      return await listen();
    } catch (second) {
      throw listenError(address, second);
    }
  }
}

/** Rejects with Node's own error. */
export function startListening(
  server: Server,
  address: NetAddress,
  { backlog = LISTEN_BACKLOG, mode = SOCKET_MODE }: ListenOptions = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    server.once('error', onError);
    withPrivateUmask('path' in address, () =>
      server.listen({ ...address, backlog }, () => {
        server.removeListener('error', onError);
        if ('path' in address) chmodSync(address.path, mode);
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

export function nameOf(address: NetAddress): string {
  if ('path' in address) return address.path;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
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
