import { LOG, REPLAY, paths, type ReplayPosition } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import { deviceName, openDisk } from '../checks/disk.js';
import type { Job } from '../execute/job.js';
import { ping } from '../execute/ping.js';
import { isSplitBrain } from '../facts/split-brain.js';
import { LOOK_MS, MAX_JOIN_ATTEMPTS } from '../limits.js';
import { requireMountPoint } from '../start/tree-checks.js';
import { onePhase, type Command } from './command.js';
import { purge } from './log-purge.js';
import {
  deleteErrorMessages,
  leftOvers,
  makeResourceDirs,
  pushTo,
  setSwitchesButAttach,
  startOfLog,
} from './resource-links.js';

export const joinResource: Command = {
  name: 'join-resource',
  usage: 'RES DISK [NAME] [SIZE]',
  about: 'Makes this host a further member of a resource. All data on DISK are replaced by those of the primary.',
  resource: 'resource',
  since: '0.9',
  checks: [
    '/mars is a mount point, and ips/ip-HOST exists',
    'this host is not a member yet (force)',
    'DISK is a block device that nobody uses, or a regular file, at least as large as the resource (force)',
    'the resource is known here (K), with a designated primary that is another host and not in emergency mode',
    'no logs or version links of this host with the number of the primary or above are left (force: deletes them)',
  ],
  writes: [
    "device-HOST and data-HOST (also pushed to the primary), replay-HOST at the start of the primary's log",
    'version-n-HOST and version-(n-1)-HOST like those of the primary, skip-check-HOST, syncstatus-HOST = 0',
    'todo-HOST/{connect,sync,allow-replay} = 1, at last todo-HOST/attach = 1',
  ],
  waits: ['answers of the peers, several times; not for the sync: "marsadm view RES" shows its progress'],
  examples: ['join-resource mydata /dev/vg0/mydata'],
  requires: 'nothing',
  phases: onePhase(run),
};

async function run(job: Job): Promise<void> {
  const { session, resource } = job;
  const [path, givenName] = job.args;
  requireMountPoint(session.world, session.places);
  await ping(session, { isUpdate: true });
  checkMembership(job);
  const disk = await openDisk(job, path);
  const name = deviceName(job, givenName);
  const wasGuest = job.snapshot.value(paths.device(resource, job.host)) !== null;
  try {
    await becomeGuest(job, name);
    checkSize(job, disk.sizeBytes);
    await join(job, disk.path, name);
  } catch (error) {
    if (!wasGuest && job.snapshot.value(paths.data(resource, job.host)) === null) await leaveAgain(job);
    throw error;
  }
}

/** What a join that was refused has left. */
async function leaveAgain({ tree, resource, host }: Job): Promise<void> {
  tree.delete(paths.device(resource, host));
  tree.delete(paths.actual(resource, host, 'if-on'));
  await tree.flush();
}

async function join(job: Job, disk: string, name: string): Promise<void> {
  const { session, out, resource } = job;
  for (let attempt = 1; attempt <= MAX_JOIN_ATTEMPTS; attempt++) {
    const primary = findPrimary(job);
    const replay = await startAt(job, primary);
    await writeMember(job, primary, replay, disk, name);
    await ping(session, { resource });
    if (session.dryRun || isStillThere(job, primary, replay)) {
      if (isSplitBrain(job)) out.warn(`resource '${resource}' has a split brain: see "marsadm view ${resource}"`);
      out.say(`Successfully joined resource '${resource}' to primary '${primary}'`);
      session.result = { resource, primary, disk, device: `/dev/mars/${name}` };
      return;
    }
    out.warn('the primary has deleted the log from which this host wanted to start: starting again');
  }
  job.refuse('the primary rotates its logs faster than this host can join');
}

function checkMembership(job: Job): void {
  const { snapshot, resource, host } = job;
  if (snapshot.value(paths.ip(host)) === null) job.refuse(`host '${host}' has no address in this cluster`);
  if (snapshot.value(paths.data(resource, host)) !== null) {
    job.refuseUnlessForced(`host '${host}' is already a member of resource '${resource}'`);
  }
}

/** So that the links of the resource begin to flow to this host. */
async function becomeGuest(job: Job, name: string): Promise<void> {
  const { tree, snapshot, resource, host, session } = job;
  if (snapshot.directory(paths.resource(resource)) === null && !session.daemon.isLoaded) {
    job.refuse(`resource '${resource}' is not known here`, 'Start the daemon, so that this host hears of it.');
  }
  if (snapshot.value(paths.device(resource, host)) === null) {
    tree.set(paths.device(resource, host), name);
    tree.set(paths.actual(resource, host, 'if-on'), '0');
    await tree.flush();
  }
  await ping(session, { resource });
  const size = numberAt(job, paths.size(resource));
  if (size !== null || session.dryRun) return;
  job.refuse(
    `resource '${resource}' does not exist in this cluster`,
    `Known resources: ${snapshot.resources().join(', ') || 'none'}.`,
  );
}

