import { NONE, NS_PER_SECOND, paths } from '@mars/mars-tree';
import { checkPrimary, completeness, requireClosed, requireDisconnected } from '../checks/handover.js';
import { setButton } from '../checks/switches.js';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { waitDevice, waitLed } from '../execute/wait.js';
import { lastPrimaryPath, oldPrimary } from '../facts/members.js';
import { isSplitBrain } from '../facts/split-brain.js';
import { switchUp, systemdPhase } from './attach-detach.js';
import type { Command, PhaseOutcome } from './command.js';

export const primary: Command = {
  name: 'primary',
  usage: 'RES',
  about: 'Makes this host the primary: hands the role over without losing anything, or, forced, takes it.',
  resource: 'resource',
  since: '0.9',
  checks: [
    'the daemon runs (L)',
    'with --force: the fetch of this host is paused ("disconnect") (L)',
    'the sync of this host is finished (L), its disk is large enough (L) (force)',
    'with more than two members: their syncs are finished, unless --ignore-sync, or they are silent (K) (force)',
    'attach, connect and allow-replay of this host are on, connect not with --force (L)',
    'the replay of this host has not stopped with an error (L) (force)',
    'the device of the old primary is closed (K) (force)',
  ],
  writes: [
    'todo-HOST/connect = 1 (not with --force)',
    'primary = (none), with a stamp that loses against a concurrent primary elsewhere; then primary = HOST',
    'userspace/last-primary, userspace/prev-primary; at the end all switches of "up"',
  ],
  waits: [
    'this host has all logs of the old primary and has replayed them',
    'the old primary has given up: actual-OLD/is-primary = 0; then its last logs, again',
    'the device is there; not in a split brain',
  ],
  force:
    'waits for nobody: what the old primary has not yet sent is lost, and there is a split brain if it still writes',
  notes: [
    'When it runs out of time before the switch, the old designation is restored, if nobody has changed it meanwhile.',
  ],
  examples: ['primary mydata', 'disconnect mydata; marsadm primary --force mydata'],
  abort: restore,
  phases: [
    {
      title: 'wait for cluster',
      isGlobal: true,
      when: isPlanned,
      run: async ({ session }) => void (await ping(session)),
    },
    { title: 'check preconditions', run: checkPrimary },
    { title: 'conditionally wait for fetch off', run: settleFetch },
    systemdPhase('wait for systemd'),
    { title: 'leave primary state', isLoop: true, when: mustLeave, run: leave },
    { title: 'trigger remote', isLoop: true, when: isPlanned, run: waitOldGone },
    { title: 'wait for cluster when necessary', isLoop: true, when: isPlanned, run: pingAndCheck },
    systemdPhase('avoid split brain'),
    { title: 'switch to primary', run: designate },
    { title: 'trigger remote', run: ({ tree }) => tree.flush('3') },
    { title: 'wait for device', run: waitUp },
    systemdPhase('trigger systemd'),
  ],
};

export const secondary: Command = {
  name: 'secondary',
  usage: 'RES',
  about: 'Makes nobody the primary, on whichever member it is given.',
  resource: 'resource',
  since: '0.9',
  checks: [
    'the device of the primary is closed (K) (force)',
    'with --force: the fetch of this host is paused ("disconnect") (L)',
  ],
  writes: ['primary = (none), with a stamp that loses against a concurrent primary elsewhere'],
  waits: ['the old primary has given up: actual-OLD/is-primary = 0 (not with --force); the device here is gone'],
  force: 'ignores openers, and does not wait for the old primary',
  examples: ['secondary mydata'],
  phases: [
    { title: 'check preconditions', run: checkSecondary },
    { title: 'leave primary state', run: setNone },
    { title: 'trigger remote', isLoop: true, when: isPlanned, run: waitGone },
    { title: 'wait for device', when: isPlanned, run: waitDeviceGone },
    systemdPhase('trigger systemd'),
  ],
};

function isPlanned({ force }: Job): boolean {
  return !force;
}

function mustLeave(job: Job): boolean {
  return isPlanned(job) && job.snapshot.primary(job.resource) !== job.host;
}

/** A handover needs the last logs; a forced one must not be disturbed by them. */
async function settleFetch(job: Job): Promise<void> {
  if (job.force) await waitLed(job, 'is-copying', false);
  else if (!job.snapshot.isOn(job.resource, job.host, 'connect')) setButton(job, 'connect', true);
}

function leave(job: Job): PhaseOutcome {
  if (job.notes.has('left')) return;
  if (completeness(job) === 'not yet') return 'not yet';
  setNone(job);
}

