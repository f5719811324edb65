import { isMarsError, type Clock, type Files, type Logger, type Random, type SecureNet } from '@mars/brick-core';
import { TreeExchange, formatStamp, paths, type LamportClock, type LogSizes, type TreeStore } from '@mars/mars-tree';
import {
  type Channel,
  JoinService,
  PeerNet,
  TrustStore,
  isFinalRefusal,
  redeemToken,
  type Identity,
  type MemberFacts,
  type TrustState,
} from '@mars/wire';
import { JOIN_RETRY_MS, LISTEN_RETRY_MS, RENEW_PERIOD_MS } from './limits.js';
import type { DaemonNetwork } from './network.js';
import type { Settings } from './settings.js';
import { VERSION } from './version.js';

export interface NetworkOptions {
  settings: Settings;
  store: TreeStore;
  lamport: LamportClock;
  platform: { files: Files; loop: Clock; random: Random; secureNet: SecureNet };
  log: Logger;
  notified: (peer: string) => void;
  /** Durable sizes of logs, for peers. */
  logSizes?: LogSizes;
  logsChanged?: () => void;
  /** A network is there; logs and disks may be exported on it. */
  opened?: (net: PeerNet) => void;
  closed?: () => Promise<void>;
}

/** What stands between this host and the others while a port is open. */
interface Open {
  net: PeerNet;
  exchange: TreeExchange;
  /** null = the port could not be opened yet; others may still be reached. */
  address: string | null;
}

export function openNetwork(options: NetworkOptions): ClusterNetwork {
  return new ClusterNetwork(options);
}

/**
 * The network of a daemon, as the files of trust permit it; `marsadm` may change them at any time.
 *
 * | `.trust/`            | what is open |
 * |---|---|
 * | nothing              | no port, unless `insecure: true`: a tree of the original works locally until `trust-create` or `trust-join` |
 * | a token              | no port; the token is shown to the inviting host again and again until it is redeemed |
 * | certificates         | TLS 1.3 both ways, and the join service |
 * | `insecure`           | plain text |
 *
 * Source: decided.md, *Trust*
 */
export class ClusterNetwork implements DaemonNetwork {
  private readonly trust: TrustStore;
  private readonly log: Logger;
  private readonly store: TreeStore;
  private readonly clock: Clock;
  private open: Open | null = null;
  private state: TrustState = { kind: 'none' };
  private whyClosed = 'not started yet';
  /** The directory of trust when it was read, so that it is not read in every round. */
  private seenTrust = '';
  private joining: AbortController | null = null;
  private isStopped = false;
  private renewedUs = -Infinity;
  private listenedUs = -Infinity;
  private isRecheckDue = false;
  private readonly unsubscribe: () => void;

  constructor(private readonly options: NetworkOptions) {
    const { platform, settings, store, log } = options;
    this.log = log;
    this.store = store;
    this.clock = platform.loop;
    this.trust = new TrustStore({
      files: platform.files,
      clock: platform.loop,
      random: platform.random,
      marsDir: settings.mars,
    });
    this.unsubscribe = store.subscribe((before, after) => {
      const mayConcern = before.changesTo(after).some(({ path }) => /^(ips\/|userspace\/tls-)/.test(path));
      if (mayConcern) this.recheckSoon();
    });
  }

  async start(): Promise<void> {
    await this.round();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.unsubscribe();
    await this.shut('the daemon is stopping');
  }

  async round(): Promise<void> {
    if (this.isStopped) return;
    await this.followTrust();
    await this.listen();
    await this.renew();
  }

  // ---- what the daemon asks for

  notify(_all: boolean): void {
    this.open?.exchange.notify();
  }

  compare(fully: boolean): void {
    this.open?.exchange.compare({ fully });
  }

  pushLink(peer: string, canonicalPath: string, value: string): Promise<string | null> {
    return this.open?.exchange.pushLink(peer, canonicalPath, value) ?? Promise.resolve(this.whyClosed);
  }

