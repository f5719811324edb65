import { INT, paths, zeroVersion } from '@mars/mars-tree';
import { chosenSize, deviceName, openDisk } from '../checks/disk.js';
import type { Job } from '../execute/job.js';
import { lastPrimaryPath } from '../facts/members.js';
import { replayHosts } from '../facts/history.js';
import { requireMountPoint } from '../start/tree-checks.js';
import { onePhase, type Command } from './command.js';
import {
  deleteErrorMessages,
  leftOvers,
  makeResourceDirs,
  setSwitchesButAttach,
  startOfLog,
} from './resource-links.js';

/** A new resource of an old name starts so far above the old numbers. Source: symlink-tree.md 5.1 */
const NUMBER_GAP = 100_000;

export const createResource: Command = {
  name: 'create-resource',
  usage: 'RES DISK [NAME] [SIZE]',
  about: 'Makes a new resource out of a disk of this host, which becomes its primary.',
  resource: 'resource',
  since: '0.9',
  checks: [
    '/mars is a mount point',
    'nobody has a replay link of a resource of that name (K) (force)',
    'DISK is a block device that nobody uses, or a regular file, whose size is a multiple of 4096 (force: read-only)',
    'SIZE fits on DISK and is more than 64 KiB',
    'NAME is not the device of another resource here',
    'there are no log-*-HOST or version-*-HOST left from an earlier resource of that name (force)',
  ],
  writes: [
    'size, primary, userspace/last-primary, maxnr, data-HOST, device-HOST, syncstatus-HOST = size',
    'log-n-HOST (empty), replay-HOST, version-n-HOST, version-(n-1)-HOST, skip-check-HOST if n > 1',
    'actual-HOST/if-on = 0, todo-HOST/{connect,sync,allow-replay} = 1, at last todo-HOST/attach = 1',
  ],
  waits: ['nothing: "marsadm wait-resource RES is-device" does'],
  notes: [
    'Data on DISK stay as they are. Numbers begin at 1, or at maxnr + 100000 where there was a resource of that name.',
  ],
  examples: ['create-resource mydata /dev/vg0/mydata', 'create-resource mydata /dev/vg0/mydata mydata 20G'],
  requires: 'nothing',
  phases: onePhase(run),
};

async function run(job: Job): Promise<void> {
  const { session, tree, out, resource, host } = job;
  const [path, givenName, givenSize] = job.args;
  out.say(`creating new resource '${resource}'`);
  check(job);
  const disk = await openDisk(job, path);
  const size = chosenSize(job, disk, givenSize);
  const name = deviceName(job, givenName);
  const sequence = firstNumber(job);
  removeLeftOvers(job);
  out.say(`using existing device '${disk.path}'`);
  out.say(`resource '${resource}' will appear as local device '/dev/mars/${name}'`);
  makeResourceDirs(job);
  deleteErrorMessages(job);
  tree.set(paths.size(resource), INT.format(size));
  tree.set(paths.data(resource, host), disk.path);
  tree.set(paths.device(resource, host), name);
  tree.set(paths.actual(resource, host, 'if-on'), '0');
  setSwitchesButAttach(job);
  tree.set(paths.primary(resource), host);
  tree.set(lastPrimaryPath(resource), host);
  tree.set(paths.syncStatus(resource, host), INT.format(size));
  writeHistory(job, sequence);
  await tree.flush();
  tree.set(paths.todo(resource, host, 'attach'), '1');
  await tree.flush('3');
  out.say(`successfully created resource '${resource}'`);
  session.result = { resource, disk: disk.path, device: `/dev/mars/${name}`, sizeBytes: size, firstLog: sequence };
}

function check(job: Job): void {
  const { session, snapshot, resource, out } = job;
  requireMountPoint(session.world, session.places);
  if (snapshot.directory(paths.resource(resource)) === null) return;
  const hosts = replayHosts(snapshot, resource);
  if (hosts.length > 0) {
    job.refuseUnlessForced(
      `resource '${resource}' exists already, with the members ${hosts.join(', ')}`,
      `To take part in it: marsadm join-resource ${resource} DISK`,
    );
  } else out.warn(`there was a resource '${resource}' before; its directory is used again`);
}

function firstNumber({ snapshot, resource }: Job): number {
  const highest = snapshot.read(paths.maxnr(resource), INT);
  const logs = snapshot.logs(resource).map(({ sequence }) => sequence);
  const used = Math.max(highest ?? 0, ...logs);
  return used === 0 ? 1 : used + NUMBER_GAP;
}

function removeLeftOvers(job: Job): void {
  const old = leftOvers(job);
  if (old.length === 0) return;
  job.refuseUnlessForced(
    `there are ${old.length} logs and version links of host '${job.host}' left, such as '/mars/${old[0]!.path}'`,
  );
  for (const { path } of old) job.tree.delete(path);
}

/** The first log, empty, and the history that begins with it. Source: symlink-tree.md 5.1 */
function writeHistory({ tree, resource, host }: Job, sequence: number): void {
  const before = zeroVersion(sequence - 1, host);
  tree.createFile(paths.log(resource, sequence, host));
  tree.set(paths.replay(resource, host), startOfLog({ sequence, host }));
  tree.set(paths.version(resource, sequence - 1, host), before);
  tree.set(paths.version(resource, sequence, host), zeroVersion(sequence, host, before));
  tree.set(paths.maxnr(resource), INT.format(sequence));
  if (sequence > 1) tree.set(paths.skipCheck(resource, host), String(sequence));
}
