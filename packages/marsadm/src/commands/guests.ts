import { paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { onePhase, type Command } from './command.js';

export const activateGuest: Command = {
  name: 'activate-guest',
  usage: 'RES',
  about: 'Lets this host hear of everything that happens to a resource, without storing its data.',
  resource: 'resource',
  since: 'HEAD',
  checks: ['the resource is known in the cluster (K)'],
  writes: ['device-HOST = RES, actual-HOST/if-on = 0'],
  waits: ['answers of the peers'],
  examples: ['activate-guest r1'],
  requires: 'nothing',
  phases: onePhase(activate),
};

export const deactivateGuest: Command = {
  name: 'deactivate-guest',
  usage: 'RES',
  about: 'Ends what activate-guest has begun.',
  resource: 'resource',
  since: 'HEAD',
  checks: ['this host is no member: it has neither data-HOST nor replay-HOST'],
  writes: ['.deleted: device-HOST'],
  examples: ['deactivate-guest r1'],
  phases: onePhase(deactivate),
};

async function activate(job: Job): Promise<void> {
  const { session, tree, resource, host } = job;
  const isKnown = (): boolean => job.snapshot.value(paths.size(resource)) !== null;
  if (!isKnown()) await ping(session, { isUpdate: true });
  if (!isKnown()) job.refuse(`resource '${resource}' does not exist in this cluster`);
  if (job.snapshot.value(paths.data(resource, host)) !== null)
    job.refuse(`host '${host}' is a member of resource '${resource}'`);
  tree.set(paths.device(resource, host), resource);
  tree.set(paths.actual(resource, host, 'if-on'), '0');
  await tree.flush();
  await ping(session, { resource });
}

function deactivate(job: Job): void {
  const { snapshot, tree, resource, host } = job;
  const isMember = [paths.data(resource, host), paths.replay(resource, host)].some(
    (path) => snapshot.value(path) !== null,
  );
  if (isMember)
    job.refuse(
      `host '${host}' is a member of resource '${resource}', not a guest`,
      `marsadm leave-resource ${resource}`,
    );
  tree.delete(paths.device(resource, host));
}
