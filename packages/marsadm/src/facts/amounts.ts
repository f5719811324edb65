import {
  LOG,
  NS_PER_SECOND,
  REPLAY,
  VERSION,
  isDirectory,
  paths,
  type ReplayPosition,
  type TreeSnapshot,
} from '@mars/mars-tree';

/** How far a host has come with the logs of a resource, bytes. Source: macros.md 4.3 */
export interface LogAmounts {
  replayPos: number;
  fetchPos: number;
  fetchSize: number;
  /** Known log bytes that are not yet on the disk. */
  writebackRest: number;
  replayLognr: number;
  replayBasenr: number;
  fetchLognr: number;
  workLognr: number;
}

const NOTHING: LogAmounts = {
  replayPos: 0,
  fetchPos: 0,
  fetchSize: 0,
  writebackRest: 0,
  replayLognr: 0,
  replayBasenr: 0,
  fetchLognr: 0,
  workLognr: 0,
};

/** Lengths of the logs of one resource, by number. */
class LogLengths {
  /** Files that are here: that of the host itself counts, else the longest. */
  readonly files = new Map<number, number>();
  /** Greatest length that any version link names. */
  readonly versions = new Map<number, number>();

  constructor(snapshot: TreeSnapshot, resource: string, host: string) {
    const own = new Set<number>();
    for (const [name, node] of snapshot.directory(paths.resource(resource))?.entries.entries() ?? []) {
      if (isDirectory(node) || node.isTombstone) continue;
      if (name.startsWith('log-') && node.kind === 'file') this.addFile(name, node.sizeBytes, host, own);
      else if (name.startsWith('version-')) this.addVersion(name, node.value);
    }
  }

  private addFile(name: string, sizeBytes: number, host: string, own: Set<number>): void {
    const log = LOG.read(name);
    if (log === null || (own.has(log.sequence) && log.host !== host)) return;
    if (log.host === host) own.add(log.sequence);
    const known = log.host === host ? 0 : (this.files.get(log.sequence) ?? 0);
    this.files.set(log.sequence, Math.max(known, sizeBytes));
  }

  private addVersion(name: string, value: string): void {
    const sequence = Number(/^version-(\d+)-/.exec(name)?.[1] ?? -1);
    const version = VERSION.read(value);
    if (sequence < 0 || version === null) return;
    this.versions.set(sequence, Math.max(this.versions.get(sequence) ?? 0, version.lengthBytes));
  }

  exists(sequence: number): boolean {
    return this.files.has(sequence) || this.versions.has(sequence);
  }

  /** A(k): what is known of a log, here or anywhere. */
  known(sequence: number): number {
    return Math.max(this.files.get(sequence) ?? 0, this.versions.get(sequence) ?? 0);
  }
}

export function logAmounts(snapshot: TreeSnapshot, resource: string, host: string): LogAmounts {
  const replay = snapshot.read(paths.replay(resource, host), REPLAY);
  if (replay === null) return NOTHING;
  const lengths = new LogLengths(snapshot, resource, host);
  const { log, posBytes } = replay;
  let base = posBytes;
  for (let k = log.sequence - 1; k >= 1 && lengths.exists(k); k--) base += lengths.known(k);
  const files = ahead(
    replay,
    (k) => lengths.files.has(k),
    (k) => lengths.files.get(k)!,
  );
  const all = ahead(
    replay,
    (k) => lengths.exists(k),
    (k) => lengths.known(k),
  );
  return {
    replayPos: base,
    fetchPos: base + files.bytes,
    fetchSize: base + all.bytes,
    writebackRest: all.bytes,
    replayLognr: log.sequence,
    replayBasenr: lowest(log.sequence, (k) => lengths.files.has(k)),
    fetchLognr: files.last,
    workLognr: all.last,
  };
}

/** What lies behind the replay position, as long as logs follow each other. */
function ahead(
  { log: { sequence: first }, posBytes, dirtyBytes }: ReplayPosition,
  exists: (sequence: number) => boolean,
  lengthOf: (sequence: number) => number,
): { bytes: number; last: number } {
  if (!exists(first)) return { bytes: dirtyBytes, last: first };
  let bytes = Math.max(dirtyBytes, lengthOf(first) - posBytes, 0);
  let last = first;
  while (exists(last + 1)) bytes += lengthOf(++last);
  return { bytes, last };
}

function lowest(from: number, exists: (sequence: number) => boolean): number {
  let sequence = from;
  while (sequence > 1 && exists(sequence - 1)) sequence--;
  return sequence;
}

/** Seconds since the newest version link of a host was written; null = it has none. */
export function newestVersionAge(snapshot: TreeSnapshot, resource: string, host: string, nowNs: bigint): number | null {
  const newest = snapshot.versions(resource, host).at(-1);
  const stampNs = newest === undefined ? null : snapshot.stampNs(paths.version(resource, newest, host));
  return stampNs === null ? null : Number((nowNs - stampNs) / NS_PER_SECOND);
}
