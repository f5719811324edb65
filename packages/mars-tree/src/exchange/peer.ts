import type { MarsError, NetAddress } from '@mars/brick-core';
import type { PeerLinkApi } from '@mars/wire';
import type { MergeOutcome } from '../store/tree-store.js';
import { Confirmations } from './confirmations.js';
import { MAX_WAITING_PUSHES } from './limits.js';
import { PUSH_CHECK, PUSH_LINK } from './messages.js';
import { PeerLogs } from './peer-logs.js';
import type { Settled } from './round.js';
import type { Session } from './session.js';

/** What became of a fact of a peer; `failed`: this machine refused to store it, so it comes again with the next comparison. */
export type ReceivedOutcome = MergeOutcome | 'failed';

export interface PeerCounts {
  /** Facts that were pushed to it. */
  pushed: number;
  /** Facts that came from it, by pushes and comparisons. */
  received: number;
  outcomes: Partial<Record<ReceivedOutcome, number>>;
  /** Our comparisons with it. */
  rounds: number;
  /** Connections so far. */
  sessions: number;
  /** Lists without identity, which were dropped. */
  refusedLists: number;
  errors: number;
}

/** A link to be written, or looked for, at the peer. */
interface WaitingPush {
  id: number;
  path: string;
  /** null = only look. */
  value: string | null;
  /** Of the command. */
  stampNs: bigint;
  untilMs: number;
  answer: (problem: string | null) => void;
}

/** All that is known of another host of the cluster, whether it can be reached or not. */
export class Peer {
  active: Session | null = null;
  /** A second connection, while it is not clear whether the first one lives. */
  standby: { session: Session; sinceMs: number; heardUs: number } | null = null;
  link: PeerLinkApi | null = null;
  /** The connection that the link has opened. */
  outgoing: Session | null = null;
  isLinkStarted = false;
  /** Of the present or last life of its daemon. */
  life = '';
  settled: Settled = new Map();
  readonly confirmations = new Confirmations();
  readonly logs = new PeerLogs();
  readonly counts: PeerCounts = {
    pushed: 0,
    received: 0,
    outcomes: {},
    rounds: 0,
    sessions: 0,
    refusedLists: 0,
    errors: 0,
  };
  lastError: { code: string; text: string } | null = null;
  /** Monotonic; −Infinity = never. */
  lastContactMs = -Infinity;
  /** Everything that it had at this stamp of its own is here; 0 = not known. */
  readNs = 0n;
  readStampWrittenMs = -Infinity;
  isReadStampDue = false;
  lastNotifyMs = -Infinity;
  /** Bytes of connections that are closed. */
  readonly closedBytes = { sent: 0, received: 0 };
  private readonly pushes = new Map<number, WaitingPush>();
  private nextPush = 1;

  constructor(
    readonly host: string,
    public address: NetAddress | null,
  ) {}

  /** Its daemon was started anew. */
  restarted(life: string): void {
    this.life = life;
    this.confirmations.forgetRecent();
  }

  count(outcomes: readonly ReceivedOutcome[]): void {
    this.counts.received += outcomes.length;
    for (const outcome of outcomes) this.counts.outcomes[outcome] = (this.counts.outcomes[outcome] ?? 0) + 1;
  }

  /** A connection is gone; `error`: why, null = in an orderly way. */
  noteClosed({ line }: Session, error: MarsError | null): void {
    this.closedBytes.sent += line.stats.sentBytes;
    this.closedBytes.received += line.stats.receivedBytes;
    this.lastContactMs = Math.max(this.lastContactMs, line.stats.lastHeardUs / 1000);
    if (error === null) return;
    this.counts.errors++;
    this.lastError = { code: error.code, text: error.message };
  }

  /** Sends now, or as soon as there is a connection. @returns what is wrong; null = the peer has done it */
  push(path: string, value: string | null, stampNs: bigint, untilMs: number): Promise<string | null> {
    if (this.pushes.size >= MAX_WAITING_PUSHES) return Promise.resolve(`too many pushes wait for ${this.host}`);
    return new Promise((resolve) => {
      const push = { id: this.nextPush++, path, value, stampNs, untilMs, answer: resolve };
      this.pushes.set(push.id, push);
      if (this.active !== null) send(this.active, push);
    });
  }

  /** A new connection: what has no answer is sent again; doing it twice harms nobody. */
  sendWaiting(session: Session): void {
    for (const push of this.pushes.values()) send(session, push);
  }

  replied(id: number, problem: string): void {
    const push = this.pushes.get(id);
    this.pushes.delete(id);
    push?.answer(problem === '' ? null : problem);
  }

  /** @param nowMs Infinity = all */
  giveUp(nowMs: number): void {
    for (const push of [...this.pushes.values()]) {
      if (push.untilMs <= nowMs) this.replied(push.id, `${this.host} has not answered`);
    }
  }
}

function send({ line }: Session, { id, path, value, stampNs }: WaitingPush): void {
  if (value === null) line.send(PUSH_CHECK, { id, path });
  else line.send(PUSH_LINK, { id, path, value, stampNs });
}
