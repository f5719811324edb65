import { INT, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { TOOL_VERSION } from '../version.js';
import { onePhase, type Command } from './command.js';

/** Unit of `--thresh-logsize`, bytes. */
const THRESHOLD_UNIT = 1_000_000_000;

export const logRotate: Command = {
  name: 'log-rotate',
  isNarrow: true,
  usage: 'RES',
  about: 'Lets the primary begin a new log. The daemon does so by itself when a log is large enough.',
  resource: 'resource',
  since: '0.9',
  helpLevel: 1,
  checks: [
    'this host is primary (L), else only a warning (force)',
    'the newest log of this host is not empty, else nothing is done',
    'there are fewer than --thresh-logfiles older logs, or the newest has --thresh-logsize',
    'the newest log has a version link, or is younger than 2 × --window',
  ],
  writes: ['actual-HOST/marsadm-version, maxnr, and an empty file log-(n+1)-HOST, which the daemon begins to use'],
  notes: ['Deprecated: "cron" does it.'],
  examples: ['log-rotate all'],
  isQuiet: true,
  phases: onePhase((job) => {
    job.out.warn(`command '${job.command}' is deprecated, better use 'marsadm cron'`);
    rotate(job);
  }),
};

/** Also a part of cron, which is silent on secondaries. */
export function rotate(job: Job, isSilent = false): void {
  const { tree, snapshot, resource, host, out } = job;
  const isPrimary = snapshot.isLit(resource, host, 'is-primary') || snapshot.isLit(resource, host, 'if-on');
  if (!isPrimary && !job.force) {
    if (!isSilent)
      out.warn(`log-rotate of resource '${resource}' is only possible on its primary, not on host '${host}'`);
    return;
  }
  tree.set(paths.node(host, 'marsadm-version'), TOOL_VERSION);
  const logs = snapshot.logs(resource).filter((log) => log.host === host);
  out.say(`get logfiles '/mars/resource-${resource}/log-*-${host}'`);
  out.say(`found ${logs.length} logfiles.`);
  const newest = logs.at(-1);
  if (newest === undefined) return out.warn(`host '${host}' has no log of its own for resource '${resource}'`);
  const why = whyNot(job, newest, logs.length - 1);
  if (why !== null) return out.say(why);
  const next = newest.sequence + 1;
  if (snapshot.logs(resource).some(({ sequence }) => sequence >= next)) return out.warn(`log ${next} exists already`);
  tree.createFile(paths.log(resource, next, host));
  const highest = Math.max(next, snapshot.read(paths.maxnr(resource), INT) ?? 0);
  tree.set(paths.maxnr(resource), INT.format(highest));
  out.say(`create new logfile '/mars/${paths.log(resource, next, host)}'`);
}

function whyNot(job: Job, newest: { sequence: number; sizeBytes: number }, olderLogs: number): string | null {
  const { snapshot, resource, host, tree, session } = job;
  const { threshLogfiles, threshLogsize, window } = session.options;
  const path = paths.log(resource, newest.sequence, host);
  if (newest.sizeBytes === 0) return `logfile '/mars/${path}' is empty: no rotation needed`;
  if (olderLogs >= threshLogfiles && newest.sizeBytes < threshLogsize * THRESHOLD_UNIT) {
    return `there are ${olderLogs} older logfiles already, and '/mars/${path}' is small: no rotation`;
  }
  const isYoung = (tree.ageSeconds(path) ?? 0) <= 2 * window;
  if (isYoung || snapshot.value(paths.version(resource, newest.sequence, host)) !== null) return null;
  return `logfile '/mars/${path}' has no version link: no rotation`;
}
