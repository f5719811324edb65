import type { Clock, Logger, MarsError, NetAddress, Random, SecureNet } from '@mars/brick-core';
import type { Channel, Purpose, Stamps } from '../channel/types.js';
import type { Identity, MemberFacts, RefusalReason } from '../trust/types.js';

export interface PeerNetOptions {
  net: SecureNet;
  clock: Clock;
  random: Random;
  log: Logger;
  stamps: Stamps;
  /** This host. */
  host: string;
  /** For people, sent in the hello. */
  version: string;
  /** What this host can do beyond what everybody can. */
  capabilities?: readonly string[];
  identity: Identity;
  facts: MemberFacts;
  /** How long somebody may take to say who it is, ms (HANDSHAKE_TIMEOUT_MS). */
  handshakeTimeoutMs?: number;
}

/** Refusals so far, for the control file `info` and for metrics. */
export type RefusalCounts = Partial<Record<RefusalReason, number>>;

/**
 * The network as the hosts of one cluster see it: one per daemon (one short-lived per command of `marsadm`).
 *
 * ```ts
 * const net = new PeerNet({ net: platform.secureNet, clock, random, log, stamps, host, version, identity, facts });
 * net.serve('tree', (channel) => exchange.accepted(channel));
 * await net.listen({ host: '::', port: 7777 });
 * const link = net.link('nodeb', { host: '10.1.0.2', port: 7777 }, 'tree', { up, down });
 * store.subscribe(() => net.recheck());                       // members may have gone
 * ```
 */
export interface PeerNetApi {
  /** Who takes channels of this purpose that others open to us. Others are refused (`unknown-purpose`). */
  serve(purpose: Purpose, accept: (channel: Channel) => void): void;
  /** Opens a port. @throws MarsError SOCKET */
  listen(address: NetAddress): Promise<NetAddress>;
  /** Opens one channel; see {@link PeerLinkApi} for one that should always be there. @throws MarsError SOCKET, TLS_REFUSED, PEER_REFUSED … */
  connect(host: string, address: NetAddress, purpose: Purpose, options?: { signal?: AbortSignal }): Promise<Channel>;
  link(host: string, address: NetAddress, purpose: Purpose, events: PeerLinkEvents): PeerLinkApi;
  /** Checks all open channels against the facts again, and closes those of hosts that are no members any more. */
  recheck(): void;
  /** New certificate (rotation), or a plain-text cluster that has become a secure one. Open channels go on. */
  setIdentity(identity: Identity): void;
  readonly refusals: RefusalCounts;
  readonly channels: readonly Channel[];
  /** Closes listeners, links and channels. */
  close(): Promise<void>;
}

export interface PeerLinkEvents {
  /** A channel is there: register handlers, then `start()`. Never called again before `down`. */
  up(channel: Channel): void;
  /** It is gone (`null`: orderly). The next attempt follows by itself. */
  down?(error: MarsError | null): void;
}

/** Plain data for the control file `peers`. */
export interface PeerLinkStatus {
  host: string;
  address: NetAddress;
  state: 'off' | 'waiting' | 'connecting' | 'up';
  /** Attempts since it was last up. */
  attempts: number;
  /** Why it is not up. */
  lastError: MarsError | null;
  /** End of the certificate of the other side, ms since the epoch; null = not known. */
  certificateExpiresMs: number | null;
}

/** Keeps one channel to one host: tries again with growing, slightly random pauses, for ever. */
export interface PeerLinkApi {
  readonly host: string;
  readonly status: PeerLinkStatus;
  readonly channel: Channel | null;
  start(): void;
  /** No attempt any more; an open channel is closed. `down` is not called. */
  stop(): void;
  /** Try at once (something has changed: a pin has arrived, an address). */
  kick(): void;
  /** Another address: an open channel is closed, the next attempt goes there. */
  setAddress(address: NetAddress): void;
}
