import {
  ErrorCode,
  MarsError,
  invariant,
  isMarsError,
  type Clock,
  type ConnectTrust,
  type ListenTrust,
  type Logger,
  type NetAddress,
  type Random,
  type SecureListener,
  type SecurePeer,
  type SecureStream,
} from '@mars/brick-core';
import { greet, refusedError, welcome, type Hello } from '../channel/handshake.js';
import { Session } from '../channel/session.js';
import type { Channel, Purpose } from '../channel/types.js';
import {
  CONNECT_TIMEOUT_MS,
  HANDSHAKE_TIMEOUT_MS,
  MAX_CHANNELS_PER_HOST,
  MAX_JOINS,
  MAX_PENDING,
  MAX_PENDING_PER_ADDRESS,
} from '../limits.js';
import { admission } from '../trust/admission.js';
import type { Identity, Refusal, RefusalReason } from '../trust/types.js';
import { PeerLink } from './peer-link.js';
import { Refusals } from './refusals.js';
import type { PeerLinkEvents, PeerNetApi, PeerNetOptions, RefusalCounts } from './types.js';

/** The one purpose that is open to somebody without certificate. */
export const JOIN: Purpose = 'join';

interface Door {
  readonly asked: NetAddress;
  listener: SecureListener;
}

/** The network as the hosts of one cluster see it; see {@link PeerNetApi}. */
export class PeerNet implements PeerNetApi {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  private readonly refused: Refusals;
  private readonly servers = new Map<Purpose, (channel: Channel) => void>();
  private readonly sessions = new Set<Session>();
  private readonly links = new Set<PeerLink>();
  private readonly doors: Door[] = [];
  /** Streams that have not said who they are, by address. */
  private readonly pending = new Map<string, number>();
  private pendingCount = 0;
  private identity: Identity;
  private isClosed = false;

  constructor(private readonly options: PeerNetOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.log = options.log;
    this.identity = options.identity;
    this.refused = new Refusals(options.clock, options.log);
  }

  get refusals(): RefusalCounts {
    return this.refused.counts;
  }

  get channels(): readonly Channel[] {
    return [...this.sessions];
  }

  /** Somebody was turned away later than at the door (a bad token). Counted and logged like the others. @internal */
  noteRefusal(reason: RefusalReason, address: string, text: string, host: string): void {
    this.refused.note(reason, hostOf(address), text, host);
  }

  serve(purpose: Purpose, accept: (channel: Channel) => void): void {
    invariant(!this.servers.has(purpose), `${purpose} is served twice`);
    this.servers.set(purpose, accept);
  }

  async listen(address: NetAddress): Promise<NetAddress> {
    const listener = await this.open(address);
    this.doors.push({ asked: listener.address, listener });
    return listener.address;
  }