function checkSize(job: Job, diskBytes: number): void {
  const size = numberAt(job, paths.size(job.resource)) ?? 0;
  if (diskBytes < size)
    job.refuseUnlessForced(`the disk has ${diskBytes} bytes, but resource '${job.resource}' has ${size}`);
  if (diskBytes > size) job.out.say(`the disk is larger than the resource: ${diskBytes - size} bytes stay unused`);
}

function findPrimary(job: Job): string {
  const { snapshot, resource, host } = job;
  const primary = snapshot.primary(resource);
  if (primary === null)
    job.refuse(`no primary of resource '${resource}' is designated`, `First, on a member: marsadm primary ${resource}`);
  if (primary === host) job.refuse(`host '${host}' itself is designated primary of resource '${resource}'`);
  if (snapshot.isLit(resource, primary, 'has-emergency')) {
    job.refuse(`the primary '${primary}' is in emergency mode`, `Make room in /mars of '${primary}' first.`);
  }
  return primary;
}

/** The log of the primary from which the replay of this host begins; what this host has left of it is removed before. */
async function startAt(job: Job, primary: string): Promise<ReplayPosition> {
  const { snapshot, resource, tree } = job;
  const replay = snapshot.read(paths.replay(resource, primary), REPLAY);
  if (replay === null) job.refuse(`the replay link of the primary '${primary}' is missing or cannot be understood`);
  await purge(job, false);
  await tree.flush();
  const old = leftOvers(job).filter(({ sequence }) => sequence >= replay.log.sequence);
  if (old.length > 0) {
    job.refuseUnlessForced(
      `host '${job.host}' has old logs or version links of resource '${resource}', such as '/mars/${old[0]!.path}'`,
    );
    for (const { path } of old) tree.delete(path);
  }
  return replay;
}

async function writeMember(
  job: Job,
  primary: string,
  replay: ReplayPosition,
  disk: string,
  name: string,
): Promise<void> {
  const { tree, resource, host } = job;
  const versions = await versionsOf(job, primary, replay.log.sequence);
  makeResourceDirs(job);
  deleteErrorMessages(job);
  tree.set(paths.data(resource, host), disk);
  tree.set(paths.device(resource, host), name);
  tree.set(paths.actual(resource, host, 'if-on'), '0');
  setSwitchesButAttach(job);
  writeStart(job, replay, versions);
  tree.set(paths.syncStatus(resource, host), '0');
  await tree.flush();
  pushTo(job, primary, paths.data(resource, host), disk);
  pushTo(job, primary, paths.device(resource, host), name);
  pushTo(job, primary, paths.replay(resource, host), startOfLog(replay.log));
  tree.set(paths.todo(resource, host, 'attach'), '1');
  await tree.flush('3');
}

/** Values of the primary's version links of a log and of the one before. */
export type VersionPair = readonly { sequence: number; value: string }[];

/** They may be on the way. @throws Dying */
export async function versionsOf(job: Job, primary: string, sequence: number): Promise<VersionPair> {
  const { session, resource } = job;
  for (let attempt = 0; attempt < 30; attempt++) {
    const found = [sequence, sequence - 1].flatMap((n) => {
      const value = job.snapshot.value(paths.version(resource, n, primary));
      return value === null ? [] : [{ sequence: n, value }];
    });
    if (found.length === 2) return found;
    await session.sleep(LOOK_MS);
    job.look();
  }
  job.refuse(
    `version links ${sequence - 1} and ${sequence} of the primary '${primary}' are not known here`,
    'marsadm update-cluster',
  );
}

/** Replay begins here: the history of this host is that of the primary. */
export function writeStart({ tree, resource, host }: Job, replay: ReplayPosition, versions: VersionPair): void {
  tree.set(paths.replay(resource, host), startOfLog(replay.log));
  for (const { sequence, value } of versions) tree.set(paths.version(resource, sequence, host), value);
  tree.set(paths.skipCheck(resource, host), String(replay.log.sequence));
}

/** The primary may have rotated, and deleted what this host was about to fetch. */
function isStillThere({ snapshot, resource }: Job, primary: string, { log }: ReplayPosition): boolean {
  const file = snapshot.entry(`${paths.resource(resource)}/${LOG.format(log)}`);
  return file?.isTombstone !== true && snapshot.value(paths.version(resource, log.sequence, primary)) !== null;
}
