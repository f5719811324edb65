import type { Clock } from '@mars/brick-core';
import type { Channel, MessageOf } from '@mars/wire';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { checkLength } from './answer.js';
import { sameSum } from './hash.js';
import { LOGS_INTERVAL_MS, MAX_LOGS_PER_MESSAGE, MAX_PEER_RESOURCES } from './limits.js';
import { ASK_LOGS, LOGS } from './messages.js';
import { localLog, localLogs, sumOfLogs, type LogSize, type LogSizes } from './peer-logs.js';
import type { Peer } from './peer.js';

/** What the talk about logs needs of its host. */
export interface LogTalkHost {
  readonly clock: Clock;
  readonly snapshot: TreeSnapshot;
  readonly logSizes: LogSizes;
  /** Resources of which this host wants to know the logs. */
  readonly wantedLogs: ReadonlySet<string>;
  logsChanged(peer: string, resource: string): void;
}

/**
 * The part of a conversation that is about log files: who takes part in a resource asks for its logs once, and is told what changes from then on.
 * A list that is known already is not sent again.
 */
export class LogTalk {
  private isRunning = false;
  /** Resources that the peer has asked about. */
  private readonly theirResources = new Set<string>();
  private readonly dirty = new Map<string, Set<string>>();
  private isArmed = false;

  constructor(
    private readonly line: Pick<Channel, 'on' | 'send'>,
    private readonly peer: Peer,
    private readonly host: LogTalkHost,
  ) {}

  listen(): void {
    this.line.on(ASK_LOGS, ({ resources }) => this.asked(resources));
    this.line.on(LOGS, (message) => this.told(message));
  }

  start(): void {
    this.isRunning = true;
    this.ask([...this.host.wantedLogs]);
  }

  stop(): void {
    this.isRunning = false;
    this.dirty.clear();
  }

  /** This host wants to know the logs of these resources. */
  ask(resources: readonly string[]): void {
    if (!this.isRunning) return;
    for (let i = 0; i < resources.length; i += MAX_LOGS_PER_MESSAGE) {
      const part = resources.slice(i, i + MAX_LOGS_PER_MESSAGE);
      this.line.send(ASK_LOGS, { resources: part.map((resource) => ({ resource, ...this.peer.logs.sum(resource) })) });
    }
  }

  /** A log of this host has come, grown, or gone. */
  changed(resource: string, name: string): void {
    if (!this.isRunning || !this.theirResources.has(resource)) return;
    const names = this.dirty.get(resource);
    if (names === undefined) this.dirty.set(resource, new Set([name]));
    else names.add(name);
    if (this.isArmed) return;
    this.isArmed = true;
    this.host.clock.after(LOGS_INTERVAL_MS, this, flushStep);
  }

  /** Called when a timer is due. */
  flush(): void {
    this.isArmed = false;
    const { snapshot, logSizes } = this.host;
    for (const [resource, names] of this.dirty) {
      const logs = [...names].map((name) => localLog(snapshot, resource, name, logSizes));
      this.tell(resource, logs, false);
    }
    this.dirty.clear();
  }

  private asked(resources: readonly { resource: string; hi: number; lo: number }[]): void {
    checkLength(resources, 'resources');
    for (const { resource, ...known } of resources) {
      if (this.theirResources.size < MAX_PEER_RESOURCES) this.theirResources.add(resource);
      const logs = localLogs(this.host.snapshot, resource, this.host.logSizes);
      if (!sameSum(sumOfLogs(logs), known)) this.tell(resource, logs, true);
    }
  }

  private tell(resource: string, logs: readonly LogSize[], isAll: boolean): void {
    for (let i = 0; i === 0 || i < logs.length; i += MAX_LOGS_PER_MESSAGE) {
      this.line.send(LOGS, { resource, isAll: isAll && i === 0, logs: logs.slice(i, i + MAX_LOGS_PER_MESSAGE) });
    }
  }

  private told({ resource, isAll, logs }: MessageOf<typeof LOGS>): void {
    checkLength(logs, 'logs');
    // What was not asked for is not kept.
    if (!this.host.wantedLogs.has(resource)) return;
    if (this.peer.logs.take(resource, logs, isAll)) this.host.logsChanged(this.peer.host, resource);
  }
}

function flushStep(talk: LogTalk): void {
  talk.flush();
}
