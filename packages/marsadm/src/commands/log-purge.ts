import { paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { replayHosts } from '../facts/history.js';
import { findNeeded } from '../facts/purge.js';
import { MAX_PURGE_ROUNDS } from '../limits.js';
import { onePhase, type Command } from './command.js';

export const logPurgeAll: Command = {
  name: 'log-purge-all',
  isNarrow: true,
  usage: 'RES',
  about:
    'Removes logs and version links of this host that nobody can come to any more, for example after a split brain.',
  resource: 'resource',
  since: '0.1-36',
  writes: ['.deleted: log-*-HOST and version-*-HOST that no replay link leads to, forwards or backwards'],
  force: 'also those of other hosts',
  examples: ['log-purge-all mydata --force'],
  requires: 'existence',
  isQuiet: true,
  phases: onePhase(async (job) => {
    await purge(job, job.force);
    const missing = findNeeded(job.snapshot, job.resource).missingLogs;
    if (missing.length > 0)
      job.out.warn(`logs of '${job.resource}' that are needed, but not here: ${missing.join(', ')}`);
  }),
};

export const errPurgeAll: Command = {
  name: 'err-purge-all',
  isNarrow: true,
  usage: 'RES',
  about: 'Forgets error messages, of this host and of a resource.',
  resource: 'resource',
  since: 'HEAD',
  writes: ['.deleted: actual-HOST/msg-err-*, also of the resource'],
  examples: ['err-purge-all mydata'],
  requires: 'existence',
  phases: onePhase(({ tree, snapshot, resource, host }) => {
    for (const dir of [`actual-${host}`, `${paths.resource(resource)}/actual-${host}`]) {
      for (const name of snapshot.list(dir)) if (name.startsWith('msg-err-')) tree.delete(`${dir}/${name}`);
    }
  }),
};

/** Starts again when a replay link has moved meanwhile. */
export async function purge(job: Job, isForced: boolean): Promise<void> {
  for (let round = 0; round < MAX_PURGE_ROUNDS; round++) {
    const before = replayText(job);
    const mark = job.tree.mark();
    markUnneeded(job, isForced);
    job.look();
    if (replayText(job) === before) return;
    job.tree.rollback(mark);
    job.out.detail('replay links have changed meanwhile, starting again');
  }
  job.refuse('replay links change all the time', 'Pause the replay first: marsadm pause-replay-global RES');
}

function markUnneeded(job: Job, isForced: boolean): void {
  const { snapshot, resource, out, host, tree } = job;
  const { names } = findNeeded(snapshot, resource);
  for (const name of snapshot.list(paths.resource(resource))) {
    const match = /^(log|version)-(\d{9,15})-(.*)$/.exec(name);
    if (match === null) continue;
    out.detail(`checking '${name}'`);
    const [, kind, sequence, owner] = match;
    if (names.has(name) || (kind === 'log' && isAnnounced(job, Number(sequence), owner!))) out.detail(`  ok '${name}'`);
    else if (owner !== host && !isForced) out.detail(`  skipping foreign object '${name}'`);
    else tree.delete(`${paths.resource(resource)}/${name}`);
  }
}

/** The next log of a primary exists, empty, before anything names it. */
function isAnnounced({ snapshot, resource }: Job, sequence: number, owner: string): boolean {
  const isPrimary = snapshot.primary(resource) === owner || snapshot.isLit(resource, owner, 'is-primary');
  const file = snapshot.entry(paths.log(resource, sequence, owner));
  return isPrimary && file?.kind === 'file' && file.sizeBytes === 0;
}

function replayText({ snapshot, resource }: Job): string {
  return replayHosts(snapshot, resource)
    .map((host) => snapshot.value(paths.replay(resource, host)))
    .join(' ');
}