  pushCheck(peer: string, canonicalPath: string): Promise<string | null> {
    return this.open?.exchange.pushCheck(peer, canonicalPath) ?? Promise.resolve(this.whyClosed);
  }

  peersText(): string {
    return this.open?.exchange.peersText() ?? '';
  }

  isUp(peer: string): boolean {
    return this.open?.exchange.isUp(peer) ?? false;
  }

  isMerged(peer: string): boolean {
    return (this.open?.exchange.readStampOf(peer) ?? 0n) > 0n;
  }

  logsOf(peer: string, resource: string): readonly { sequence: number; host: string; durableBytes: number }[] {
    return this.open?.exchange.logsOf(peer, resource) ?? [];
  }

  logGrew(resource: string, log: string): void {
    this.open?.exchange.logGrew(resource, log);
  }

  collect(): string[] {
    return this.open?.exchange.collect() ?? [];
  }

  describe(): string {
    if (this.open === null) return this.whyClosed;
    const how = this.state.kind === 'member' ? 'TLS' : 'plain text, insecure';
    return this.open.address === null ? `${how}, but no port could be opened` : `${how} on ${this.open.address}`;
  }

  // ---- following the files of trust

  private async followTrust(): Promise<void> {
    const seen = this.lookAtTrust();
    if (seen === this.seenTrust) return;
    this.seenTrust = seen;
    const state = this.readTrust();
    if (state === null) return;
    this.state = state;
    if (state.kind !== 'joining') this.stopJoining();
    if (state.kind === 'joining') return this.join();
    const identity = this.identityOf(state);
    if (identity === null) return this.shut(NO_TRUST);
    if (state.kind === 'member') {
      this.options.lamport.advanceLazy(nsOf(state.authorityMadeMs));
      this.publishOwn(state);
    }
    if (this.open === null) this.openWith(identity);
    else this.open.net.setIdentity(identity);
  }

  /** Each change of the directory is a rename in it. */
  private lookAtTrust(): string {
    const stat = this.options.platform.files.stat(this.trust.directory);
    return stat === null ? 'nothing' : `${stat.inode} ${stat.mtimeNs}`;
  }

  private readTrust(): TrustState | null {
    try {
      return this.trust.read();
    } catch (err) {
      if (!isMarsError(err)) throw err;
      this.log.error({ err, hint: err.hint }, 'the files of trust cannot be used');
      if (this.open === null) this.whyClosed = err.message;
      return null;
    }
  }

  private identityOf(state: TrustState): Identity | null {
    if (state.kind === 'member') return state.identity;
    const isPlain = state.kind === 'insecure' || (state.kind === 'none' && this.options.settings.insecure);
    return isPlain ? { kind: 'plain' } : null;
  }

  private openWith(identity: Identity): void {
    const { settings, platform, log, lamport, notified, store } = this.options;
    if (identity.kind === 'plain')
      log.warn({}, 'hosts talk in plain text: whoever reaches the port can change everything');
    const net = new PeerNet({
      net: platform.secureNet,
      clock: platform.loop,
      random: platform.random,
      log,
      stamps: { now: () => lamport.now(), seen: (ns) => lamport.advanceLazy(ns) },
      host: settings.host,
      version: VERSION,
      identity,
      facts: this.facts,
    });
    new JoinService({
      peers: net,
      store: this.trust,
      facts: this.facts,
      clock: platform.loop,
      log,
      host: settings.host,
      uuid: () => store.snapshot.value(paths.uuid) ?? '',
      admit: (host, ip, fingerprintHex) => this.admit(host, ip, fingerprintHex),
    });
    const exchange = new TreeExchange({
      store,
      files: platform.files,
      clock: platform.loop,
      random: platform.random,
      log,
      net: { serve: (purpose, accept) => this.serve(net, purpose, accept), link: net.link.bind(net) },
      port: settings.port,
      notified,
      ...(this.options.logSizes === undefined ? {} : { logSizes: this.options.logSizes }),
      ...(this.options.logsChanged === undefined ? {} : { logsChanged: this.options.logsChanged }),
    });
    this.open = { net, exchange, address: null };
    this.listenedUs = -Infinity;
    exchange.start();
    this.options.opened?.(net);
  }

