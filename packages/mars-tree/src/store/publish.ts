import { crashPoint } from '@mars/brick-core';
import { INT } from '../keys/numbers.js';
import { LOG, REPLAY, type LogName, type ReplayPosition } from '../keys/logs.js';
import { paths } from '../paths.js';
import type { TreeStore } from './tree-store.js';
import { versionValue } from './version-digest.js';

/** What a host publishes about its logs. */
export interface LogProgress {
  resource: string;
  log: LogName;
  /** Disk writes up to here are durable; the caller has flushed them (5.6, rule 3). */
  posBytes: number;
  /** Length of the region behind it that may be partly written. */
  dirtyBytes: number;
  /** Length of the log as known here. */
  lengthBytes: number;
}

/**
 * Publishes the replay link, then the version link, in this order; unchanged values are not rewritten. When this is the first time for
 * this log number, both are made durable before the call returns.
 * @param publishedSequence  number of the log that was published last; 0 = none yet
 * @returns whether something changed. Source: symlink-tree.md 5.5; 5.6 rule 4
 */
export async function publishProgress(store: TreeStore, at: LogProgress, publishedSequence: number): Promise<boolean> {
  const { resource, log } = at;
  const replay = paths.replay(resource, store.me);
  const version = paths.version(resource, log.sequence, store.me);
  const outcomes = [store.writeIfChanged(replay, replayValue(at))];
  crashPoint('tree.between-replay-and-version');
  outcomes.push(store.writeIfChanged(version, ownVersion(store, at)));
  if (log.sequence > publishedSequence) await store.sync([replay]);
  return outcomes.includes('written');
}

/**
 * Leaves one log and begins the next: the replay link is the commit point, so data and links of the log before must be durable already,
 * and so must the new log file (5.6 rules 4 and 5). Durable when the call returns. Source: symlink-tree.md 5.5, "Switch to log m"
 */
export async function switchToLog(store: TreeStore, resource: string, log: LogName): Promise<void> {
  const at = { resource, log, posBytes: 0, dirtyBytes: 0, lengthBytes: 0 };
  const replay = paths.replay(resource, store.me);
  store.write(replay, replayValue(at));
  crashPoint('tree.between-replay-and-version');
  store.write(paths.version(resource, log.sequence, store.me), ownVersion(store, at));
  await store.sync([replay]);
}

/**
 * The end of a sync: `syncpos` is durable before `syncstatus` says that the disk is complete. All bytes must be durable already.
 * Source: symlink-tree.md 5.6 rule 6, 6.6
 */
export async function publishSyncEnd(
  store: TreeStore,
  end: { resource: string; primaryPosition: ReplayPosition; sizeBytes: number },
): Promise<void> {
  const position = paths.syncPos(end.resource, store.me);
  const status = paths.syncStatus(end.resource, store.me);
  store.write(position, REPLAY.format(end.primaryPosition));
  await store.sync([position]);
  crashPoint('tree.between-syncpos-and-syncstatus');
  store.write(status, INT.format(end.sizeBytes));
  await store.sync([status]);
}

/**
 * Publishes that a log number is skipped in an emergency; durable before the caller creates the empty log behind it (5.6 rule 7).
 * Source: symlink-tree.md 6.8
 */
export async function publishHole(store: TreeStore, resource: string, sequence: number): Promise<void> {
  const path = paths.version(resource, sequence, store.me);
  store.write(path, `${'0'.repeat(32)},${LOG.format({ sequence, host: store.me })},0:`);
  await store.sync([path]);
}

function replayValue({ log, posBytes, dirtyBytes }: LogProgress): string {
  return REPLAY.format({ log, posBytes, dirtyBytes });
}

function ownVersion(store: TreeStore, { resource, log, lengthBytes }: LogProgress): string {
  const before = log.sequence > 1 ? store.snapshot.value(paths.version(resource, log.sequence - 1, store.me)) : null;
  return versionValue(log.sequence, log.host, lengthBytes, before);
}
