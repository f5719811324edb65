import { REPLAY, paths } from '@mars/mars-tree';
import { requireStableSecondary } from '../checks/stable-role.js';
import { setButton } from '../checks/switches.js';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { ensureButton, waitLed } from '../execute/wait.js';
import { UsageError } from '../exit.js';
import { systemdPhase } from './attach-detach.js';
import type { Command } from './command.js';
import { onePhase } from './command.js';
import { versionsOf, writeStart } from './join-resource.js';
import { purge } from './log-purge.js';
import { deleteErrorMessages, leftOvers, pushTo, startOfLog } from './resource-links.js';

/** How often an emergency of the primary is looked at again. */
const EMERGENCY_TRIES = 5;

export const invalidate: Command = {
  name: 'invalidate',
  usage: 'RES',
  about:
    'Throws away the version of this host, and starts it anew from the primary: after a split brain, or when its copy is bad.',
  resource: 'resource',
  since: '0.9',
  checks: [
    'this host is neither designated nor actual primary, and that has been so for half of --window (L) (force)',
    'another host is designated primary (K)',
  ],
  writes: [
    'all switches 0; syncstatus-HOST = 0; .deleted: version-k-HOST from the log of the primary on, replay-HOST, logs that nobody needs',
    "replay-HOST at the start of the primary's log (also pushed to it), its two version links, skip-check-HOST; then all switches 1",
  ],
  waits: ['is-syncing = is-copying = is-replaying = is-attached = 0 (not with --force); not for the sync'],
  examples: ['invalidate mydata'],
  phases: [
    { title: 'check preconditions', run: check },
    { title: 'switch state', run: switchOff },
    { title: 'wait for switched off', when: ({ force, session }) => !force && session.daemon.isLoaded, run: waitOff },
    { title: 'invalidate', run: forget },
    systemdPhase('trigger remote'),
    { title: 'purge logfiles', run: purgeOwn },
    systemdPhase('wait for deletions'),
    { title: 'set new replay position', run: startAgain },
    systemdPhase('trigger remote'),
    { title: 'switch state', run: switchOn },
  ],
};

export const fakeSync: Command = {
  name: 'fake-sync',
  isNarrow: true,
  usage: 'RES',
  about:
    'Declares the disk of this host to be equal to that of the primary, without looking. Only for disks that are known to be equal.',
  resource: 'resource',
  since: '0.9',
  helpLevel: 1,
  writes: ['todo-HOST/sync = 0, then syncstatus-HOST = size'],
  waits: ['is-syncing = 0'],
  notes: ['The sync is not switched on again.'],
  examples: ['fake-sync mydata'],
  phases: onePhase(runFakeSync),
};

export const setReplay: Command = {
  name: 'set-replay',
  usage: 'RES N',
  about: 'Makes this host go on with log N of the primary, whatever it has skipped. For experts.',
  resource: 'resource',
  since: '0.9',
  helpLevel: 1,
  checks: [
    'this host is neither designated nor actual primary, and that has been so for half of --window (L) (force)',
    'the replay of this host is paused (L)',
    'N is not greater than the number of today (L) (force)',
  ],
  writes: ['replay-HOST, version-N-HOST, version-(N-1)-HOST, skip-check-HOST'],
  examples: ['set-replay mydata 17'],
  phases: onePhase(runSetReplay),
};

async function check(job: Job): Promise<void> {
  await requireStableSecondary(job);
  const primary = foreignPrimary(job);
  for (let i = 0; i < EMERGENCY_TRIES && job.snapshot.isLit(job.resource, primary, 'has-emergency'); i++) {
    if (i === 0) job.out.warn(`the primary '${primary}' is in emergency mode`);
    await ping(job.session, { resource: job.resource });
  }
}

/** @throws Dying when there is nobody to start anew from */
function foreignPrimary(job: Job): string {
  const { snapshot, resource, host } = job;
  const primary = snapshot.primary(resource);
  if (primary === null)
    job.refuse(
      `no primary of resource '${resource}' is designated`,
      `First, on the host with the right data: marsadm primary ${resource}`,
    );
  if (primary === host) job.refuse(`host '${host}' itself is designated primary of resource '${resource}'`);
  return primary;
}

function switchOff(job: Job): void {
  for (const name of ['attach', 'sync', 'connect', 'allow-replay']) setButton(job, name, false);
}

async function waitOff(job: Job): Promise<void> {
  for (const led of ['is-syncing', 'is-copying', 'is-replaying', 'is-attached']) await waitLed(job, led, false);
}

function forget(job: Job): void {
  const { tree, snapshot, resource, host } = job;
  const replay = snapshot.read(paths.replay(resource, foreignPrimary(job)), REPLAY);
  tree.set(paths.syncStatus(resource, host), '0');
  const first = replay?.log.sequence ?? 0;
  for (const { path, sequence } of leftOvers(job)) {
    if (path.includes('/version-') && sequence >= first) tree.delete(path);
  }
  tree.delete(paths.replay(resource, host));
}

async function purgeOwn(job: Job): Promise<void> {
  await purge(job, false);
  deleteErrorMessages(job);
}

async function startAgain(job: Job): Promise<void> {
  const { snapshot, resource, host } = job;
  const primary = foreignPrimary(job);
  const replay = snapshot.read(paths.replay(resource, primary), REPLAY);
  if (replay === null) job.refuse(`the replay link of the primary '${primary}' is missing or cannot be understood`);
  writeStart(job, replay, await versionsOf(job, primary, replay.log.sequence));
  await job.tree.flush();
  pushTo(job, primary, paths.replay(resource, host), startOfLog(replay.log));
}

async function switchOn(job: Job): Promise<void> {
  for (const name of ['attach', 'connect', 'allow-replay']) setButton(job, name, true);
  await job.tree.flush();
  setButton(job, 'sync', true);
}

async function runFakeSync(job: Job): Promise<void> {
  const { tree, snapshot, resource, host, session } = job;
  setButton(job, 'sync', false);
  await tree.flush();
  if (session.daemon.isLoaded) await waitLed(job, 'is-syncing', false);
  const size = snapshot.value(paths.size(resource));
  if (size === null) job.refuse(`the size of resource '${resource}' is not known`);
  tree.set(paths.syncStatus(resource, host), size);
}

async function runSetReplay(job: Job): Promise<void> {
  const { snapshot, resource, host } = job;
  const wanted = /^\d{1,9}$/.test(job.args[0] ?? '') ? Number(job.args[0]) : null;
  if (wanted === null || wanted < 1)
    throw new UsageError('set-replay needs the number of a log', [`usage: marsadm set-replay ${setReplay.usage}`]);
  await requireStableSecondary(job);
  ensureButton(job, 'replay', false);
  const primary = foreignPrimary(job);
  const now = snapshot.read(paths.replay(resource, host), REPLAY)?.log.sequence ?? 0;
  if (wanted > now)
    job.refuseUnlessForced(
      `log ${wanted} is beyond log ${now}, at which host '${host}' is: what lies between would be missing`,
    );
  const start = { log: { sequence: wanted, host: primary }, posBytes: 0, dirtyBytes: 0 };
  writeStart(job, start, await versionsOf(job, primary, wanted));
  await job.tree.flush();
  pushTo(job, primary, paths.replay(resource, host), startOfLog(start.log));
}
