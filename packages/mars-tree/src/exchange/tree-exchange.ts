import { isMarsError, type Clock, type Files, type Logger, type Random } from '@mars/brick-core';
import type { PeerNetApi } from '@mars/wire';
import { belowMars, splitPath } from '../names.js';
import { paths } from '../paths.js';
import { isDirectory } from '../snapshot/entry.js';
import type { Change, TreeSnapshot } from '../snapshot/snapshot.js';
import { NS_PER_SECOND, formatStamp } from '../stamp.js';
import { whyNoPush } from '../store/admission.js';
import { collectTombstones } from '../store/tombstones.js';
import type { TreeStore } from '../store/tree-store.js';
import { DigestIndex } from './digest-index.js';
import {
  COLLECT_INTERVAL_MS,
  NOTIFY_INTERVAL_MS,
  PRELIMINARY_STAMP_S,
  PULSE_MS,
  PUSH_LINK_TIMEOUT_MS,
  READ_STAMP_INTERVAL_MS,
  STALL_MS,
} from './limits.js';
import type { FactMessage } from './messages.js';
import type { Peer, ReceivedOutcome } from './peer.js';
import { logAt, type LogSizes, type PeerLog } from './peer-logs.js';
import { PeerTable } from './peer-table.js';
import { exchangeLane } from './scope.js';
import { Session, type SessionHost } from './session.js';
import { SideEffects } from './side-effects.js';
import { statusOf, type PeerStatus } from './status.js';
import { TombstoneWatch } from './tombstone-watch.js';

export interface TreeExchangeOptions {
  /** Loaded. Written to by what comes from peers, and by `read-stamp`. */
  store: TreeStore;
  files: Files;
  clock: Clock;
  random: Random;
  log: Logger;
  net: Pick<PeerNetApi, 'serve' | 'link'>;
  /** Base port of the cluster. */
  port: number;
  /** Without it no logs are announced. */
  logSizes?: LogSizes;
  /** A peer wants this host to look at its tree now (NOTIFY). */
  notified?: (peer: string) => void;
  /** A peer has told something new about its logs of a resource: see {@link TreeExchange.logsOf}. */
  logsChanged?: (peer: string, resource: string) => void;
}

const NO_LOGS: LogSizes = { durableBytes: () => null };

/**
 * Keeps the trees of a cluster alike: one per daemon.
 *
 * ```
 *   store ──changes──> outbox of each peer ──PUSH──> peer          at once
 *   store <──merge──── lists where sums differ <──ASK/ANSWER── peer   at the start of a connection, every 30 s, on demand
 * ```
 * The peers are those in `ips/`; either side may open the connection. Nothing here decides anything about resources.
 * What is said when, what it costs, and why it converges: docs/exchange.md. Source: symlink-tree.md 3.3, 3.7, 3.8
 */
