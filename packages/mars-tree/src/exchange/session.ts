import { ErrorCode, MarsError, type Clock, type Logger } from '@mars/brick-core';
import type { Channel } from '@mars/wire';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { admitList } from '../store/admission.js';
import { answerNodes, checkLength, nonsense } from './answer.js';
import type { DigestIndex } from './digest-index.js';
import {
  ANSWER_TIMEOUT_MS,
  COMPARE_INTERVAL_MS,
  COMPARE_JITTER,
  FOREIGN_PULSE_MS,
  MAX_ROUNDS_IN_A_ROW,
  MIN_COMPARE_MS,
  PUSH_DELAY_MS,
  PUSH_INTERVAL_MS,
} from './limits.js';
import * as say from './messages.js';
import { Outbox } from './outbox.js';
import type { Peer, ReceivedOutcome } from './peer.js';
import { LogTalk, type LogTalkHost } from './log-talk.js';
import { Round } from './round.js';
import type { Lane } from './scope.js';

/** One connection of the purpose `tree`, as the exchange needs it; a `Channel` is one. */
export type Line = Pick<
  Channel,
  'remote' | 'address' | 'peer' | 'isOpen' | 'stats' | 'on' | 'start' | 'send' | 'onDrain' | 'onClose' | 'close'
>;

/** What a session needs of its host. */
export interface SessionHost extends LogTalkHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly index: DigestIndex;
  readonly snapshot: TreeSnapshot;
  /** Drawn at the start of this daemon. */
  readonly life: string;
  /** Lamport time; changes nothing. */
  nowNs(): bigint;
  /** Part of an interval, uniform in [0, 1). */
  chance(): number;
  uuid(): string | null;
  /** Hosts with an active session. */
  connected(): string[];
  merge(from: Session, facts: readonly say.FactMessage[]): ReceivedOutcome[];
  /** The peer has said who it is: decide whether this session becomes the one that is used. */
  greeted(session: Session): void;
  /** The peer has lost connections. */
  connectionsLost(session: Session, hosts: readonly string[]): void;
  /** Everything that the peer had at this stamp of its own is here. */
  complete(session: Session, readNs: bigint): void;
  pushedLink(session: Session, path: string, value: string, stampNs: bigint): string | null;
  pushedCheck(session: Session, path: string): string | null;
  notified(session: Session): void;
}

/**
 * One conversation with one peer. Both sides do the same, each for itself:
 *
 * ```
 *   HELLO ─> round: ASK/ANSWER … DONE ─> again every 30 s, and when asked (COMPARE)
 *        └─> PUSH of every change, from the beginning;  of `time` and `alive` after the peer's first DONE
 * ```
 * Source: docs/exchange.md
 */
export class Session {
  /** Of the peer's present life; empty = it has not said hello. */
  life = '';
  isActive = false;
  isClosed = false;
  readonly openedMs: number;
  readonly logs: LogTalk;
  private remoteConnected: ReadonlySet<string> = new Set();
  private readonly outbox = new Outbox();
  private isCongested = false;
  private isFlushArmed = false;
  private lastFlushMs = -Infinity;
  // Our comparison with the peer
  private hasCompared = false;
  private round: Round | null = null;
  private roundNumber = 0;
  private roundsInARow = 0;
  private dueMs = Infinity;
  private lastRoundMs = -Infinity;
  /** When the peer was asked, or has answered, last. */
  private askedMs = 0;
  private isWantedAgain = false;
  // The peer's comparison with us
  private hasBeenCompared = false;
  private theirRound = -1;
  private theirRoundSnapshot: TreeSnapshot | null = null;
  private theirRoundNs = 0n;
  private theirRoundMs = 0;
  private askedToCompareMs = -Infinity;

  constructor(
    readonly line: Line,
    readonly peer: Peer,
    /** We have opened it. */
    readonly isOutgoing: boolean,
    private readonly host: SessionHost,
  ) {
    this.openedMs = this.nowMs;
    this.logs = new LogTalk(line, peer, host);
  }

  get name(): string {
    return this.peer.host;
  }

