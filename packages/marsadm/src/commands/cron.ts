import { collectTombstones, paths, removeStaleTemporaries } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { CRON_PAUSE_MS } from '../limits.js';
import { onePhase, type Command } from './command.js';
import { deleteLogs } from './log-delete.js';
import { rotate } from './log-rotate.js';

export const cron: Command = {
  name: 'cron',
  usage: '',
  about:
    'Housekeeping, every ten minutes: forgets old deletions, rotates logs, deletes logs that are replayed everywhere.',
  resource: 'resource, default all',
  since: 'HEAD',
  writes: ['like link-purge-all, log-rotate and log-delete-all, for all resources of this host'],
  waits: ['7 seconds between rotating and deleting'],
  examples: ['cron'],
  isForEveryHost: true,
  isQuiet: true,
  phases: [
    { title: 'purge links', isGlobal: true, run: purgeLinks },
    { title: 'rotate logfiles', when: hasResource, run: (job) => rotate(job, true) },
    { title: 'wait', isGlobal: true, when: hasResource, run: pause },
    { title: 'delete logfiles', when: hasResource, run: (job) => deleteLogs(job, Infinity) },
  ],
};

export const linkPurgeAll: Command = {
  name: 'link-purge-all',
  usage: 'RES',
  about:
    'Removes deleted links for good, when all peers have seen the deletion; also temporary links that programs have left.',
  resource: 'resource',
  since: 'HEAD',
  writes: ['unlinks, on this host only'],
  force: 'everything that was deleted longer ago than --window',
  examples: ['link-purge-all r1'],
  requires: 'existence',
  isQuiet: true,
  phases: onePhase(purgeLinks),
};

function hasResource({ resource }: Job): boolean {
  return resource !== '';
}

function purgeLinks({ session, tree, out, force }: Job): void {
  if (session.dryRun) return out.say('DRY_RUN: would remove deleted links that all peers have seen');
  const { keepBackupHours, window } = session.options;
  const removed = collectTombstones(tree.store, { keepHours: keepBackupHours, windowSeconds: window, force });
  const stale = removeStaleTemporaries(tree.store);
  for (const path of [...removed, ...stale]) out.detail(`unlink '/mars/${path}'`);
  session.result = { removed: removed.map((path) => `/mars/${path}`), temporaries: stale.length };
}

/** The daemons begin to use the new logs. */
async function pause({ session, tree, out }: Job): Promise<void> {
  await tree.flush('3');
  if (session.dryRun) return out.say('DRY_RUN: would wait 7 seconds');
  await session.sleep(CRON_PAUSE_MS);
  tree.look(...session.snapshot.resources().map(paths.resource));
}