  /**
   * In plain text nobody can prove anything, and a join consists of a host that comes and says its name; so it is entered like a host that is
   * joining, and taken in when it comes again. One that was removed stays out: its tombstone is newer. Source: symlink-tree.md 3.9
   */
  private serve(net: PeerNet, purpose: string, accept: (channel: Channel) => void): void {
    net.serve(purpose, (channel) => {
      const { host } = channel.remote;
      const address = /^(.*):\d+$/.exec(channel.address)?.[1]?.replace(/^\[?(?:::ffff:)?|\]$/g, '');
      if (this.state.kind !== 'member' && address !== undefined && !this.facts.isMember(host)) {
        const stampNs = PRELIMINARY_NS;
        const outcome = this.store.push({ path: paths.ip(host), value: address, stampNs });
        if (outcome === 'taken')
          this.log.warn({ peer: host, address }, 'a host came in plain text, and is a member now');
      }
      accept(channel);
    });
  }

  private async shut(why: string): Promise<void> {
    this.stopJoining();
    this.whyClosed = why;
    const { open } = this;
    this.open = null;
    if (open === null) return;
    await this.options.closed?.();
    open.exchange.stop();
    await open.net.close();
    this.log.info({ reason: why }, 'all ports are closed');
  }

  /** Others can be reached before our own port is open, so a port in use is no reason not to run. */
  private async listen(): Promise<void> {
    const { open } = this;
    const isDue = this.clock.nowUs - this.listenedUs >= LISTEN_RETRY_MS * 1000;
    if (open === null || open.address !== null || !isDue) return;
    this.listenedUs = this.clock.nowUs;
    const { ip, port } = this.options.settings;
    try {
      const address = await open.net.listen({ host: ip ?? '0.0.0.0', port });
      open.address = 'path' in address ? address.path : `${address.host}:${address.port}`;
      for (const offset of BRICK_PORTS) await open.net.listen({ host: ip ?? '0.0.0.0', port: port + offset });
      this.log.info({ address: open.address }, 'listening for other hosts');
    } catch (err) {
      if (!isMarsError(err)) throw err;
      this.log.error({ err, port, hint: err.hint }, 'the port cannot be opened');
    }
  }

  private async renew(): Promise<void> {
    if (this.state.kind !== 'member' || this.clock.nowUs - this.renewedUs < RENEW_PERIOD_MS * 1000) return;
    this.renewedUs = this.clock.nowUs;
    if (await this.trust.renew()) this.log.info({}, 'this host has a new certificate');
    await this.followTrust();
  }

  // ---- who belongs to the cluster

  private readonly facts: MemberFacts = {
    isMember: (host) => this.store.snapshot.value(paths.ip(host)) !== null,
    fingerprintOf: (host) => this.fingerprintOf(host),
    renewed: (host, fingerprintHex) => void this.store.writeIfChanged(tlsPath(host), fingerprintHex),
  };

  /** What was written before our authority was made is about certificates of another one. */
  private fingerprintOf(host: string): string | null {
    const { state, store } = this;
    const madeNs = state.kind === 'member' ? nsOf(state.authorityMadeMs) : 0n;
    return (store.snapshot.stampNs(tlsPath(host)) ?? 0n) < madeNs ? null : store.snapshot.value(tlsPath(host));
  }

  /** Like a pushed link: a daemon may not write addresses of its own accord, but it hears of this one from the host itself. */
  private async admit(host: string, ip: string, fingerprintHex: string): Promise<void> {
    const { store } = this;
    store.batch(() => {
      store.push({ path: paths.ip(host), value: ip, stampNs: store.clock.now() });
      store.write(tlsPath(host), fingerprintHex);
    });
    // The newcomer has thrown its token away when it gets its certificate: it could not ask again.
    await store.sync([paths.ip(host), tlsPath(host)]);
  }

