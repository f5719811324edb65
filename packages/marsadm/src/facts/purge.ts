import { LOG, REPLAY, VERSION, paths, type TreeSnapshot, type Version } from '@mars/mars-tree';
import { MAX_HISTORY_STEPS } from '../limits.js';
import { replayHosts } from './history.js';

/** What a resource still needs, by name below its directory, and what it names without having it. */
export interface Needed {
  names: Set<string>;
  missingLogs: string[];
}

/**
 * Logs and version links that somebody can come to from a replay link: backwards over predecessors, forwards over successors. The version link
 * of the creator of such a log is needed, too, even when the creator has left (symlink-tree.md 5.2). Source: marsadm.md 11, log-purge-all
 */
export function findNeeded(snapshot: TreeSnapshot, resource: string): Needed {
  const finder = new Finder(snapshot, resource);
  for (const host of replayHosts(snapshot, resource)) finder.visit(host);
  return { names: finder.names, missingLogs: finder.missingLogs() };
}

class Finder {
  readonly names = new Set<string>();
  private readonly logs = new Set<string>();

  constructor(
    private readonly snapshot: TreeSnapshot,
    private readonly resource: string,
  ) {}

  visit(host: string): void {
    const replay = this.snapshot.read(paths.replay(this.resource, host), REPLAY);
    if (replay === null) return;
    this.needLog(LOG.format(replay.log));
    this.needVersions(replay.log.sequence, host, replay.log.host);
    this.backwards(replay.log.sequence, host);
    this.forwards(replay.log.sequence, LOG.format(replay.log), host);
  }

  /** Named, but neither here nor deleted nor replayed everywhere. */
  missingLogs(): string[] {
    return [...this.logs]
      .filter((log) => this.snapshot.node(`${paths.resource(this.resource)}/${log}`) === null)
      .sort();
  }

  private backwards(from: number, host: string): void {
    for (let sequence = from; sequence >= 0 && from - sequence < MAX_HISTORY_STEPS; sequence--) {
      const version = this.version(sequence, host);
      if (version === null) return;
      this.names.add(LOG.format(version.log));
      this.needVersions(sequence, host, version.log.host);
      if (version.predecessor === null) return this.needVersions(sequence - 1, host, version.log.host);
      this.names.add(LOG.format(version.predecessor.log));
    }
  }

  private forwards(from: number, log: string, host: string): void {
    let before = new Set([log]);
    for (let sequence = from + 1; before.size > 0 && sequence - from < MAX_HISTORY_STEPS; sequence++) {
      const next = new Set<string>();
      for (const version of this.versionsOf(sequence)) {
        if (version.predecessor === null || !before.has(LOG.format(version.predecessor.log))) continue;
        next.add(LOG.format(version.log));
        this.needLog(LOG.format(version.log));
        this.needVersions(sequence, host, version.log.host);
      }
      before = next;
    }
  }

  private needLog(log: string): void {
    this.names.add(log);
    this.logs.add(log);
  }

  private needVersions(sequence: number, ...hosts: string[]): void {
    if (sequence < 0) return;
    for (const host of hosts) this.names.add(paths.version('', sequence, host).slice('resource-/'.length));
  }

  private version(sequence: number, host: string): Version | null {
    return this.snapshot.read(paths.version(this.resource, sequence, host), VERSION);
  }

  private versionsOf(sequence: number): Version[] {
    const prefix = paths.version('', sequence, '').slice('resource-/'.length);
    return this.namesInDir()
      .filter((name) => name.startsWith(prefix))
      .flatMap((name) => this.version(sequence, name.slice(prefix.length)) ?? []);
  }

  private list: string[] | null = null;

  private namesInDir(): string[] {
    return (this.list ??= this.snapshot.list(paths.resource(this.resource)));
  }
}
