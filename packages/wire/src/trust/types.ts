import type { TlsCredentials, TlsRefusal } from '@mars/brick-core';

/** A certificate that this host had before, and its word (a signature) that the next one is its own. */
export interface Succession {
  readonly certificateDer: Uint8Array;
  /** By the key of `certificateDer`, over the fingerprint of its successor. */
  readonly signature: Uint8Array;
}

/** How this host shows itself. */
export type Identity =
  | {
      readonly kind: 'member';
      readonly credentials: TlsCredentials;
      /** Former certificates, newest first, for hosts that have not seen the new fingerprint yet. */
      readonly successions: readonly Succession[];
    }
  | { readonly kind: 'plain' };

/** What the tree says about members. Looked at for every connection. */
export interface MemberFacts {
  /** `ips/ip-HOST` is there: neither missing nor deleted. */
  isMember(host: string): boolean;
  /** Value of `userspace/tls-HOST`; null = missing or deleted. */
  fingerprintOf(host: string): string | null;
  /**
   * A member came with a new certificate, vouched for by the one that the tree names: write `userspace/tls-HOST`.
   * (Also used by the daemon for its own certificate at the start.)
   */
  renewed(host: string, fingerprintHex: string): void;
}

/** Why somebody does not come in. Counted by these names, logged once per name and remote host. */
export type RefusalReason =
  | TlsRefusal
  /** Only `join` is open to somebody without certificate. */
  | 'no-certificate'
  /** The certificate is for another host than the one it says to be: renamed, or copied. */
  | 'wrong-name'
  /** It says to be this host. */
  | 'own-name'
  /** We asked for one host, another one answered. */
  | 'wrong-host'
  /** `ips/ip-HOST` is missing or deleted. */
  | 'no-member'
  /** `userspace/tls-HOST` is missing: nobody has admitted this certificate, or we have not heard of it yet. */
  | 'not-admitted'
  /** `userspace/tls-HOST` names another certificate. */
  | 'other-certificate'
  | 'unknown-purpose'
  | 'wrong-version'
  | 'bad-protocol'
  | 'slow'
  | 'bad-token'
  | 'token-expired'
  | 'token-used'
  | 'token-unknown'
  | 'name-taken'
  | 'bad-request';

export interface Refusal {
  readonly reason: RefusalReason;
  /** For the log and the person on the other side. */
  readonly text: string;
}

/** What a join token says. It is secret until it is used or has expired. */
export interface JoinToken {
  /** SHA-256 of the cluster's authority, hex. */
  readonly caFingerprintHex: string;
  /** SHA-256 of the certificate of the inviting host, hex: nobody else can take the token. */
  readonly inviterFingerprintHex: string;
  readonly inviter: string;
  readonly address: { readonly host: string; readonly port: number };
  /** Wall clock of the inviting host, ms since the epoch. Only that host decides. */
  readonly expiresMs: number;
  readonly nonceHex: string;
}

/** What stands in `/mars/.trust/`. */
export type TrustState =
  /** No directory: a tree of the original, or nothing yet. The daemon works locally and opens no port. */
  | { readonly kind: 'none' }
  | { readonly kind: 'insecure' }
  /** A token waits for the inviting daemon to be reachable. */
  | { readonly kind: 'joining'; readonly token: JoinToken; readonly line: string }
  | {
      readonly kind: 'member';
      readonly identity: Identity & { kind: 'member' };
      readonly host: string;
      readonly fingerprintHex: string;
      readonly caFingerprintHex: string;
      /**
       * When the authority was made, wall clock of its maker, ms. A fingerprint in the tree with an older stamp is of another authority and
       * means nothing (after a second `trust-create`).
       */
      readonly authorityMadeMs: number;
      readonly expiresMs: number;
    };

/** What a joining host has got; it is already in its `.trust/`. */
export interface JoinResult {
  readonly inviter: string;
  /** The tree of the new member should hold this as `userspace/tls-INVITER`, and `ips/ip-INVITER`, so that it lets the inviter in. */
  readonly inviterFingerprintHex: string;
  readonly inviterAddress: { readonly host: string; readonly port: number };
  readonly uuid: string;
  /** Of the own new certificate. */
  readonly fingerprintHex: string;
  /** See {@link TrustState}; the Lamport clock of the new member should know it before it writes anything. */
  readonly authorityMadeMs: number;
}
