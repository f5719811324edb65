import { isIP, type Socket } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { ErrorCode, MarsError, causeText } from '@mars/brick-core';
import { given, type TlsClientMaterial, type TlsMaterial } from './material.js';

/**
 * Whoever waits for one end of a handshake: `begin` starts it, and says how its events come. When it fails the socket is destroyed.
 * @throws MarsError SOCKET
 */
function settled(
  socket: Socket,
  signal: AbortSignal,
  begin: (resolve: (tls: TLSSocket) => void, fail: (cause: unknown) => void) => () => void,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    let release = (): void => {};
    const settle = (run: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      release();
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
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else release = begin((tls) => settle(() => resolve(tls)), fail);
  });
}

/**
 * The TLS handshake as the server, on a connected socket. When it fails the socket is destroyed.
 *
 * A server per connection: only a `tls.Server` checks client certificates, and with one of its own there is no question which
 * handshake an event belongs to. Making it costs less than a tenth of the handshake.
 * @throws MarsError SOCKET
 */
export function shakeHands(socket: Socket, material: TlsMaterial, signal: AbortSignal): Promise<TLSSocket> {
  return settled(socket, signal, (resolve, fail) => {
    const { cert, key, ca } = material;
    const server = createServer({
      cert,
      key,
      minVersion: 'TLSv1.3',
      ...(ca === null ? {} : { ca, requestCert: true, rejectUnauthorized: true }),
    });
    server.once('secureConnection', resolve);
    server.once('tlsClientError', fail);
    server.emit('connection', socket);
    return () => server.removeAllListeners();
  });
}

/** The TLS handshake as the client. A server whose certificate is not good for the name, or not signed as asked, is turned down. */
export function shakeHandsAsClient(
  socket: Socket,
  material: TlsClientMaterial,
  signal: AbortSignal,
): Promise<TLSSocket> {
  return settled(socket, signal, (resolve, fail) => {
    const { cert, key, ca, serverName } = material;
    const named = isIP(serverName) > 0 ? { host: serverName } : { host: serverName, servername: serverName };
    const tls = connect({
      socket,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: true,
      ...named,
      ...given({ cert, key, ca }),
    });
    const ended = (): void => fail(new Error('the server has ended the connection'));
    const done = (): void => resolve(tls);
    tls.once('secureConnect', done).once('error', fail).once('close', ended);
    return () => tls.off('secureConnect', done).off('error', fail).off('close', ended);
  });
}

/** Common name of the peer's certificate; null when it showed none. */
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