export class TreeExchange implements SessionHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly index: DigestIndex;
  readonly logSizes: LogSizes;
  readonly life: string;
  private readonly store: TreeStore;
  private readonly peers: PeerTable;
  private readonly tombstones: TombstoneWatch;
  private readonly effects: SideEffects;
  private readonly unsubscribe: () => void;
  private mergingFrom: Session | null = null;
  private isRunning = false;
  private lastPulseMs = 0;
  private lastCollectMs = 0;
  /** Resources whose logs are wanted; null = to be found out anew. */
  private wanted: ReadonlySet<string> | null = null;

  constructor(private readonly options: TreeExchangeOptions) {
    const { store, clock, log, files, random } = options;
    this.store = store;
    this.clock = clock;
    this.log = log;
    this.logSizes = options.logSizes ?? NO_LOGS;
    this.index = new DigestIndex(store.snapshot);
    this.tombstones = new TombstoneWatch(store.snapshot, this.nowMs);
    this.effects = new SideEffects(store, files);
    this.life = `${random.int(2 ** 32).toString(16)}${random.int(2 ** 32).toString(16)}`;
    this.peers = new PeerTable({
      me: store.me,
      net: options.net,
      port: options.port,
      clock,
      log,
      snapshot: () => store.snapshot,
      makeSession: (line, peer, isOutgoing) => new Session(line, peer, isOutgoing, this),
      used: ({ peer }) => this.helpJoin(peer),
    });
    this.unsubscribe = store.subscribe((before, after) => this.changed(before.changesTo(after), after));
  }

  /** Takes connections, and opens them. Listening on the port is the business of who made the `PeerNet`. */
  start(): void {
    this.isRunning = true;
    this.options.net.serve('tree', (channel) => this.peers.accept(channel));
    this.peers.start();
    this.lastPulseMs = this.lastCollectMs = this.nowMs;
    this.clock.after(PULSE_MS, this, pulseStep);
  }

  /** Sends what waits, closes everything. Nothing is merged any more. */
  stop(): void {
    this.isRunning = false;
    this.unsubscribe();
    this.peers.stop();
  }

  // ---- commands (symlink-tree.md 2.13)

  /** "Come and look": all peers run a round. At most five times a second. */
  notify(): void {
    for (const peer of this.peers) {
      if (this.nowMs - peer.lastNotifyMs < NOTIFY_INTERVAL_MS) continue;
      peer.lastNotifyMs = this.nowMs;
      peer.active?.notify();
    }
  }

  /** Compares with all peers now. @param fully also what is known to differ without meaning */
  compare(options: { fully?: boolean } = {}): void {
    for (const { active, link } of this.peers) {
      if (active === null) link?.kick();
      else if (options.fully) active.compareFully();
      else active.compareSoon(0);
    }
  }

  /**
   * Writes a link at a peer, with the stamp of now. Best effort: waits ten seconds for a connection and the answer.
   * @param canonicalPath `/mars/…`
   * @returns what is wrong, as a sentence; null = it is done
   */
  async pushLink(peer: string, canonicalPath: string, value: string): Promise<string | null> {
    const wrong = whyNoPush(canonicalPath, value);
    if (wrong !== null) return wrong;
    return this.push(peer, canonicalPath, value);
  }

  /** Lets a peer check whether it has this path; if not, it compares with us. @returns what is wrong; null = it is done */
  pushCheck(peer: string, canonicalPath: string): Promise<string | null> {
    return this.push(peer, canonicalPath, null);
  }

  private async push(host: string, path: string, value: string | null): Promise<string | null> {
    const peer = this.peers.get(host);
    if (peer === undefined) return `there is no host ${host} in ips/`;
    peer.link?.kick();
    return peer.push(path, value, this.store.clock.now(), this.nowMs + PUSH_LINK_TIMEOUT_MS);
  }

  /**
   * Removes tombstones that every host of the cluster has compared with us since they stand here; done once a minute without being asked.
   * @returns their paths. Source: symlink-tree.md 3.5, rule 6
   */
  collect(): string[] {
    const nowMs = this.nowMs;
    this.lastCollectMs = nowMs;
    if (this.tombstones.size === 0) return [];
    const others = this.store.snapshot.hosts().filter((host) => host !== this.store.me);
    const confirmedMs = others.map((host) => this.peers.get(host)?.confirmations.aged(nowMs) ?? null);
    return collectTombstones(this.store, {
      among: [...this.tombstones.paths],
      isConfirmed: (path, entry) => this.tombstones.mayGo(path, entry, confirmedMs, nowMs),
    });
  }

  /** A log of this host has become longer, durably. */
  logGrew(resource: string, name: string): void {
    for (const session of this.peers.active) session.logs.changed(resource, name);
  }

  /** Logs of a resource that a peer has, as it said last. */
  logsOf(peer: string, resource: string): PeerLog[] {
    return this.peers.get(peer)?.logs.list(resource) ?? [];
  }

  /** True while there is a connection. */
  isUp(peer: string): boolean {
    return this.peers.get(peer)?.active != null;
  }

  /** Everything that the peer had at this stamp of its own is here; 0 = never since the start. */
  readStampOf(peer: string): bigint {
    return this.peers.get(peer)?.readNs ?? 0n;
  }

  status(): PeerStatus[] {
    const nowNs = this.nowNs();
    return [...this.peers].sort((a, b) => (a.host < b.host ? -1 : 1)).map((peer) => statusOf(peer, this.nowMs, nowNs));
  }

  /** Contents of the control file `peers`: JSON lines. */
  peersText(): string {
    return this.status()
      .map((status) => `${JSON.stringify(status)}\n`)
      .join('');
  }

  // ---- what sessions need

  get snapshot(): TreeSnapshot {
    return this.store.snapshot;
  }

  nowNs(): bigint {
    return this.store.clock.peek();
  }

  chance(): number {
    return this.options.random.float();
  }

  uuid(): string | null {
    return this.store.snapshot.value(paths.uuid);
  }

  connected(): string[] {
    return this.peers.connected();
  }

  merge(from: Session, facts: readonly FactMessage[]): ReceivedOutcome[] {
    const outcomes: ReceivedOutcome[] = [];
    this.mergingFrom = from;
    try {
      this.store.batch(() => {
        for (const fact of facts) outcomes.push(this.mergeOne(fact, outcomes.at(-1)));
      });
    } finally {
      this.mergingFrom = null;
    }
    facts.forEach(({ path }, i) => {
      if (outcomes[i] === 'taken') this.effects.taken(path);
    });
    this.guarded(() => this.effects.run());
    return outcomes;
  }

  /** A machine that refuses one write will refuse the next ones as well: they come again. */
  private mergeOne(fact: FactMessage, before: ReceivedOutcome | undefined): ReceivedOutcome {
    if (before === 'failed') return 'failed';
    if (exchangeLane(fact.path) === 'none') return 'not-allowed';
    return this.guarded(() => this.store.merge(fact)) ?? 'failed';
  }

  pushedLink(session: Session, canonicalPath: string, value: string, stampNs: bigint): string | null {
    const path = belowMars(canonicalPath);
    const wrong =
      whyNoPush(canonicalPath, value) ??
      (path === null || exchangeLane(path) === 'none' ? 'the path is private' : null);
    if (wrong !== null) {
      this.log.error({ peer: session.name, path: canonicalPath, reason: wrong }, 'a pushed link was refused');
      return wrong;
    }
    const outcome = this.guarded(() => this.store.push({ path: path!, value, stampNs })) ?? 'failed';
    if (outcome === 'taken') this.effects.taken(path!);
    this.effects.cacheIsStale();
    this.guarded(() => this.effects.run());
    return outcome === 'taken' || outcome === 'same' || outcome === 'older' ? null : outcome;
  }

  pushedCheck(session: Session, canonicalPath: string): string | null {
    const path = belowMars(canonicalPath);
    if (path === null) return 'the path does not begin with /mars/';
    if (this.store.snapshot.node(path) !== null) return null;
    this.effects.cacheIsStale();
    this.guarded(() => this.effects.run());
    session.compareFully();
    return null;
  }

  complete({ peer }: Session, readNs: bigint): void {
    if (readNs <= peer.readNs || this.store.clock.isFarFuture(readNs)) return;
    peer.readNs = readNs;
    peer.isReadStampDue = true;
    this.writeReadStamp(peer);
  }

  notified(session: Session): void {
    this.options.notified?.(session.name);
  }

  logsChanged(peer: string, resource: string): void {
    this.options.logsChanged?.(peer, resource);
  }

  greeted(session: Session): void {
    this.peers.greeted(session);
  }

  connectionsLost(session: Session, hosts: readonly string[]): void {
    this.peers.connectionsLost(session, hosts);
  }

  /** A host whose address has a preliminary stamp does not know ours yet. Source: symlink-tree.md 3.9, step 2 */
  private helpJoin(peer: Peer): void {
    const stampNs = this.snapshot.stampNs(paths.ip(peer.host));
    const own = this.snapshot.value(paths.ip(this.store.me));
    if (own === null || stampNs === null || stampNs >= BigInt(PRELIMINARY_STAMP_S) * NS_PER_SECOND) return;
    void this.pushLink(peer.host, `/mars/${paths.ip(this.store.me)}`, own);
  }

  // ---- changes of the tree

  private changed(changes: readonly Change[], after: TreeSnapshot): void {
    this.index.update(after, changes);
    this.tombstones.update(changes, this.nowMs);
    for (const change of changes) this.changedAt(change);
  }

  private changedAt({ path, before, after }: Change): void {
    if (path.startsWith('ips/')) this.peers.becomesStale();
    const { dir, name } = splitPath(path);
    if (name === `device-${this.store.me}` || name === `data-${this.store.me}`) this.wantsLogs(dir);
    if (before?.kind === 'file' || after?.kind === 'file') this.logChanged(path);
    const lane = after?.kind === 'link' ? exchangeLane(path) : 'none';
    if (lane === 'none') return;
    const from = this.mergingFrom;
    for (const { host, active } of this.peers) {
      // What a peer sends to all whom it can reach need not be passed on to them.
      if (active === null || active === from || from?.isConnectedWith(host)) continue;
      if (lane === 'last' && from !== null) active.addForeignPulse();
      else active.add(path, lane);
    }
  }

  private logChanged(path: string): void {
    const log = logAt(path);
    if (log !== null) this.logGrew(log.resource, log.name);
  }

  /** This host takes part in a resource, or does not any more. */
  private wantsLogs(dir: string): void {
    const resource = dir.slice('resource-'.length);
    const had = this.wantedLogs.has(resource);
    this.wanted = null;
    const has = this.wantedLogs.has(resource);
    if (has && !had) for (const session of this.peers.active) session.logs.ask([resource]);
    if (had && !has) for (const { logs } of this.peers) logs.keepOnly(this.wantedLogs);
  }

  /** Resources of which this host has a disk or a device. */
  get wantedLogs(): ReadonlySet<string> {
    if (this.wanted !== null) return this.wanted;
    const found = new Set<string>();
    for (const [name, node] of this.snapshot.root.entries.entries()) {
      if (!name.startsWith('resource-') || !isDirectory(node)) continue;
      const resource = name.slice('resource-'.length);
      const mine = [paths.device(resource, this.store.me), paths.data(resource, this.store.me)];
      if (mine.some((path) => isThere(this.snapshot, path))) found.add(resource);
    }
    return (this.wanted = found);
  }

  // ---- once a second

  pulse(): void {
    if (!this.isRunning) return;
    const nowMs = this.nowMs;
    const pauseMs = nowMs - this.lastPulseMs;
    this.lastPulseMs = nowMs;
    if (pauseMs > STALL_MS) this.stoodStill(pauseMs);
    this.peers.pulse(nowMs);
    for (const peer of this.peers) this.writeReadStamp(peer);
    if (nowMs - this.lastCollectMs >= COLLECT_INTERVAL_MS) this.guarded(() => this.collect());
    this.clock.after(PULSE_MS, this, pulseStep);
  }

  /** What waits in the connections may be older than what the others have forgotten meanwhile. */
  private stoodStill(pauseMs: number): void {
    this.log.warn({ pauseMs }, 'this process stood still; all connections of the exchange are opened anew');
    this.peers.reset();
  }

  private writeReadStamp(peer: Peer): void {
    if (!peer.isReadStampDue || this.nowMs - peer.readStampWrittenMs < READ_STAMP_INTERVAL_MS) return;
    peer.isReadStampDue = false;
    peer.readStampWrittenMs = this.nowMs;
    this.guarded(() => this.store.writeIfChanged(paths.node(peer.host, 'read-stamp'), formatStamp(peer.readNs)));
  }

  /** The machine may refuse (no space, a defective disk): that must not end a connection, nor this process. @returns null = refused */
  private guarded<T>(run: () => T): T | null {
    try {
      return run();
    } catch (error) {
      if (!isMarsError(error)) throw error;
      this.log.error({ err: error }, 'a fact could not be stored');
      return null;
    }
  }

  private get nowMs(): number {
    return this.clock.nowUs / 1000;
  }
}

/** A link or file that is no tombstone. */
function isThere(snapshot: TreeSnapshot, path: string): boolean {
  const entry = snapshot.entry(path);
  return entry !== null && !entry.isTombstone;
}

function pulseStep(exchange: TreeExchange): void {
  exchange.pulse();
}