/** One second later than the old value: loses against a `primary` that somebody gives elsewhere. Source: symlink-tree.md 3.2 */
function setNone(job: Job): void {
  const { tree, resource, notes } = job;
  const old = oldPrimary(job);
  const path = paths.primary(resource);
  const oldNs = tree.stampNs(path) ?? 0n;
  const stampNs = (oldNs / NS_PER_SECOND + 1n) * NS_PER_SECOND;
  notes.set('left', { from: old, stampNs });
  if (job.snapshot.value(path) === NONE) return;
  tree.setWeak(path, NONE, stampNs);
}

function waitOldGone(job: Job): PhaseOutcome {
  return waitGone(job) ?? completeness(job);
}

/** Two-edge handshake: the old primary confirms that its device is gone. */
function waitGone(job: Job): PhaseOutcome {
  const { snapshot, resource, host, out, notes } = job;
  const old = oldPrimary(job);
  if (old === null || old === host) return;
  if (snapshot.isLit(resource, old, 'is-primary')) {
    const second = Math.floor(job.session.world.clock.nowUs / 1e6);
    if (notes.get('waited at') !== second) out.say(`waiting for other primary host (${old}) to disappear....`);
    notes.set('waited at', second);
    return 'not yet';
  }
  if (!notes.has('old is gone')) out.say(`OK, other host (${old}) is not actual primary.`);
  notes.set('old is gone', true);
}

async function pingAndCheck(job: Job): Promise<PhaseOutcome> {
  const { session, resource } = job;
  const isAlone = session.line.resources?.length === 1 && session.line.resources[0] !== 'all';
  // One question for all resources: the answer of a peer is about all of them.
  if (!session.notes.has('pinged')) await ping(session, isAlone ? { resource } : {});
  session.notes.add('pinged');
  return waitOldGone(job);
}

function designate(job: Job): void {
  const { tree, snapshot, resource, host, out, notes } = job;
  const old = oldPrimary(job);
  const last = snapshot.value(lastPrimaryPath(resource));
  if (last !== null && last !== host) tree.set(`resource-${resource}/userspace/prev-primary`, last);
  tree.set(paths.primary(resource), host);
  tree.set(lastPrimaryPath(resource), host);
  notes.set('designated', true);
  out.say(`designated primary changed from '${old ?? NONE}' to '${host}'`);
}

async function waitUp(job: Job): Promise<void> {
  job.look();
  if (isSplitBrain(job)) return explainSplitBrain(job);
  await waitDevice(job, true);
  switchUp(job);
}

function explainSplitBrain({ out, resource, host, snapshot }: Job): void {
  const others = snapshot
    .members(resource)
    .filter((member) => member !== host)
    .join(', ');
  const lines = [
    `resource '${resource}' has a split brain now: there is more than one version of the data`,
    `host '${host}' is designated primary, and its version will count`,
    `the version of the other hosts (${others}) will be thrown away`,
    'nothing is waited for; the device appears as soon as the replay has ended',
    'look at both versions now, if there is any doubt which one is right',
    `    if the other one is right: take the role there in the same way (marsadm disconnect, primary --force)`,
    `    if this one is right, on each of the others: umount, stop everything that uses the device, then`,
    `        marsadm invalidate ${resource}`,
    `    and at last, here: marsadm connect ${resource}`,
    'until then the others do not follow, and there is no redundancy',
  ];
  for (const line of lines) out.warn(line);
}

/** The command has ended before the switch: nobody should be left without a primary by an attempt. [OURS] marsadm.md 16, number 1 */
async function restore(job: Job): Promise<void> {
  const { tree, resource, out, notes } = job;
  const left = notes.get('left') as { from: string | null; stampNs: bigint } | undefined;
  if (left === undefined || notes.has('designated') || job.session.dryRun) return;
  const path = paths.primary(resource);
  tree.look(path);
  if (job.snapshot.value(path) !== NONE) return;
  if (left.from === null || tree.stampNs(path) !== left.stampNs) {
    out.warn(`nobody is designated primary of resource '${resource}' now`);
    return;
  }
  tree.set(path, left.from);
  await tree.flush();
  out.warn(`the designation of '${left.from}' as primary of resource '${resource}' is restored`);
}

function checkSecondary(job: Job): void {
  if (job.force) requireDisconnected(job);
  const old = oldPrimary(job);
  if (old !== null && !job.force) requireClosed(job, old);
}

async function waitDeviceGone(job: Job): Promise<void> {
  if (job.session.daemon.isLoaded) await waitDevice(job, false);
}
