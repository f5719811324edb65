import { ErrorCode, MarsError, type Clock, type Logger } from '@mars/brick-core';
import type { PeerNetApi } from '@mars/wire';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { addressOf } from './addresses.js';
import { MAX_PEERS } from './limits.js';
import { Peer } from './peer.js';
import { choose, isMute, probe } from './peer-lines.js';
import type { Line, Session } from './session.js';

/** What the table needs of its host. */
export interface PeerTableOptions {
  /** Local host. */
  me: string;
  net: Pick<PeerNetApi, 'link'>;
  port: number;
  clock: Clock;
  log: Logger;
  snapshot: () => TreeSnapshot;
  makeSession: (line: Line, peer: Peer, isOutgoing: boolean) => Session;
  /** A session is used from now on. */
  used: (session: Session) => void;
}

/**
 * The other hosts of the cluster, as `ips/` names them, and the connections with them: one that is used per peer, whoever has opened it.
 *
 * ```
 *   link (ours) ──up──┐
 *                     ├─> session: greeting ──hello──> choose ──> active, or standby until it is clear that the active one is dead
 *   accept (theirs) ──┘
 * ```
 */
export class PeerTable implements Iterable<Peer> {
  private readonly peers = new Map<string, Peer>();
  private readonly sessions = new Set<Session>();
  private isRunning = false;
  private isStale = false;
  private areConnectionsStale = false;

  constructor(private readonly options: PeerTableOptions) {}

  [Symbol.iterator](): IterableIterator<Peer> {
    return this.peers.values();
  }

  get(host: string): Peer | undefined {
    return this.peers.get(host);
  }

  /** Sessions that are used. */
  get active(): Session[] {
    return [...this].map(({ active }) => active).filter((session) => session !== null);
  }

  /** Hosts with a session that is used. */
  connected(): string[] {
    return this.active.map(({ name }) => name);
  }

  start(): void {
    this.isRunning = true;
    this.refresh();
  }

  stop(): void {
    this.isRunning = false;
    for (const session of this.active) session.flush();
    for (const peer of [...this]) this.drop(peer);
  }

  // ---- who is a peer

  /** `ips/` has changed; seen to in a turn of its own, because we are inside a change of the tree. */
  becomesStale(): void {
    if (this.isStale) return;
    this.isStale = true;
    this.options.clock.after(0, this, refreshStep);
  }

  refresh(): void {
    this.isStale = false;
    if (!this.isRunning) return;
    const { me, log, snapshot } = this.options;
    const hosts = snapshot()
      .hosts()
      .filter((host) => host !== me);
    if (hosts.length > MAX_PEERS)
      log.error({ hosts: hosts.length, most: MAX_PEERS }, 'there are too many hosts; some are left out');
    const wanted = new Set(hosts.slice(0, MAX_PEERS));
    for (const peer of [...this]) if (!wanted.has(peer.host)) this.drop(peer);
    for (const host of wanted) this.keep(host);
  }

  private keep(host: string): void {
    const value = addressOf(this.options.snapshot(), host);
    const address = value === null ? null : { host: value, port: this.options.port };
    const known = this.peers.get(host);
    if (known === undefined) {
      const peer = new Peer(host, address);
      this.peers.set(host, peer);
      this.makeLink(peer);
      return this.updateLink(peer);
    }
    if (JSON.stringify(known.address) === JSON.stringify(address)) return;
    known.address = address;
    if (known.link === null) this.makeLink(known);
    else if (address !== null) known.link.setAddress(address);
    this.updateLink(known);
  }

  private makeLink(peer: Peer): void {
    if (peer.address === null) return;
    peer.link = this.options.net.link(peer.host, peer.address, 'tree', {
      up: (channel) => this.open(channel, peer, true),
    });
  }

  private drop(peer: Peer): void {
    this.peers.delete(peer.host);
    peer.link?.stop();
    // It must not be started again when its connection has closed.
    peer.link = null;
    peer.giveUp(Infinity);
    for (const session of [...this.sessions]) if (session.peer === peer) session.line.close();
  }

  // ---- connections come and go

  /** A channel that a peer has opened to us. */
  accept(channel: Line): void {
    // It may have been admitted a moment ago, in this very turn.
    if (!this.peers.has(channel.remote.host)) this.refresh();
    const peer = this.peers.get(channel.remote.host);
    if (peer !== undefined && this.isRunning) return this.open(channel, peer, false);
    const { me } = this.options;
    const { host } = channel.remote;
    channel.start();
    channel.close(
      new MarsError(ErrorCode.PEER_REFUSED, `${me} does not know ${host}`, {
        hint: `"marsadm get-link ips/ip-${host}" on ${me} should show an address.`,
        details: { host },
      }),
    );
  }

