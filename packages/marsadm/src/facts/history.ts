import { LOG, REPLAY, VERSION, paths, type LogName, type TreeSnapshot } from '@mars/mars-tree';
import { MAX_HISTORY_STEPS } from '../limits.js';
import { compareNaturally } from '../parse/names.js';

/** A place in the history of a resource: so many bytes of this log. */
export interface Place {
  log: LogName;
  lengthBytes: number;
}

/** Two hosts whose histories have parted. */
export interface Split {
  hosts: readonly [string, string];
  /** The last place they have in common; null = it cannot be found. */
  point: Place | null;
}

export function placeText({ log, lengthBytes }: Place): string {
  return `${LOG.format(log)},${lengthBytes}`;
}

/** Every pair of hosts that have parted. Source: macros.md 5.3 */
export function findSplits(snapshot: TreeSnapshot, resource: string): Split[] {
  const hosts = replayHosts(snapshot, resource);
  const splits: Split[] = [];
  for (const [i, a] of hosts.entries()) {
    for (const b of hosts.slice(i + 1)) {
      const split = compareHistories(snapshot, resource, a, b);
      if (split !== null) splits.push(split);
    }
  }
  return splits;
}

/** Numbers of which two logs exist here: the second kind of split brain. */
export function duplicateLogs(snapshot: TreeSnapshot, resource: string): number[] {
  const seen = new Set<number>();
  const twice = new Set<number>();
  for (const { sequence } of snapshot.logs(resource)) (seen.has(sequence) ? twice : seen).add(sequence);
  return [...twice];
}

/** Hosts with a replay link, in natural order. */
export function replayHosts(snapshot: TreeSnapshot, resource: string): string[] {
  return snapshot
    .list(paths.resource(resource))
    .filter((name) => name.startsWith('replay-'))
    .map((name) => name.slice('replay-'.length))
    .sort(compareNaturally);
}

interface Walker {
  host: string;
  place: Place;
  /** Steps back so far. */
  depth: number;
}

/** Walks both histories back to where they meet. @returns null = one is the past of the other */
function compareHistories(snapshot: TreeSnapshot, resource: string, hostA: string, hostB: string): Split | null {
  const walkers = [hostA, hostB].map((host) => start(snapshot, resource, host));
  const [a, b] = walkers;
  if (a == null || b == null) return null;
  const split = (point: Place | null): Split => ({ hosts: [hostA, hostB], point });
  let isSplit = false;
  for (let step = 0; step < MAX_HISTORY_STEPS; step++) {
    if (a.place.log.sequence !== b.place.log.sequence) {
      const later = a.place.log.sequence > b.place.log.sequence ? a : b;
      if (!stepBack(snapshot, resource, later)) return split(null);
    } else if (a.place.log.host !== b.place.log.host) {
      isSplit = true;
      if (!stepBack(snapshot, resource, a) || !stepBack(snapshot, resource, b)) return split(null);
    } else {
      return judgeMeeting(a, b, isSplit) ? split(shorter(a, b).place) : null;
    }
  }
  return isSplit ? split(null) : null;
}

/** Both stand in the same log: have they parted before, or does one only lag behind? */
function judgeMeeting(a: Walker, b: Walker, isSplit: boolean): boolean {
  if (isSplit) return true;
  if (a.place.lengthBytes === b.place.lengthBytes) return a.depth > 0 && b.depth > 0;
  return shorter(a, b).depth > 0;
}

function shorter(a: Walker, b: Walker): Walker {
  return a.place.lengthBytes <= b.place.lengthBytes ? a : b;
}

function start(snapshot: TreeSnapshot, resource: string, host: string): Walker | null {
  const replay = snapshot.read(paths.replay(resource, host), REPLAY);
  return replay === null ? null : { host, place: { log: replay.log, lengthBytes: replay.posBytes }, depth: 0 };
}

/** To the log before, as the host remembers it. @returns false when nothing is known of it */
function stepBack(snapshot: TreeSnapshot, resource: string, walker: Walker): boolean {
  const { sequence } = walker.place.log;
  const own = snapshot.read(paths.version(resource, sequence, walker.host), VERSION);
  const before = own?.predecessor ?? snapshot.read(paths.version(resource, sequence - 1, walker.host), VERSION);
  if (before === null) return false;
  walker.place = { log: before.log, lengthBytes: before.lengthBytes };
  walker.depth++;
  return true;
}

/** Bytes that a host has in its logs behind a place: what one of the sides would lose. */
export function amountBehind(snapshot: TreeSnapshot, resource: string, host: string, point: Place | null): number {
  const walker = start(snapshot, resource, host);
  let bytes = 0;
  for (let step = 0; walker !== null && step < MAX_HISTORY_STEPS; step++) {
    const { log, lengthBytes } = walker.place;
    if (point !== null && log.sequence <= point.log.sequence) {
      const isSame = log.sequence === point.log.sequence && log.host === point.log.host;
      return bytes + (isSame ? Math.max(0, lengthBytes - point.lengthBytes) : 0);
    }
    bytes += lengthBytes;
    if (!stepBack(snapshot, resource, walker)) break;
  }
  return bytes;
}

/** Greatest number for which any version link exists; null = there is none. */
export function newestVersion(snapshot: TreeSnapshot, resource: string): number | null {
  let newest: number | null = null;
  for (const name of snapshot.list(paths.resource(resource))) {
    const sequence = Number(/^version-(\d{9,15})-/.exec(name)?.[1] ?? -1);
    if (sequence >= 0 && sequence > (newest ?? -1)) newest = sequence;
  }
  return newest;
}