  /**
   * Whoever made the authority was admitted by nobody, so its own daemon says which certificate it has; a host that was admitted says the
   * same as the one who admitted it. A different value stays: it is newer than this certificate, unless this one vouches for having followed it.
   */
  private publishOwn(state: TrustState & { kind: 'member' }): void {
    const { store } = this;
    const known = this.facts.fingerprintOf(store.me);
    if (known === state.fingerprintHex) return;
    const isRenewed = known !== null && state.identity.successions.length > 0;
    if (isRenewed || known === null) store.write(tlsPath(store.me), state.fingerprintHex);
  }

  /** In a turn of its own, because it closes channels, and we are inside a change of the tree. */
  private recheckSoon(): void {
    if (this.isRecheckDue) return;
    this.isRecheckDue = true;
    this.clock.after(0, this, (network) => {
      network.isRecheckDue = false;
      network.open?.net.recheck();
    });
  }

  // ---- joining

  private async join(): Promise<void> {
    if (this.open !== null) await this.shut('this host is joining a cluster');
    if (this.joining !== null) return;
    this.whyClosed = 'this host is joining a cluster';
    this.joining = new AbortController();
    this.keepJoining(this.joining.signal).catch((err: unknown) => {
      if (!isMarsError(err)) throw err;
      this.log.error({ err, hint: err.hint }, 'joining the cluster failed');
      this.whyClosed = `joining the cluster failed: ${err.message}`;
    });
  }

  private stopJoining(): void {
    this.joining?.abort();
    this.joining = null;
  }

  private async keepJoining(signal: AbortSignal): Promise<void> {
    const { settings, platform, store, notified } = this.options;
    while (!signal.aborted) {
      try {
        const result = await redeemToken({
          net: platform.secureNet,
          clock: platform.loop,
          store: this.trust,
          host: settings.host,
          version: VERSION,
          ip: store.snapshot.value(paths.ip(settings.host)) ?? settings.ip,
          signal,
        });
        this.log.info({ inviter: result.inviter, uuid: result.uuid }, 'this host has joined the cluster');
        this.options.lamport.advanceLazy(nsOf(result.authorityMadeMs));
        this.welcome(result.inviter, result.inviterAddress, result.inviterFingerprintHex);
        // The files have changed; the next round opens the port with them.
        return notified(result.inviter);
      } catch (err) {
        if (!isMarsError(err)) throw err;
        if (signal.aborted) return;
        if (isFinalRefusal(err)) throw err;
        this.log.warn({ err }, 'the inviting host cannot be reached; trying again');
        this.whyClosed = `this host is joining a cluster: ${err.message}`;
      }
      await this.clock.sleep(JOIN_RETRY_MS);
    }
  }

  /** The first facts of a new member: the one whom it trusts already. They give way to everything that is newer. */
  private welcome(inviter: string, address: object, fingerprintHex: string): void {
    const { store } = this;
    store.batch(() => {
      if ('host' in address && this.facts.isMember(inviter) === false) {
        store.push({ path: paths.ip(inviter), value: String(address.host), stampNs: PRELIMINARY_NS });
      }
      if (store.snapshot.value(paths.uuid) === null)
        store.push({ path: paths.uuid, value: '(any)', stampNs: PRELIMINARY_NS });
      // Whatever the tree says: this certificate was just seen, and the token named it.
      store.writeIfChanged(tlsPath(inviter), fingerprintHex);
    });
    this.log.debug({ inviter, at: formatStamp(store.clock.peek()) }, 'the inviting host is trusted');
  }
}

/** Ports of logs and disks, relative to the first one (transaction-log.md 6.1): apart so that they can be shaped apart. */
const BRICK_PORTS = [1, 2];

/** Stamp of facts that give way to everything: one second after the epoch. Source: symlink-tree.md 3.2 */
const PRELIMINARY_NS = 1_000_000_000n;

const NO_TRUST =
  'no port is open: this tree has no certificates. "marsadm trust-create" on one member and "trust-join" on the others, or "insecure: true" in marsd.yaml';

function tlsPath(host: string): string {
  return `userspace/tls-${host}`;
}

function nsOf(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}
