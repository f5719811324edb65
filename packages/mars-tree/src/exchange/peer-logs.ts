import type { LogName } from '../keys/logs.js';
import { LOG } from '../keys/logs.js';
import { paths } from '../paths.js';
import { isDirectory } from '../snapshot/entry.js';
import type { TreeSnapshot } from '../snapshot/snapshot.js';
import { ZERO, hashName, plus, sameSum, type Sum } from './hash.js';
import { MAX_PEER_LOGS } from './limits.js';

/** How long the logs of this host are for others. */
export interface LogSizes {
  /**
   * Durable length of a log file of this host, bytes: what a power cut leaves. `null` = not known (yet): it is not announced.
   * Source: symlink-tree.md 5.6, rule 2
   */
  durableBytes(resource: string, log: LogName): number | null;
}

export interface LogSize {
  name: string;
  /** −1 = there is no such log. */
  durableBytes: number;
}

/** A log file of a peer. */
export interface PeerLog extends LogName {
  durableBytes: number;
}

/** Sum over names and sizes of logs: tells whether two lists are alike. */
export function sumOfLogs(logs: Iterable<LogSize>): Sum {
  let sum = ZERO;
  for (const { name, durableBytes } of logs) {
    const text = `${name} ${durableBytes}`;
    sum = plus(sum, { hi: hashName(text), lo: hashName(`${text} `) });
  }
  return sum;
}

/** The log files of this host that may be announced. */
export function localLogs(snapshot: TreeSnapshot, resource: string, sizes: LogSizes): LogSize[] {
  const found: LogSize[] = [];
  for (const [name, node] of snapshot.directory(paths.resource(resource))?.entries.entries() ?? []) {
    if (!name.startsWith('log-') || isDirectory(node) || node.kind !== 'file') continue;
    const log = LOG.read(name);
    const durableBytes = log === null ? null : sizes.durableBytes(resource, log);
    if (durableBytes !== null) found.push({ name, durableBytes });
  }
  return found;
}

/** Size of one log; −1 when it is not there or must not be announced. */
export function localLog(snapshot: TreeSnapshot, resource: string, name: string, sizes: LogSizes): LogSize {
  const node = snapshot.entry(`${paths.resource(resource)}/${name}`);
  const log = node?.kind === 'file' ? LOG.read(name) : null;
  const durableBytes = log === null ? null : sizes.durableBytes(resource, log);
  return { name, durableBytes: durableBytes ?? -1 };
}

/** Resource and name of a path that can be a log file. */
export function logAt(path: string): { resource: string; name: string } | null {
  const match = /^resource-([^/]+)\/(log-[^/]+)$/.exec(path);
  return match === null || LOG.read(match[2]!) === null ? null : { resource: match[1]!, name: match[2]! };
}

/** The log files of one peer, as it has announced them; they are remembered while it cannot be reached. */
export class PeerLogs {
  private readonly resources = new Map<string, Map<string, number>>();
  private count = 0;
  /** Announcements beyond the bound. */
  dropped = 0;

  list(resource: string): PeerLog[] {
    const found: PeerLog[] = [];
    for (const [name, durableBytes] of this.resources.get(resource) ?? []) {
      const log = LOG.read(name);
      if (log !== null) found.push({ ...log, durableBytes });
    }
    return found.sort((a, b) => a.sequence - b.sequence || (a.host < b.host ? -1 : 1));
  }

  sum(resource: string): Sum {
    const logs = this.resources.get(resource) ?? new Map<string, number>();
    return sumOfLogs([...logs].map(([name, durableBytes]) => ({ name, durableBytes })));
  }

  /** @returns whether anything is new */
  take(resource: string, logs: readonly LogSize[], isAll: boolean): boolean {
    const before = this.sum(resource);
    const known = this.resources.get(resource) ?? new Map<string, number>();
    if (isAll) this.clear(known);
    for (const log of logs) this.put(known, log);
    if (known.size > 0) this.resources.set(resource, known);
    else this.resources.delete(resource);
    return !sameSum(before, this.sum(resource));
  }

  private put(known: Map<string, number>, { name, durableBytes }: LogSize): void {
    if (known.delete(name)) this.count--;
    if (durableBytes < 0 || LOG.read(name) === null) return;
    if (this.count >= MAX_PEER_LOGS) return void this.dropped++;
    known.set(name, durableBytes);
    this.count++;
  }

  /** Forgets resources that are of no interest any more. */
  keepOnly(wanted: ReadonlySet<string>): void {
    for (const [resource, logs] of this.resources) {
      if (wanted.has(resource)) continue;
      this.clear(logs);
      this.resources.delete(resource);
    }
  }

  private clear(logs: Map<string, number>): void {
    this.count -= logs.size;
    logs.clear();
  }
}