  /** `greeting`: before the hello; `comparing`: something of either side may still be unknown to the other; `in-sync`: news follow at once. */
  get state(): 'greeting' | 'standby' | 'comparing' | 'in-sync' {
    if (this.life === '') return 'greeting';
    if (!this.isActive) return 'standby';
    return this.hasCompared && this.hasBeenCompared ? 'in-sync' : 'comparing';
  }

  /** Facts that wait for this peer. */
  get waiting(): number {
    return this.outbox.waiting;
  }

  isConnectedWith(host: string): boolean {
    return this.remoteConnected.has(host);
  }

  open(): void {
    const { line } = this;
    line.on(say.HELLO, (message) => this.hello(message));
    line.on(say.CONNECTED, ({ hosts }) => this.connections(hosts));
    line.on(say.ASK, (message) => this.asked(message));
    line.on(say.ANSWER, (message, stampNs) => this.answered(message, stampNs));
    line.on(say.DONE, (message) => this.done(message));
    line.on(say.COMPARE, () => this.compareSoon(0));
    line.on(say.PUSH, (message) => this.pushed(message));
    this.logs.listen();
    line.on(say.PUSH_LINK, ({ id, path, value, stampNs }) =>
      this.reply(id, this.host.pushedLink(this, path, value, stampNs)),
    );
    line.on(say.PUSH_CHECK, ({ id, path }) => this.reply(id, this.host.pushedCheck(this, path)));
    line.on(say.PUSHED, ({ id, problem }) => this.peer.replied(id, problem));
    line.on(say.NOTIFY, () => this.host.notified(this));
    line.onDrain(() => this.drained());
    line.start();
    line.send(say.HELLO, { uuid: this.host.uuid() ?? '', life: this.host.life, connected: this.host.connected() });
  }

  /** From now on this is the session that is used for this peer. */
  activate(): void {
    if (this.isActive) return;
    this.isActive = true;
    this.outbox.lose();
    this.logs.start();
    this.compareSoon(0);
    this.peer.sendWaiting(this);
  }

  /** Called once, when the line is gone. */
  closed(): void {
    this.isClosed = true;
    this.isActive = false;
    this.round = null;
    this.outbox.lose();
    this.logs.stop();
  }

  // ---- news of this host

  /** A path has changed here. */
  add(path: string, lane: Exclude<Lane, 'none'>): void {
    if (!this.isActive) return;
    if (!this.outbox.add(path, lane)) this.lose();
    this.armFlush();
  }

  /** `time` or `alive` of another host has changed, and the peer does not hear that host itself. */
  addForeignPulse(): void {
    if (this.isActive) this.outbox.addForeign();
  }

  /** Called once a second. */
  pulse(): void {
    if (this.round !== null && this.nowMs - this.askedMs > ANSWER_TIMEOUT_MS)
      return this.line.close(noAnswer(this.name));
    this.compareIfDue();
    if (!this.isActive || !this.outbox.needsRound || this.nowMs - this.askedToCompareMs < FOREIGN_PULSE_MS) return;
    this.askedToCompareMs = this.nowMs;
    this.line.send(say.COMPARE, {});
  }

  /** The peer may lack something that it will not be pushed any more. */
  lose(): void {
    if (!this.isActive) return;
    this.outbox.lose();
    this.hasBeenCompared = false;
    // A round that has begun may be past what is missing now.
    this.theirRoundSnapshot = null;
    this.line.send(say.COMPARE, {});
  }

  announceConnections(hosts: readonly string[]): void {
    if (this.life !== '') this.line.send(say.CONNECTED, { hosts });
  }

  notify(): void {
    if (this.isActive) this.line.send(say.NOTIFY, {});
  }

  /** Called when a timer is due. */
  flush(): void {
    this.isFlushArmed = false;
    if (!this.isActive) return;
    this.lastFlushMs = this.nowMs;
    while (!this.isCongested) {
      const portion = this.outbox.take(this.host.snapshot, this.host.nowNs());
      if (portion === null) return;
      this.peer.counts.pushed += portion.facts.length;
      this.isCongested = !this.line.send(say.PUSH, { uuid: this.host.uuid() ?? '', ...portion });
    }
  }

