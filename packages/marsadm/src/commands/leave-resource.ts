import { paths } from '@mars/mars-tree';
import { requireStableSecondary } from '../checks/stable-role.js';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { systemdPhase } from './attach-detach.js';
import { onePhase, type Command } from './command.js';
import { purge } from './log-purge.js';

export const leaveResource: Command = {
  name: 'leave-resource',
  usage: 'RES',
  about: 'Ends the membership of this host in a resource. Its disk stays as it is.',
  resource: 'resource',
  since: '0.9',
  checks: [
    'this host is neither designated nor actual primary, and that has been so for half of --window (L) (force)',
    'the disk is not attached any more (L) (force)',
  ],
  writes: [
    '.deleted: replay-HOST data-HOST syncstatus-HOST syncpos-HOST skip-check-HOST verifystatus-HOST device-HOST actsize-HOST',
    '.deleted: everything in actual-HOST/, todo-HOST/, local-HOST/, defaults-HOST/; logs that nobody needs',
  ],
  waits: ['up to 17 times window/8 + 1 s until the role is settled; answers of the peers, when there are others'],
  force: 'only warns, also as actual primary; for a dead host: --host=DEAD --force',
  examples: ['down mydata && marsadm leave-resource mydata', 'leave-resource --host=nodec --force mydata'],
  phases: [
    { title: 'check preconditions', run: check },
    { title: 'switch state', run: deleteLinks },
    { title: 'purge logfiles', run: (job) => purge(job, false) },
    { title: 'wait for deletions', run: waitForDeletions },
    systemdPhase('trigger systemd'),
  ],
};

export const deleteResource: Command = {
  name: 'delete-resource',
  usage: 'RES',
  about: 'Deletes what is left of a resource after its last member has left it.',
  resource: 'resource',
  since: '0.1-36',
  checks: ['no host has device-*, data-* or replay-* (K) (force)'],
  writes: ['.deleted: everything below the resource except maxnr'],
  force: 'destroys a living resource on all hosts',
  examples: ['delete-resource mydata'],
  requires: 'existence',
  phases: onePhase(runDelete),
};

async function check(job: Job): Promise<void> {
  const { session, resource, host, force } = job;
  if (job.snapshot.members(resource).length > 2 && !force) await ping(session, { isUpdate: true });
  await requireStableSecondary(job);
  warnOfActivity(job);
  if (!job.snapshot.isLit(resource, host, 'is-attached')) return;
  job.refuseUnlessForced(
    `the disk of resource '${resource}' is still attached on host '${host}'`,
    `First: marsadm down ${resource}`,
  );
}

function warnOfActivity({ snapshot, resource, host, out }: Job): void {
  for (const name of ['attach', 'connect', 'sync', 'allow-replay'] as const) {
    if (snapshot.isOn(resource, host, name)) out.warn(`switch '${name}' of resource '${resource}' is still on`);
  }
  for (const led of ['is-replaying', 'is-copying', 'is-syncing', 'is-primary']) {
    if (snapshot.isLit(resource, host, led)) out.warn(`actual '${led}' of resource '${resource}' is still on`);
  }
}

function deleteLinks({ tree, snapshot, resource, host }: Job): void {
  const dir = paths.resource(resource);
  // The device goes last: without it the daemon does not touch the resource any more.
  for (const name of [
    'replay',
    'data',
    'syncstatus',
    'syncpos',
    'skip-check',
    'verifystatus',
    'actsize',
    'connect',
    'device',
  ]) {
    tree.delete(`${dir}/${name}-${host}`);
  }
  const own = snapshot
    .list(dir)
    .filter((name) => name.endsWith(`-${host}`) && snapshot.directory(`${dir}/${name}`) !== null);
  for (const sub of own) for (const name of snapshot.list(`${dir}/${sub}`)) tree.delete(`${dir}/${sub}/${name}`);
}

async function waitForDeletions(job: Job): Promise<void> {
  const { session, snapshot, resource, host, force } = job;
  const others = snapshot.members(resource).filter((member) => member !== host);
  if (others.length === 0 || force) return;
  await ping(session, { resource });
  await purge(job, false);
}

function runDelete(job: Job): void {
  const { snapshot, resource, tree, out } = job;
  const dir = paths.resource(resource);
  const living = snapshot.list(dir).filter((name) => /^(device|data|replay)-/.test(name));
  if (living.length > 0) {
    const hosts = [...new Set(living.map((name) => name.replace(/^[a-z]+-/, '')))];
    job.refuseUnlessForced(
      `resource '${resource}' still has members: ${hosts.join(', ')} (${living.join(' ')})`,
      `First, on each of them: marsadm down ${resource} && marsadm leave-resource ${resource}`,
    );
  }
  for (const { path } of snapshot.walk(dir)) if (path !== paths.maxnr(resource)) tree.delete(path);
  out.say(`successfully deleted resource '${resource}'`);
}
