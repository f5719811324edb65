import type { InjectionToken } from '../di.js';

/** Who a TLS server is, and whom it trusts. Paths of PEM files. */
export interface TlsIdentity {
  certPath: string;
  keyPath: string;
  /** Certificate authorities of the clients; needed with `verifyPeer`. */
  caPath?: string;
  /** Only clients with a certificate of one of these authorities come in. */
  verifyPeer: boolean;
}

/** Whom a TLS client trusts, and who it is. Paths of PEM files. The server is always verified. */
export interface TlsClientIdentity {
  /** Authorities that sign the server; without it those of this machine. */
  caPath?: string;
  /** For servers that want to know who comes; both or neither. */
  certPath?: string;
  keyPath?: string;
  /** DNS name or address that the server's certificate must be good for. */
  serverName: string;
}

/** A connection whose other side has proved itself, as far as that was asked for. */
export interface TlsPeer {
  /** Descriptor for the ring: plain bytes. It is yours; closing it ends the TLS connection. */
  fd: number;
  /** Common name of the peer's certificate; null when it showed none. */
  name: string | null;
}

/** One identity, ready for connections. */
export interface TlsServer {
  /**
   * Does the TLS handshake as the server. `fd` is a connected socket of the ring with nothing under way on it; it is taken
   * over, also when this fails.
   * @throws MarsError SOCKET
   */
  accept(fd: number, options: { signal: AbortSignal }): Promise<TlsPeer>;
}

/** One trust, ready for connections. */
export interface TlsClient {
  /**
   * Does the TLS handshake as the client. `fd` is a connected socket of the ring with nothing under way on it; it is taken
   * over, also when this fails.
   * @throws MarsError SOCKET: also when the server's certificate is not the one that was asked for
   */
  connect(fd: number, options: { signal: AbortSignal }): Promise<TlsPeer>;
}

/**
 * Where TLS ends: outside the ring, because node:tls needs an ordinary event loop and a ring thread has none. What comes back
 * is one end of a socket pair, so the hot path sees an ordinary socket. Cold path. Source: decided.md, *Data path*
 */
export interface TlsEndpoint {
  /** Reads the files. @throws MarsError FILE_IO, BAD_PARAMETER when they do not fit together */
  server(identity: TlsIdentity): TlsServer;
  /** Reads the files. @throws MarsError FILE_IO, BAD_PARAMETER when they do not fit together */
  client(identity: TlsClientIdentity): TlsClient;
}

export const TLS_ENDPOINT: InjectionToken<TlsEndpoint> = Symbol('brick-core/TlsEndpoint');