  private armFlush(): void {
    if (this.isFlushArmed || this.isCongested || this.outbox.isEmpty) return;
    this.isFlushArmed = true;
    const delayMs = Math.max(PUSH_DELAY_MS, this.lastFlushMs + PUSH_INTERVAL_MS - this.nowMs);
    this.host.clock.after(delayMs, this, flushStep);
  }

  private drained(): void {
    this.isCongested = false;
    if (!this.isClosed) this.flush();
  }

  // ---- hello

  private hello({ uuid, life, connected }: { uuid: string; life: string; connected: readonly string[] }): void {
    if (this.life !== '' || life === '') throw nonsense('a second hello, or one without its life');
    checkLength(connected, 'hosts');
    this.checkCluster(uuid === '' ? null : uuid, true);
    this.life = life;
    this.remoteConnected = new Set(connected);
    if (this.peer.life !== life) this.peer.restarted(life);
    this.host.greeted(this);
  }

  private connections(hosts: readonly string[]): void {
    checkLength(hosts, 'hosts');
    const before = this.remoteConnected;
    this.remoteConnected = new Set(hosts);
    const lost = [...before].filter((host) => !this.remoteConnected.has(host));
    if (lost.length > 0) this.host.connectionsLost(this, lost);
  }

  /**
   * Each list is checked, because identities may change while a connection stands.
   * @param isHello a host that has no identity yet may say hello; its lists are dropped
   * @throws MarsError PEER_REFUSED: another cluster. Source: symlink-tree.md 3.8
   */
  private checkCluster(received: string | null, isHello = false): boolean {
    const verdict = admitList(this.host.uuid(), received);
    if (verdict === 'other cluster') {
      throw new MarsError(ErrorCode.PEER_REFUSED, `${this.name} belongs to another cluster`, {
        hint: 'Compare "marsadm get-link uuid" of both hosts; an address in ips/ may belong to a host of another cluster.',
        details: { host: this.name, reason: 'other-cluster', own: this.host.uuid(), received },
      });
    }
    if (verdict !== 'ok' && !isHello) this.peer.counts.refusedLists++;
    return verdict === 'ok';
  }

  // ---- our comparison with the peer

  /** Begins a round, after so many ms at the latest. */
  compareSoon(delayMs: number): void {
    this.roundsInARow = 0;
    if (this.round !== null) this.isWantedAgain = true;
    else this.dueAt(this.nowMs + delayMs);
  }

  /** The same without what is known about differences that do not matter. */
  compareFully(): void {
    this.peer.settled = new Map();
    this.compareSoon(0);
  }

  private dueAt(atMs: number): void {
    const notBeforeMs = Math.max(atMs, this.lastRoundMs + MIN_COMPARE_MS);
    if (notBeforeMs >= this.dueMs) return;
    this.dueMs = notBeforeMs;
    this.host.clock.after(Math.max(0, notBeforeMs - this.nowMs), this, roundStep);
  }

  /** Called when a timer is due, and once a second. */
  compareIfDue(): void {
    if (!this.isActive || this.round !== null || this.nowMs + EPSILON_MS < this.dueMs) return;
    this.dueMs = Infinity;
    this.lastRoundMs = this.askedMs = this.nowMs;
    this.isWantedAgain = false;
    const number = ++this.roundNumber;
    this.round = new Round({
      index: this.host.index,
      settled: this.peer.settled,
      ask: (nodes, isFirst) => void this.line.send(say.ASK, { round: number, isFirst, nodes }),
      merge: (facts) => this.merge(facts),
    });
    this.round.start();
  }