  async connect(
    host: string,
    address: NetAddress,
    purpose: Purpose,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Channel> {
    const { identity } = this;
    const trust: ConnectTrust = identity.kind === 'plain' ? { kind: 'plain' } : { kind: 'member', credentials: identity.credentials }; // prettier-ignore
    const limits = { timeoutMs: CONNECT_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
    const stream = await this.options.net.connect(address, trust, limits);
    this.checkName(stream, host);
    const session = this.sessionOn(stream);
    await greet(session, {
      clock: this.clock,
      me: this.helloFor(purpose),
      admit: (hello, peer) => this.decide(hello, peer, host),
      isMember: () => true,
      ...(signal === undefined ? {} : { signal }),
    });
    return this.keep(session);
  }

  link(host: string, address: NetAddress, purpose: Purpose, events: PeerLinkEvents): PeerLink {
    const link = new PeerLink(this, host, address, purpose, events, (gone) => this.links.delete(gone));
    this.links.add(link);
    return link;
  }

  recheck(): void {
    if (this.identity.kind === 'plain') return;
    for (const session of [...this.sessions]) {
      if (session.remote.purpose === JOIN || session.peer === null) continue;
      const verdict = this.judge({ host: session.remote.host, successions: [] }, session.peer, null);
      if (verdict.kind === 'in') continue;
      const { reason, text } = verdict.refusal;
      this.refused.note(reason, hostOf(session.address), text, session.remote.host);
      session.close(refusedError(session.address, verdict.refusal, session.remote.host));
    }
  }

  setIdentity(identity: Identity): void {
    const before = this.identity;
    this.identity = identity;
    for (const door of this.doors) {
      if (identity.kind === 'member' && before.kind === 'member') door.listener.update(identity.credentials);
      else void this.reopen(door);
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const link of [...this.links]) link.stop();
    const closing = this.doors.splice(0).map(({ listener }) => listener.close());
    for (const session of this.sessions) closing.push(endOf(session));
    for (const session of [...this.sessions]) session.close();
    await Promise.all(closing);
  }

  // -------------------------------------------------------------------------------------------------------------- accepting

  private open(address: NetAddress): Promise<SecureListener> {
    const { identity } = this;
    const trust: ListenTrust = identity.kind === 'plain' ? { kind: 'plain' } : { kind: 'member', credentials: identity.credentials }; // prettier-ignore
    return this.options.net.listen(address, trust, {
      accept: (stream) => this.arrived(stream),
      refused: (reason, remote, text) => this.refused.note(reason, remote, text),
      handshakeTimeoutMs: this.handshakeTimeoutMs,
      maxHandshakes: MAX_PENDING,
    });
  }

  /** From plain text to TLS, or back: nobody can have both on one port. */
  private async reopen(door: Door): Promise<void> {
    try {
      await door.listener.close();
      if (!this.isClosed) door.listener = await this.open(door.asked);
    } catch (error) {
      if (!isMarsError(error)) throw error;
      this.log.error({ err: error, hint: error.hint }, 'port lost');
    }
  }

  private arrived(stream: SecureStream): void {
    const remote = hostOf(stream.remote);
    const fromThere = this.pending.get(remote) ?? 0;
    if (this.isClosed || this.pendingCount >= MAX_PENDING || fromThere >= MAX_PENDING_PER_ADDRESS) {
      this.refused.note('too-many', remote, 'too many connections have not said who they are');
      return stream.destroy();
    }
    this.pendingCount++;
    this.pending.set(remote, fromThere + 1);
    const session = this.sessionOn(stream);
    this.receive(session, remote).catch((error: unknown) => {
      if (!isMarsError(error)) throw error;
      this.refused.note(reasonOf(error), remote, error.message, textIn(error, 'host'));
    });
  }

  private async receive(session: Session, remote: string): Promise<void> {
    try {
      await welcome(session, {
        clock: this.clock,
        me: this.helloFor(''),
        admit: (hello, peer) => this.decideArrival(hello, peer),
        isMember: ({ purpose }) => purpose !== JOIN,
        timeoutMs: this.handshakeTimeoutMs,
      });
    } finally {
      this.pendingCount--;
      const left = this.pending.get(remote)! - 1;
      if (left === 0) this.pending.delete(remote);
      else this.pending.set(remote, left);
    }
    this.servers.get(session.remote.purpose)!(this.keep(session));
  }

  private decideArrival(hello: Hello, peer: SecurePeer | null): Refusal | null {
    if (!this.servers.has(hello.purpose)) return { reason: 'unknown-purpose', text: 'nobody here serves that' };
    const isJoin = hello.purpose === JOIN;
    // Strangers may claim any name, so they are counted by themselves: they must not use up what belongs to a member.
    const open = [...this.sessions].filter(({ remote }) =>
      isJoin ? remote.purpose === JOIN : remote.purpose !== JOIN && remote.host === hello.host,
    ).length;
    if (open >= (isJoin ? MAX_JOINS : MAX_CHANNELS_PER_HOST))
      return { reason: 'too-many', text: `${open} channels are open` };
    // A token is checked by whoever serves the join; the name means nothing yet.
    return isJoin ? null : this.decide(hello, peer, null);
  }

  // -------------------------------------------------------------------------------------------------------------- deciding

  private decide(hello: Hello, peer: SecurePeer | null, expected: string | null): Refusal | null {
    const verdict = this.judge(hello, peer, expected);
    if (verdict.kind === 'out') return verdict.refusal;
    if (verdict.renewed) this.options.facts.renewed(hello.host, peer!.fingerprintHex);
    return null;
  }

  private judge(
    { host, successions }: Pick<Hello, 'host' | 'successions'>,
    peer: SecurePeer | null,
    expected: string | null,
  ): ReturnType<typeof admission> {
    const { host: me, facts } = this.options;
    const isPlain = this.identity.kind === 'plain';
    return admission({ host, peer, successions }, { me, expected, isPlain, facts });
  }

  /** Before we say a word: is this the certificate of the host that we want? @throws MarsError PEER_REFUSED */
  private checkName(stream: SecureStream, host: string): void {
    if (stream.peer === null || stream.peer.name === host) return;
    stream.destroy();
    const text = `${host} was expected, the certificate is for ${JSON.stringify(stream.peer.name)}`;
    throw refusedError(stream.remote, { reason: 'wrong-host', text }, stream.peer.name);
  }

  private get handshakeTimeoutMs(): number {
    return this.options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
  }

  private helloFor(purpose: Purpose): Hello {
    const { host, version, capabilities = [] } = this.options;
    const successions = this.identity.kind === 'member' ? this.identity.successions : [];
    return { host, purpose, version, capabilities, successions };
  }

  private sessionOn(stream: SecureStream): Session {
    const { clock, stamps } = this.options;
    return new Session({ stream, clock, stamps });
  }

  private keep(session: Session): Session {
    if (this.isClosed) {
      session.close();
      throw new MarsError(ErrorCode.SOCKET, 'the network is closed');
    }
    this.sessions.add(session);
    session.onClose(() => this.sessions.delete(session));
    return session;
  }
}

/** The address without its port. */
function hostOf(remote: string): string {
  return remote.replace(/:\d+$/, '');
}

function textIn(error: MarsError, key: string): string {
  const value = error.details[key];
  return typeof value === 'string' ? value : '';
}

/** The name under which a failed handshake is counted. */
function reasonOf(error: MarsError): RefusalReason {
  const { reason } = error.details;
  if (typeof reason === 'string' && error.details['isFromPeer'] !== true) return reason as RefusalReason;
  return 'bad-protocol';
}

function endOf(session: Session): Promise<void> {
  return new Promise((resolve) => session.onClose(() => resolve()));
}
