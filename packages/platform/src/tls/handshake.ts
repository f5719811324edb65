import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { ErrorCode, MarsError, causeText } from '@mars/brick-core';
import type { TlsMaterial } from './material.js';

/**
 * The TLS handshake as the server, on a connected socket. When it fails the socket is destroyed.
 *
 * A server per connection: only a `tls.Server` checks client certificates, and with one of its own there is no question which
 * handshake an event belongs to. Making it costs less than a tenth of the handshake.
 * @throws MarsError SOCKET
 */
export function shakeHands(socket: Socket, material: TlsMaterial, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { cert, key, ca } = material;
    const server = createServer({
      cert,
      key,
      minVersion: 'TLSv1.3',
      ...(ca === null ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
    });
    const settle = (run: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      server.removeAllListeners();
      run();
    };
    const fail = (cause: unknown): void =>
      settle(() => {
        socket.on('error', () => {}); // a late error of a connection that nobody wants any more
        socket.destroy();
        const text = `the TLS handshake failed: ${causeText(cause)}`;
        reject(new MarsError(ErrorCode.SOCKET, text, { cause, hint: 'Check the certificates of both sides.' }));
      });
    const onAbort = (): void => fail(signal.reason);
    server.once('secureConnection', (tls: TLSSocket) => settle(() => resolve(tls)));
    server.once('tlsClientError', fail);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else server.emit('connection', socket);
  });
}

/** Common name of the client's certificate; null when it showed none. */
export function peerName(tls: TLSSocket): string | null {
  // Without a certificate the object is empty, and a name may come more than once, whatever the types say.
  const { subject } = tls.getPeerCertificate() as { subject?: { CN?: string | string[] } };
  const name = subject?.CN;
  return (Array.isArray(name) ? name[0] : name) ?? null;
}

/** Bytes both ways until one side ends; then the other one ends too, and both are gone. */
export function join(one: Socket, other: Socket): void {
  const pass = (from: Socket, to: Socket): void => {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  };
  pass(one, other);
  pass(other, one);
}
