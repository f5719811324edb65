import { NS_PER_SECOND, REPLAY, STAMP, paths, type ReplayPosition } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import type { Job } from '../execute/job.js';

/** Is the sync of a host finished, as far as is known here? Source: marsadm.md 10, primary */
export function isSynced(job: Job, host: string): boolean {
  const { snapshot, resource } = job;
  const size = numberAt(job, paths.size(resource)) ?? 0;
  const synced = numberAt(job, paths.syncStatus(resource, host)) ?? 0;
  if (size <= 0 || synced < size) return false;
  const wanted = snapshot.read(paths.syncPos(resource, host), REPLAY);
  const replayed = snapshot.read(paths.replay(resource, host), REPLAY);
  return wanted === null || (replayed !== null && compareReplay(replayed, wanted) >= 0);
}

/** Order of two replay positions: number, then bytes. */
export function compareReplay(a: ReplayPosition, b: ReplayPosition): number {
  return a.log.sequence - b.log.sequence || a.posBytes - b.posBytes;
}

/** Seconds since a host was last heard of; Infinity = never. */
export function silentSeconds({ snapshot, tree }: Job, host: string): number {
  const timeNs = snapshot.read(paths.node(host, 'time'), STAMP);
  return timeNs === null ? Infinity : Number(tree.nowNs - timeNs) / Number(NS_PER_SECOND);
}

/** Who was, or should have been, primary before this command: the designation, what this run has seen before, or the last one on record. */
export function oldPrimary(job: Job): string | null {
  const { snapshot, resource, notes } = job;
  const designated = snapshot.primary(resource);
  if (designated !== null) notes.set('old primary', designated);
  return designated ?? (notes.get('old primary') as string | undefined) ?? snapshot.value(lastPrimaryPath(resource));
}

export function lastPrimaryPath(resource: string): string {
  return `resource-${resource}/userspace/last-primary`;
}
