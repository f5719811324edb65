import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import {
  causeText,
  type ListenTrust,
  type NetAddress,
  type SecureListenOptions,
  type SecureListener,
  type TlsCredentials,
  type TlsRefusal,
} from '@mars/brick-core';
import { replacingStale, startListening } from './listen.js';
import { certificateOf, peerOf, refusalOf } from './peer-certificate.js';
import { TLS_SETTINGS, memberContext } from './tls-settings.js';
import { RealSecureStream } from './secure-stream.js';

/** From the first packet to the end of the handshake, ms; a slow line needs two round trips and some kilobytes. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
/** Handshakes at the same time. Each costs about 50 KiB and a millisecond of CPU. */
export const MAX_TLS_HANDSHAKES = 64;

/** Opens a port. `keep` is told about every socket, so that all of them can be closed at the end. */
export async function listenSecurely(
  address: NetAddress,
  trust: ListenTrust,
  options: SecureListenOptions,
  keep: (socket: Socket) => void,
): Promise<SecureListener> {
  const tls = trust.kind === 'plain' ? null : new TlsDoor(trust.credentials, options, keep);
  const server = createServer((socket) => {
    keep(socket);
    if (tls === null) options.accept(new RealSecureStream(socket, null, false));
    else tls.arrived(socket);
  });
  await replacingStale(address, () => startListening(server, address));
  server.on('error', () => {}); // accept() without descriptors: the connection waits in the backlog, nothing is lost
  const bound = server.address() as AddressInfo;
  return {
    address: 'path' in address ? address : { host: bound.address, port: bound.port },
    update: (credentials) => tls?.update(credentials),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function serverSettings(credentials: TlsCredentials): TlsOptions {
  memberContext(credentials); // says what is wrong in our words
  const { caPem: ca, certPem: cert, keyPem: key } = credentials;
  return { ...TLS_SETTINGS, ca, cert, key };
}

/** Does the handshakes of one port, a bounded number at a time. The TLS server itself never listens; it is given its connections. */
class TlsDoor {
  private readonly server: TlsServer;
  /** Sockets in their handshake, by where they come from. */
  private readonly pending = new Map<string, Socket>();
  private readonly most: number;

  constructor(
    credentials: TlsCredentials,
    private readonly options: SecureListenOptions,
    private readonly keep: (socket: Socket) => void,
  ) {
    this.most = options.maxHandshakes ?? MAX_TLS_HANDSHAKES;
    this.server = createTlsServer({
      ...serverSettings(credentials),
      requestCert: true,
      // Who shows no certificate may still join; who shows a bad one is turned away below, with a reason.
      rejectUnauthorized: false,
      handshakeTimeout: options.handshakeTimeoutMs ?? TLS_HANDSHAKE_TIMEOUT_MS,
    });
    this.server.on('secureConnection', (tls: TLSSocket) => this.secured(tls));
    this.server.on('tlsClientError', (error: NodeJS.ErrnoException, tls: TLSSocket) => this.failed(error, tls));
  }

  update(credentials: TlsCredentials): void {
    this.server.setSecureContext(serverSettings(credentials));
  }

  arrived(socket: Socket): void {
    if (this.pending.size >= this.most) {
      this.refuse('too-many', socket, `${this.most} handshakes are under way`);
      return;
    }
    const key = keyOf(socket);
    this.pending.set(key, socket);
    socket.once('close', () => {
      if (this.pending.get(key) === socket) this.pending.delete(key);
    });
    // An error before TLS listens to the socket; it closes then, and that is all.
    socket.on('error', () => {});
    this.server.emit('connection', socket);
  }

  private secured(tls: TLSSocket): void {
    this.pending.delete(keyOf(tls));
    this.keep(tls);
    const certificate = certificateOf(tls);
    if (certificate !== null && (!tls.authorized || tls.isSessionReused())) {
      const code = String(tls.authorizationError ?? 'a session of former times');
      return this.refuse(refusalOf(code), tls, code);
    }
    this.options.accept(new RealSecureStream(tls, certificate === null ? null : peerOf(certificate), true));
  }

  private failed(error: NodeJS.ErrnoException, tls: TLSSocket): void {
    const isLate = error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT';
    this.refuse(isLate ? 'timeout' : 'no-tls', tls, causeText(error));
  }

  private refuse(reason: TlsRefusal, socket: Socket, text: string): void {
    const remote = socket.remoteAddress ?? 'somebody who has left';
    socket.on('error', () => {});
    socket.destroy();
    this.options.refused?.(reason, remote, text);
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
