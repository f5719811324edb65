import { canWait, requireSyncSource, setButton } from '../checks/switches.js';
import type { Job } from '../execute/job.js';
import { reportFailure } from '../execute/phases.js';
import { deviceOf, openCount, waitDevice, waitLed } from '../execute/wait.js';
import { Dying } from '../exit.js';
import type { Command, Phase } from './command.js';

const force = 'the device may be open; nothing is waited for';
const unloaded = 'Without a running daemon nothing is waited for.';

/** Systemd units are not looked after yet; the numbers of the phases stay those of the original. */
export function systemdPhase(title: string): Phase {
  return { title, when: () => false, run: () => {} };
}

export const attach: Command = {
  name: 'attach',
  isNarrow: true,
  usage: 'RES',
  about: 'Lets MARS use the disk of the resource on this host.',
  resource: 'resource',
  since: '0.9',
  writes: ['todo-HOST/attach = 1'],
  waits: ['is-attached = 1'],
  force,
  notes: [unloaded],
  examples: ['attach all'],
  phases: [
    { title: 'check preconditions', run: () => {} },
    { title: 'switch state', run: (job) => setButton(job, 'attach', true) },
    { title: 'wait for attach', run: waitAttached },
  ],
};

export const up: Command = {
  ...attach,
  name: 'up',
  about: 'Switches everything on: attach, fetch, sync and replay.',
  checks: [
    'for the sync: a primary is designated and not in emergency mode; else the rest is done all the same, with exit status 1',
  ],
  writes: ['todo-HOST/{attach,connect,sync,allow-replay} = 1'],
  examples: ['up all'],
  phases: [
    { title: 'check preconditions', run: () => {} },
    { title: 'switch state', run: switchUp },
    { title: 'wait for attach', run: waitAttached },
  ],
};

export const detach: Command = {
  name: 'detach',
  isNarrow: true,
  usage: 'RES',
  about: 'Makes MARS release the disk of the resource on this host.',
  resource: 'resource',
  since: '0.9',
  checks: ['the device is not in use on this host (L) (force)'],
  writes: ['todo-HOST/attach = 0'],
  waits: ['is-attached = 0, the device gone, is-replaying = 0, is-syncing = 0'],
  force,
  notes: [unloaded],
  examples: ['detach all'],
  phases: downPhases((job) => setButton(job, 'attach', false)),
};

export const down: Command = {
  ...detach,
  name: 'down',
  about: 'Switches everything off: replay, sync, fetch and attach.',
  writes: ['todo-HOST/{allow-replay,sync,connect,attach} = 0'],
  examples: ['down all'],
  phases: downPhases(switchDown),
};

function downPhases(switchOff: Phase['run']): readonly Phase[] {
  return [
    { title: 'check preconditions', run: requireNotInUse },
    systemdPhase('wait for systemd'),
    { title: 'switch state', run: switchOff },
    { title: 'wait for detach', run: waitDetached },
  ];
}

/** Also for other commands that end with everything on. */
export function switchUp(job: Job): void {
  setButton(job, 'attach', true);
  setButton(job, 'connect', true);
  try {
    requireSyncSource(job);
    setButton(job, 'sync', true);
  } catch (error) {
    if (!(error instanceof Dying)) throw error;
    job.session.fail(reportFailure(job.session, error));
  }
  setButton(job, 'allow-replay', true);
}

function switchDown(job: Job): void {
  for (const name of ['allow-replay', 'sync', 'connect', 'attach']) setButton(job, name, false);
}

function requireNotInUse(job: Job): void {
  const count = openCount(job, job.host);
  if (count === 0 || job.force) return;
  job.refuse(
    `device '${deviceOf(job)}' is in use`,
    `It is open ${count} times. Unmount or close it first ("fuser -vm ${deviceOf(job)}").`,
  );
}

async function waitAttached(job: Job): Promise<void> {
  if (canWait(job)) await waitLed(job, 'is-attached', true);
}

async function waitDetached(job: Job): Promise<void> {
  if (!canWait(job)) return;
  await waitLed(job, 'is-attached', false);
  await waitDevice(job, false);
  await waitLed(job, 'is-replaying', false);
  await waitLed(job, 'is-syncing', false);
}
