import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';
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
} from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { nameOf } from './listen.js';
import { certificateOf, peerOf, refusalOf } from './peer-certificate.js';
import { CONNECT_TIMEOUT_MS, connectError } from './real-net.js';
import { listenSecurely } from './secure-listener.js';
import { RealSecureStream } from './secure-stream.js';
import { TLS_SETTINGS, memberContext, tlsError } from './tls-settings.js';

/** Secure connections of this machine. */
export class RealSecureNet implements SecureNet {
  private readonly open = new Set<{ destroy(): void }>();

  async connect(
    address: NetAddress,
    trust: ConnectTrust,
    { timeoutMs = CONNECT_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<SecureStream> {
    const name = nameOf(address);
    const socket = connectPlain(address);
    this.keep(socket);
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(lateError(name)), timeoutMs);
    const onAbort = (): void => abort.abort(signal!.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      await whenConnected(socket, name, abort.signal);
      if (trust.kind === 'plain') return new RealSecureStream(socket, null, false, name);
      return await this.encrypt(socket, trust, name, abort.signal);
    } catch (error) {
      socket.on('error', () => {}); // a late error of a connection that nobody wants any more
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async listen(address: NetAddress, trust: ListenTrust, options: SecureListenOptions): Promise<SecureListener> {
    const listener = await listenSecurely(address, trust, options, (socket) => this.keep(socket));
    const entry = { destroy: () => void listener.close() };
    this.open.add(entry);
    return {
      address: listener.address,
      update: (credentials) => listener.update(credentials),
      close: () => {
        this.open.delete(entry);
        return listener.close();
      },
    };
  }

  /** Closes every listener and connection. */
  shutDown(): void {
    for (const each of [...this.open]) each.destroy();
  }

  private keep(socket: Socket): void {
    this.open.add(socket);
    socket.once('close', () => this.open.delete(socket));
  }

  private async encrypt(
    socket: Socket,
    trust: Exclude<ConnectTrust, { kind: 'plain' }>,
    name: string,
    signal: AbortSignal,
  ): Promise<SecureStream> {
    const context = trust.kind === 'member' ? memberContext(trust.credentials) : createSecureContext(TLS_SETTINGS);
    // The certificate is looked at below, when the handshake is over; the name in it is no address.
    const tls = connectTls({
      socket,
      secureContext: context,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    this.keep(tls);
    await whenSecure(tls, name, signal);
    const certificate = certificateOf(tls);
    if (certificate === null) throw tlsError(name, 'foreign-authority', 'the other side shows no certificate');
    const peer = peerOf(certificate);
    checkServer(tls, trust, peer, name);
    return new RealSecureStream(tls, peer, true, name);
  }
}

function checkServer(
  tls: TLSSocket,
  trust: Exclude<ConnectTrust, { kind: 'plain' }>,
  peer: SecurePeer,
  name: string,
): void {
  if (trust.kind === 'joining') {
    if (peer.fingerprintHex === trust.serverFingerprintHex) return;
    throw tlsError(name, 'wrong-certificate', 'this is not the host that has issued the token');
  }
  if (tls.authorized) return;
  const code = String(tls.authorizationError ?? '');
  throw tlsError(name, refusalOf(code), `its certificate is not good: ${code}`);
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
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== undefined && !code.startsWith('ERR_'))
    return machineError(ErrorCode.SOCKET, { action: `talk to ${name}`, errno: errnoOf(cause), cause });
  return tlsError(name, 'no-tls', causeText(cause), cause);
}