  private answered(
    { round, uuid, nodes }: { round: number; uuid: string; nodes: readonly say.AnswerNode[] },
    stampNs: bigint,
  ): void {
    if (this.round === null || round !== this.roundNumber) throw nonsense('an answer to a question that was not asked');
    if (!this.checkCluster(uuid === '' ? null : uuid)) return this.endRound(false);
    checkLength(nodes, 'parts');
    for (const { facts, directories } of nodes) {
      checkLength(facts, 'facts');
      checkLength(directories, 'directories');
    }
    this.askedMs = this.nowMs;
    this.round.answer(nodes, stampNs);
    if (this.round.isOver) this.endRound(true);
  }

  private endRound(isGood: boolean): void {
    const round = this.round!;
    this.round = null;
    this.dueMs = Infinity;
    this.peer.counts.rounds++;
    const isWhole = isGood && round.skipped === 0;
    if (isWhole) {
      this.hasCompared = true;
      this.peer.settled = round.settled(this.peer.settled);
      this.line.send(say.DONE, { round: this.roundNumber, readNs: round.readNs });
      this.host.complete(this, round.readNs);
    }
    const isFruitful = round.taken > 0 || !isWhole;
    const isAgain = this.isWantedAgain || (isGood && isFruitful && ++this.roundsInARow < MAX_ROUNDS_IN_A_ROW);
    if (isAgain) return this.dueAt(this.nowMs);
    this.roundsInARow = 0;
    this.dueAt(this.nowMs + COMPARE_INTERVAL_MS * (1 - COMPARE_JITTER * this.host.chance()));
  }

  // ---- the peer's comparison with us

  private asked({ round, isFirst, nodes }: { round: number; isFirst: boolean; nodes: readonly say.AskNode[] }): void {
    if (isFirst) {
      this.theirRound = round;
      this.theirRoundSnapshot = this.host.snapshot;
      this.theirRoundNs = this.host.nowNs();
      this.theirRoundMs = this.nowMs;
      this.outbox.roundBegins();
    }
    if (nodes.length === 0) throw nonsense('a question about nothing');
    const answers = answerNodes(this.host.index, nodes);
    // Not held back when the line is busy: the peer has a few questions open at most, and waits for the answers.
    this.isCongested =
      !this.line.send(say.ANSWER, { round, uuid: this.host.uuid() ?? '', nodes: answers }) || this.isCongested;
  }

  private done({ round }: { round: number }): void {
    if (this.theirRoundSnapshot === null || round !== this.theirRound) return;
    const snapshot = this.theirRoundSnapshot;
    this.theirRoundSnapshot = null;
    this.hasBeenCompared = true;
    this.peer.confirmations.confirmed(this.theirRoundMs, this.nowMs);
    this.outbox.compared(snapshot, this.theirRoundNs);
    this.armFlush();
  }

  // ---- pushes of the peer

  private pushed({
    uuid,
    facts,
    completeNs,
  }: {
    uuid: string;
    facts: readonly say.FactMessage[];
    completeNs: bigint;
  }): void {
    checkLength(facts, 'facts');
    if (!this.checkCluster(uuid === '' ? null : uuid)) return;
    const outcomes = this.merge(facts);
    if (completeNs > 0n && !outcomes.includes('failed')) this.host.complete(this, completeNs);
  }

  private merge(facts: readonly say.FactMessage[]): ReceivedOutcome[] {
    const outcomes = this.host.merge(this, facts);
    this.peer.count(outcomes);
    if (outcomes.includes('failed')) {
      if (this.round !== null) this.round.skipped++;
      else this.dueAt(this.nowMs + COMPARE_INTERVAL_MS);
    }
    return outcomes;
  }

  private reply(id: number, problem: string | null): void {
    this.line.send(say.PUSHED, { id, problem: problem ?? '' });
  }

  private get nowMs(): number {
    return this.host.clock.nowUs / 1000;
  }
}

function noAnswer(host: string): MarsError {
  return new MarsError(ErrorCode.WIRE_SILENT, `${host} does not answer the questions of a comparison`, {
    hint: 'Its daemon may be overloaded; its log says more.',
    details: { host },
  });
}

/** A timer may be early by what gets lost in fractions. */
const EPSILON_MS = 0.01;

function flushStep(session: Session): void {
  session.flush();
}

function roundStep(session: Session): void {
  session.compareIfDue();
}
