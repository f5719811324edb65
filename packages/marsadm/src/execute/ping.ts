import { NS_PER_SECOND, STAMP, paths, type TreeSnapshot } from '@mars/mars-tree';
import { LOOK_MS, MAX_PEERS_NAMED, PEER_GRACE_MS, TRIGGER_AGAIN_MS } from '../limits.js';
import { compareNaturally } from '../parse/names.js';
import type { Session } from './session.js';

/** What to ask of whom. Source: marsadm.md 6.4 */
export interface PingOptions {
  /** Hosts, or null = all that have to do with the resource. */
  hosts?: readonly string[] | null;
  /** Only peers of this resource. */
  resource?: string | null;
  /** Also peers without a common resource, and a full exchange of trees with each (trigger 8). */
  isUpdate?: boolean;
}

export interface PingResult {
  alive: string[];
  dead: string[];
}

interface Peer {
  host: string;
  oldNs: bigint | null;
  lastNs: bigint | null;
  answers: number;
}

/**
 * Asks peers for a sign of life that is younger than the question, and waits until each has answered or is found dead.
 * Dead peers are no failure: the caller gets them, the operator a warning. Never bound by `--timeout`, but by half the window.
 * Source: marsadm.md 6.4
 */
export async function ping(session: Session, options: PingOptions = {}): Promise<PingResult> {
  const { hosts = null, resource = null, isUpdate = false } = options;
  const filter = hosts === null ? '*' : hosts.join(',');
  if (filter === session.me) return { alive: [], dead: [] };
  const code = isUpdate ? '8' : hosts === null ? '3' : '2';
  session.budget.renew();
  session.out.say(`Ping ${filter} trigger=${code}`);
  if (!session.daemon.isLoaded) {
    session.out.warn('the daemon does not run on this host, so no peer can answer');
    return { alive: [], dead: [] };
  }
  const peers = selectPeers(session, options).map((host) => startPeer(session.snapshot, host));
  const round = new PingRound(session, code, peers, isUpdate ? 2 : 1);
  if (session.dryRun) {
    session.out.say(`DRY_RUN: would wait for answers from ${naming(peers)}`);
    return { alive: [], dead: [] };
  }
  session.tree.trigger(code);
  if (peers.length > 0)
    session.out.say(`Wait for answers from ${whatPeers(resource, isUpdate)} peer(s) ${naming(peers)}`);
  return await round.run();
}

class PingRound {
  private readonly startNs: bigint;
  private readonly halfWindowNs: bigint;
  private waitedMs = 0;

  constructor(
    private readonly session: Session,
    private readonly code: string,
    private readonly peers: readonly Peer[],
    private readonly wantedAnswers: number,
  ) {
    this.startNs = session.tree.nowNs;
    this.halfWindowNs = (BigInt(session.options.window) * NS_PER_SECOND) / 2n;
  }

  async run(): Promise<PingResult> {
    const { session } = this;
    for (
      let sinceTriggerMs = 0;
      this.peers.some((peer) => this.stateOf(peer) === 'unknown');
      sinceTriggerMs += LOOK_MS
    ) {
      if (sinceTriggerMs >= TRIGGER_AGAIN_MS) {
        session.tree.trigger(this.code);
        sinceTriggerMs = 0;
      }
      await session.sleep(LOOK_MS);
      this.waitedMs += LOOK_MS;
      session.tree.look('ips', ...this.peers.map(({ host }) => paths.node(host, 'time')));
      for (const peer of this.peers) this.note(peer);
    }
    session.tree.lookAtAll();
    return this.report();
  }

  private note(peer: Peer): void {
    const nowNs = timeOf(this.session, peer.host);
    if (nowNs === null || (peer.lastNs !== null && nowNs <= peer.lastNs)) return;
    peer.lastNs = nowNs;
    if (nowNs > this.startNs) peer.answers++;
  }

  private stateOf(peer: Peer): 'alive' | 'dead' | 'unknown' {
    if (peer.answers >= this.wantedAnswers) return 'alive';
    const addressNs = this.session.snapshot.stampNs(paths.ip(peer.host)) ?? this.startNs;
    const last = peer.lastNs ?? addressNs;
    const isOld = (stampNs: bigint): boolean => this.session.tree.nowNs - stampNs > this.halfWindowNs;
    // Everybody gets a moment: a network that has just healed brings its first news within a second.
    const isSilent = this.waitedMs >= PEER_GRACE_MS && isOld(last) && (peer.oldNs === null || isOld(peer.oldNs));
    return isSilent ? 'dead' : 'unknown';
  }

  private report(): PingResult {
    const of = (state: string): string[] => this.peers.filter((p) => this.stateOf(p) === state).map(({ host }) => host);
    const result = { alive: of('alive'), dead: of('dead') };
    const counts = `${result.alive.length}/${this.peers.length} peer(s) seem to be alive`;
    if (result.dead.length === 0) this.session.out.say(counts);
    else this.session.out.warn(`${counts}, and ${result.dead.length} peer(s) seem to be dead / not reachable`);
    return result;
  }
}

function timeOf({ snapshot }: Session, host: string): bigint | null {
  return snapshot.read(paths.node(host, 'time'), STAMP);
}

function startPeer(snapshot: TreeSnapshot, host: string): Peer {
  const oldNs = snapshot.read(paths.node(host, 'time'), STAMP);
  return { host, oldNs, lastNs: oldNs, answers: 0 };
}

function selectPeers({ snapshot, me }: Session, { hosts, resource, isUpdate }: PingOptions): string[] {
  const known = new Set(snapshot.hosts());
  const resources = resource == null ? snapshot.resources() : [resource];
  const candidates = isUpdate || hosts != null ? [...known] : resources.flatMap((r) => snapshot.users(r));
  const wanted = [...new Set(candidates)].filter(
    (host) => host !== me && known.has(host) && (hosts?.includes(host) ?? true),
  );
  return wanted.sort(compareNaturally);
}

function whatPeers(resource: string | null, isUpdate: boolean): string {
  if (isUpdate) return 'any known or unknown';
  return resource === null ? 'locally mentioned' : `resource '${resource}'`;
}

function naming(peers: readonly Peer[]): string {
  return peers.length > MAX_PEERS_NAMED ? String(peers.length) : peers.map(({ host }) => host).join(',');
}
