import { REPLAY, SEQ, paths, type ReplayPosition } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { replayHosts } from '../facts/history.js';
import { onePhase, type Command } from './command.js';

const common = {
  usage: 'RES',
  resource: 'resource',
  helpLevel: 1,
  isNarrow: true,
  checks: ['all members have replayed the log (K); it is older than 2 × --window (force); the last log always stays'],
  writes: ['.deleted: logs below the lowest number of all replay-* links, in ascending order; old version links'],
  force: 'does not look at the age',
  notes: ['Deprecated: "cron" does it.'],
  isQuiet: true,
} as const;

export const logDeleteAll: Command = {
  ...common,
  name: 'log-delete-all',
  aliases: ['log-delete', 'log-delete-all-replayed'],
  about: 'Deletes all logs that every member has replayed.',
  since: '0.9',
  examples: ['log-delete-all all'],
  phases: onePhase((job) => {
    deprecated(job);
    deleteLogs(job, Infinity);
  }),
};

export const logDeleteOne: Command = {
  ...common,
  name: 'log-delete-one',
  about: 'Deletes the first log that every member has replayed.',
  since: 'HEAD',
  examples: ['log-delete-one r1'],
  phases: onePhase((job) => {
    deprecated(job);
    deleteLogs(job, 1);
  }),
};

function deprecated({ out, command }: Job): void {
  out.warn(`command '${command}' is deprecated, better use 'marsadm cron'`);
}

/** Source: marsadm.md 11; symlink-tree.md 5.1, "Deletion" */
export function deleteLogs(job: Job, most: number): void {
  const { snapshot, resource, out } = job;
  const logs = snapshot.logs(resource);
  const lowest = lowestNeeded(job);
  if (lowest === null) return out.say(`no logfiles of resource '${resource}' can be deleted`);
  const limit = Math.min(lowest, logs.at(-1)?.sequence ?? 0);
  let deleted = 0;
  for (const log of logs) {
    const path = paths.log(resource, log.sequence, log.host);
    if (log.sequence >= limit || deleted >= most) break;
    if (!isOld(job, path)) {
      out.say(`logfile '/mars/${path}' is too young to be deleted`);
      break;
    }
    out.say(`deleting logfile '/mars/${path}'`);
    job.tree.delete(path);
    deleted++;
  }
  if (deleted === 0) out.say(`no logfiles of resource '${resource}' can be deleted`);
  deleteVersions(job, lowest);
}

/** The lowest log that a member still has to replay; null = that cannot be known, so nothing may go. */
function lowestNeeded({ snapshot, resource, out }: Job): number | null {
  const positions: ReplayPosition[] = [];
  for (const host of replayHosts(snapshot, resource)) {
    const replay = snapshot.read(paths.replay(resource, host), REPLAY);
    if (replay === null) {
      out.warn(`replay link of host '${host}' cannot be understood, so no logfile is deleted`);
      return null;
    }
    positions.push(replay);
  }
  // A member that has just joined has no replay link yet, and may need any of them.
  const isComplete = snapshot.members(resource).every((host) => snapshot.value(paths.replay(resource, host)) !== null);
  if (positions.length === 0 || !isComplete) return null;
  return Math.min(...positions.map(({ log }) => log.sequence));
}

function deleteVersions(job: Job, lowest: number): void {
  const { snapshot, tree, resource } = job;
  const old = new Map<number, string[]>();
  for (const name of snapshot.list(paths.resource(resource))) {
    const sequence = SEQ.read(/^version-(\d+)-/.exec(name)?.[1] ?? '');
    if (sequence === null || sequence >= lowest - 1) continue;
    old.set(sequence, [...(old.get(sequence) ?? []), `${paths.resource(resource)}/${name}`]);
  }
  // Only when all of a number are old: a host that is behind may still write its own.
  for (const siblings of old.values())
    if (siblings.every((path) => isOld(job, path))) for (const path of siblings) tree.delete(path);
}

function isOld({ tree, session, force }: Job, path: string): boolean {
  return force || (tree.ageSeconds(path) ?? 0) > 2 * session.options.window;
}
