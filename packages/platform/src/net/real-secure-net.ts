import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type ConnectionOptions, type TLSSocket } from 'node:tls';
import {
  ETIMEDOUT,
  ErrorCode,
  causeText,
  type MarsError,
  type ConnectTrust,
  type ListenTrust,
  type NetAddress,
  type SecureListenOptions,
  type SecureListener,
  type SecureNet,
  type SecurePeer,
  type SecureStream,
  type TlsRefusal,
} from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { nameOf } from './listen.js';
import { certificateOf, peerOf, refusalOf } from './peer-certificate.js';
import { CONNECT_TIMEOUT_MS, connectError } from './real-net.js';
import { ReusedBuffer } from './reused-buffer.js';
import { listenSecurely } from './secure-listener.js';
import { RealSecureStream } from './secure-stream.js';
import { TLS_SETTINGS, memberContext, tlsError } from './tls-settings.js';

/** Secure connections of this machine. */
export class RealSecureNet implements SecureNet {
  private readonly all = new Set<{ destroy(): void }>();

  async connect(
    address: NetAddress,
    trust: ConnectTrust,
    { timeoutMs = CONNECT_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<SecureStream> {
    const name = nameOf(address);
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(lateError(name)), timeoutMs);
    const onAbort = (): void => abort.abort(signal!.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      if (trust.kind === 'plain') return await this.open(address, name, abort.signal);
      return await this.openSecurely(address, trust, name, abort.signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async listen(address: NetAddress, trust: ListenTrust, options: SecureListenOptions): Promise<SecureListener> {
    const listener = await listenSecurely(address, trust, options, (socket) => this.keep(socket));
    const entry = { destroy: () => void listener.close() };
    this.all.add(entry);
    return {
      address: listener.address,
      update: (credentials) => listener.update(credentials),
      close: () => {
        this.all.delete(entry);
        return listener.close();
      },
    };
  }

  /** Closes every listener and connection. */
  shutDown(): void {
    for (const each of [...this.all]) each.destroy();
  }

  private keep(socket: Socket): void {
    this.all.add(socket);
    socket.once('close', () => this.all.delete(socket));
  }

  private async open(address: NetAddress, name: string, signal: AbortSignal): Promise<SecureStream> {
    const reads = new ReusedBuffer();
    const socket = connectPlain({ ...address, onread: reads.onread });
    this.keep(socket);
    await orDestroyed(socket, whenConnected(socket, name, signal));
    return new RealSecureStream(socket, null, false, name, reads);
  }

  private async openSecurely(
    address: NetAddress,
    trust: Exclude<ConnectTrust, { kind: 'plain' }>,
    name: string,
    signal: AbortSignal,
  ): Promise<SecureStream> {
    const secureContext =
      trust.kind === 'member' ? memberContext(trust.credentials) : createSecureContext(TLS_SETTINGS);
    const reads = new ReusedBuffer();
    // The certificate is looked at below, when the handshake is over; the name in it is no address.
    const options: ConnectionOptions & Pick<ReusedBuffer, 'onread'> = {
      ...address,
      secureContext,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      onread: reads.onread,
    };
    const tls = connectTls(options);
    this.keep(tls);
    await orDestroyed(tls, whenSecure(tls, name, signal));
    const peer = checkServer(tls, trust, name);
    return new RealSecureStream(tls, peer, true, name, reads);
  }
}

/** A connection that comes to nothing leaves nothing behind. */
async function orDestroyed(socket: Socket, opened: Promise<void>): Promise<void> {
  try {
    await opened;
  } catch (error) {
    discard(socket);
    throw error;
  }
}

function discard(socket: Socket): void {
  socket.on('error', () => {}); // a late error of a connection that nobody wants any more
  socket.destroy();
}

/** @throws MarsError TLS_REFUSED, and the connection is gone */
function checkServer(tls: TLSSocket, trust: Exclude<ConnectTrust, { kind: 'plain' }>, name: string): SecurePeer {
  const certificate = certificateOf(tls);
  const peer = certificate === null ? null : peerOf(certificate);
  const refusal = whyNot(tls, trust, peer);
  if (peer !== null && refusal === null) return peer;
  discard(tls);
  throw tlsError(name, ...(refusal ?? (['foreign-authority', 'the other side shows no certificate'] as const)));
}

function whyNot(
  tls: TLSSocket,
  trust: Exclude<ConnectTrust, { kind: 'plain' }>,
  peer: SecurePeer | null,
): readonly [TlsRefusal, string] | null {
  if (trust.kind === 'joining')
    return peer?.fingerprintHex === trust.serverFingerprintHex
      ? null
      : ['wrong-certificate', 'this is not the host that has issued the token'];
  if (tls.authorized) return null;
  const code = String(tls.authorizationError ?? '');
  return [refusalOf(code), `its certificate is not good: ${code}`];
}

function whenConnected(socket: Socket, name: string, signal: AbortSignal): Promise<void> {
  return settled(signal, (resolve, reject) => {
    const onConnect = (): void => resolve();
    const onError = (cause: Error): void => reject(connectError(name, cause));
    socket.once('connect', onConnect);
    socket.once('error', onError);
    return () => {
      socket.removeListener('connect', onConnect);
      socket.removeListener('error', onError);
    };
  });
}

function whenSecure(tls: TLSSocket, name: string, signal: AbortSignal): Promise<void> {
  return settled(signal, (resolve, reject) => {
    const onError = (cause: Error): void => reject(handshakeError(name, cause));
    const onClose = (): void => reject(tlsError(name, 'no-tls', 'the other side has closed the connection'));
    tls.once('secureConnect', resolve);
    tls.once('error', onError);
    tls.once('close', onClose);
    return () => {
      tls.removeListener('secureConnect', resolve);
      tls.removeListener('error', onError);
      tls.removeListener('close', onClose);
    };
  });
}

/** A promise that also ends with the signal, and cleans up after itself. */
function settled(
  signal: AbortSignal,
  start: (resolve: () => void, reject: (error: Error) => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const settle = (run: () => void): void => {
      cleanUp();
      signal.removeEventListener('abort', onAbort);
      run();
    };
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    const cleanUp = start(
      () => settle(resolve),
      (error) => settle(() => reject(error)),
    );
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function lateError(name: string): MarsError {
  return machineError(ErrorCode.SOCKET, { action: `connect to ${name}`, errno: ETIMEDOUT });
}

/** An alert of the other side, bytes that are no TLS, or a connection that broke. */
function handshakeError(name: string, cause: Error): MarsError {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  if (syscall === 'connect' || syscall === 'getaddrinfo') return connectError(name, cause);
  if (code !== undefined && !code.startsWith('ERR_'))
    return machineError(ErrorCode.SOCKET, { action: `talk to ${name}`, errno: errnoOf(cause), cause });
  return tlsError(name, 'no-tls', causeText(cause), cause);
}
