// What is under construction: the shape is decided, the classes follow. Each line disappears when its class is there.
import type { Clock, Files, Random, SecureNet, Logger } from '@mars/brick-core';
import type { Stamps } from './channel/types.js';
import type { PeerNetApi, PeerNetOptions } from './net/types.js';
import type { JoinResult, MemberFacts, TrustState } from './trust/types.js';

export declare class PeerNet implements PeerNetApi {
  constructor(options: PeerNetOptions);
  serve: PeerNetApi['serve'];
  listen: PeerNetApi['listen'];
  connect: PeerNetApi['connect'];
  link: PeerNetApi['link'];
  recheck: PeerNetApi['recheck'];
  setIdentity: PeerNetApi['setIdentity'];
  readonly refusals: PeerNetApi['refusals'];
  readonly channels: PeerNetApi['channels'];
  close: PeerNetApi['close'];
}

/**
 * `/mars/.trust/`: who this host is, and whom it may let in. All files 0600 in a directory 0700; every change is one rename.
 * Used by `marsadm` and by the daemon, which sees changes of the other by reading again.
 */
export declare class TrustStore {
  /** @param marsDir `/mars`, or `--mars=DIR` */
  constructor(options: { files: Files; clock: Pick<Clock, 'wallNs'>; random: Random; marsDir: string });
  /** Reads the files. @throws MarsError TRUST_STATE: damaged, or they do not fit together */
  read(): TrustState;
  /** create-cluster, trust-create: a new authority and a certificate for `host`. Replaces what was there. */
  create(host: string): Promise<void>;
  /** create-cluster --insecure, join-cluster --insecure. Replaces what was there. */
  createInsecure(): void;
  /** join-cluster, trust-join: keeps the token until it is redeemed. Replaces what was there. @throws MarsError BAD_TOKEN */
  keepToken(line: string): void;
  /**
   * marsadm invite: a new token, good for one hour and one host. Works without a daemon; the daemon of this host redeems it.
   * @throws MarsError TRUST_STATE on a host that is no member
   */
  invite(address: { host: string; port: number }): string;
  /** Where half of the life of the certificate is over (or with `force`): a new one, signed with the key of the old one. @returns true if there is a new one */
  renew(options?: { force?: boolean }): Promise<boolean>;
  /** leave-cluster: nothing of the cluster remains. */
  remove(): void;
}

/**
 * The joining side: shows the kept token (`TrustStore.keepToken`) to the inviting host, and puts what it gets into `.trust/`.
 * May be repeated when it broke off in the middle: the inviter gives the same host the same answer until the token expires.
 * @throws MarsError JOIN_REFUSED (`details.reason`: a RefusalReason; no use to try again), SOCKET, TLS_REFUSED (try again later)
 */
export declare function redeemToken(options: {
  net: SecureNet;
  clock: Clock;
  random: Random;
  log: Logger;
  stamps: Stamps;
  store: TrustStore;
  host: string;
  /** Address of this host for `ips/ip-HOST`; null: as the inviter sees us. */
  ip: string | null;
  signal?: AbortSignal;
}): Promise<JoinResult>;

/** The inviting side; one per daemon that is a member. Registers itself for the purpose `join`. */
export declare class JoinService {
  constructor(options: {
    peers: PeerNetApi;
    store: TrustStore;
    facts: MemberFacts;
    clock: Clock;
    log: Logger;
    host: string;
    uuid(): string;
    /** The token was good: write `ips/ip-HOST` and `userspace/tls-HOST`, durably, before this returns. */
    admit(host: string, ip: string, fingerprintHex: string): void;
  });
}