  private open(line: Line, peer: Peer, isOutgoing: boolean): void {
    const session = this.options.makeSession(line, peer, isOutgoing);
    peer.counts.sessions++;
    this.sessions.add(session);
    if (isOutgoing) peer.outgoing = session;
    line.onClose((error) => this.closed(session, error));
    session.open();
  }

  /** The peer has said hello: is this the session to be used? */
  greeted(session: Session): void {
    const { peer } = session;
    if (choose(this.options.me, peer, session) !== 'standby') return this.use(session);
    peer.standby?.session.line.close();
    peer.standby = {
      session,
      sinceMs: this.options.clock.nowUs / 1000,
      heardUs: peer.active!.line.stats.lastHeardUs,
    };
    // Whatever it answers shows that it lives.
    peer.active!.compareSoon(0);
  }

  private use(session: Session): void {
    const { peer } = session;
    const former = peer.active;
    peer.active = session;
    if (peer.standby?.session === session) peer.standby = null;
    if (former !== null) {
      former.isActive = false;
      former.line.close();
    }
    session.activate();
    this.connectionsAreStale();
    this.updateLink(peer);
    const { log, used } = this.options;
    log.info({ peer: peer.host, address: session.line.address }, 'exchange of facts with a peer begins');
    used(session);
  }

  private closed(session: Session, error: MarsError | null): void {
    const { peer } = session;
    const wasActive = peer.active === session;
    this.sessions.delete(session);
    session.closed();
    peer.noteClosed(session, error);
    if (peer.outgoing === session) peer.outgoing = null;
    if (peer.standby?.session === session) peer.standby = null;
    if (wasActive) this.lost(peer);
    this.updateLink(peer);
  }

  private lost(peer: Peer): void {
    peer.active = null;
    if (peer.standby !== null) return this.use(peer.standby.session);
    if (!this.isRunning) return;
    const { log } = this.options;
    log.info({ peer: peer.host, reason: peer.lastError?.text }, 'exchange of facts with a peer is interrupted');
    this.connectionsAreStale();
    // What it had sent to us alone may not have reached those whom it told us it would tell itself.
    for (const session of this.active) session.lose();
  }

  /** A peer has lost connections of its own. */
  connectionsLost(session: Session, hosts: readonly string[]): void {
    if (!session.isActive) return;
    // From now on we pass on what we hear from it; what we have heard before, they may never have got.
    for (const host of hosts) this.peers.get(host)?.active?.lose();
  }

  private connectionsAreStale(): void {
    if (this.areConnectionsStale) return;
    this.areConnectionsStale = true;
    this.options.clock.after(0, this, connectionsStep);
  }

  /** Called in a turn of its own. */
  announceConnections(): void {
    this.areConnectionsStale = false;
    const hosts = this.connected();
    for (const session of this.active) session.announceConnections(hosts);
  }

  /** One connection is enough: while the peer's is used, we open none. */
  private updateLink(peer: Peer): void {
    if (peer.link === null) return;
    const isNeeded = this.isRunning && (peer.active === null || peer.outgoing !== null);
    if (isNeeded === peer.isLinkStarted) return;
    peer.isLinkStarted = isNeeded;
    if (isNeeded) peer.link.start();
    else peer.link.stop();
  }

  // ---- once a second

  pulse(nowMs: number): void {
    for (const session of [...this.sessions]) {
      if (isMute(session, nowMs)) session.line.close();
      else session.pulse();
    }
    for (const peer of this) this.lookAfter(peer, nowMs);
  }

  private lookAfter(peer: Peer, nowMs: number): void {
    peer.giveUp(nowMs);
    // The wire waits longer from attempt to attempt; a healed partition should be noticed within two seconds.
    if (peer.active === null && peer.isLinkStarted) peer.link!.kick();
    const { standby } = peer;
    const verdict = probe(peer, nowMs);
    if (verdict === 'close-standby') standby!.session.line.close();
    if (verdict === 'promote-standby') this.use(standby!.session);
  }

  /** Everything is opened anew. */
  reset(): void {
    for (const session of [...this.sessions]) session.line.close();
  }
}

function refreshStep(table: PeerTable): void {
  table.refresh();
}

function connectionsStep(table: PeerTable): void {
  table.announceConnections();
}
