import type { InjectionToken } from '../di.js';
import type { NetAddress, NetListener, NetStream } from './net.js';

/** Who this host is, and whose signature counts. PEM texts; nothing is read from files here. */
export interface TlsCredentials {
  /** The one authority of the cluster. */
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** The other side of a connection, as its certificate says. It is signed by our authority and valid now; more is not known yet. */
export interface SecurePeer {
  /** Common name: the host. */
  readonly name: string;
  /** SHA-256 of the whole certificate, 64 lower-case hex digits. */
  readonly fingerprintHex: string;
  readonly certificateDer: Uint8Array;
  /** End of the certificate, wall clock, ms since the epoch. */
  readonly expiresMs: number;
}

/** An ordered byte stream whose other side has proved itself, as far as that was asked for. */
export interface SecureStream extends NetStream {
  /** null: it showed no certificate (it may only join), or the connection is in plain text. */
  readonly peer: SecurePeer | null;
  /** False only where the caller has asked for `plain`. */
  readonly isEncrypted: boolean;
  /**
   * Like `write`, without the copy: the bytes must stay as they are until `done` is called, once, also when the stream breaks.
   * Worth it for payloads; small things are better copied.
   */
  writeOwned(bytes: Uint8Array, done?: () => void): boolean;
}

/** What a connecting side shows and demands. */
export type ConnectTrust =
  | { readonly kind: 'member'; readonly credentials: TlsCredentials }
  /** Nothing of our own yet; the server must show exactly this certificate. */
  | { readonly kind: 'joining'; readonly serverFingerprintHex: string }
  | { readonly kind: 'plain' };

/** What a listening side shows and demands. A client without any certificate comes in with `peer: null`, a bad one never does. */
export type ListenTrust = Exclude<ConnectTrust, { kind: 'joining' }>;

/** Why a handshake came to nothing. */
export type TlsRefusal =
  'foreign-authority' | 'expired' | 'not-yet-valid' | 'wrong-certificate' | 'timeout' | 'no-tls' | 'too-many';

export interface SecureListenOptions {
  accept(stream: SecureStream): void;
  /** Somebody did not come in; for counting and rate-limited logging. `remote` has no port, so that repeats look alike. */
  refused?(refusal: TlsRefusal, remote: string, text: string): void;
  /** From the first packet to the end of the TLS handshake, ms. */
  handshakeTimeoutMs?: number;
  /** Handshakes under way at the same time; more are refused. */
  maxHandshakes?: number;
}

export interface SecureListener extends NetListener {
  /** New certificates for connections to come; those that are open go on. */
  update(credentials: TlsCredentials): void;
}

/**
 * Mutual TLS 1.3 between the hosts of one cluster. The certificate of the other side is checked against the authority, not against
 * an address: which *host* may come in is decided above, from `peer`. Errors are `MarsError`s (SOCKET, TLS_REFUSED).
 * Source: decided.md, *Trust*
 */
export interface SecureNet {
  connect(
    address: NetAddress,
    trust: ConnectTrust,
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<SecureStream>;
  listen(address: NetAddress, trust: ListenTrust, options: SecureListenOptions): Promise<SecureListener>;
}

export const SECURE_NET: InjectionToken<SecureNet> = Symbol('brick-core/SecureNet');
