import { newClusterId, paths } from '@mars/mars-tree';
import { ownAddress } from '../checks/address.js';
import type { Job } from '../execute/job.js';
import type { Session } from '../execute/session.js';
import { requireMountPoint } from '../start/tree-checks.js';
import { TOOL_VERSION } from '../version.js';
import { onePhase, type Command } from './command.js';

export const createCluster: Command = {
  name: 'create-cluster',
  usage: '[--ip=IP] [--insecure]',
  about: 'Makes a new cluster with this host as its first member.',
  resource: 'none',
  since: '0.9',
  checks: [
    'no daemon runs on this host',
    '/mars is a mount point, and this host is in no cluster yet (no /mars/uuid)',
    '/mars/ips does not exist (force)',
  ],
  writes: [
    'uuid, ips/ip-HOST, actual-HOST/marsadm-version, defaults-HOST/{sync-limit,sync-pref-list} and their directories',
    '.trust/: the authority of the cluster and the certificate of this host; with --insecure only a mark',
  ],
  force: 'goes on although there are addresses of an earlier cluster',
  notes: [
    'The address is taken from --ip, MARS_IP, the tree, the name service, or the first interface, in this order.',
    'All connections are encrypted and both sides prove who they are, unless --insecure is given: for trusted networks only.',
  ],
  examples: ['--ip=192.0.2.1 create-cluster'],
  needsUuid: false,
  phases: onePhase(run),
};

async function run(job: Job): Promise<void> {
  const { session, out, tree, host } = job;
  check(job);
  const ip = await ownAddress(session);
  if (!session.dryRun) await createTrust(session);
  makeClusterDirs(session);
  writeOwnSettings(session);
  const uuid = newClusterId(session.me, tree.store.clock.now());
  tree.set(paths.uuid, uuid);
  tree.set(paths.ip(host), ip);
  await tree.flush();
  out.say(`New cluster UUID is '${uuid}'`);
  session.result = { uuid, ip };
}

function check(job: Job): void {
  const { session, snapshot } = job;
  if (session.daemon.isLoaded) {
    job.refuse(
      'the daemon runs already on this host',
      'Stop it first ("marsd stop"): it must not work while there is no cluster.',
    );
  }
  requireMountPoint(session.world, session.places);
  const uuid = snapshot.value(paths.uuid);
  if (uuid !== null) job.refuse(`this host is already in the cluster '${uuid}'`);
  if (snapshot.directory('ips') !== null)
    job.refuseUnlessForced("'/mars/ips' exists already: there was a cluster here");
}

async function createTrust({ world, places, options, host }: Session): Promise<void> {
  const trust = await world.openTrust(places.mars);
  if (options.insecure) trust.createInsecure();
  else await trust.create(host);
}

/** Directories that every member has. Source: marsadm.md 7 */
export function makeClusterDirs({ tree, host }: Session): void {
  tree.makeDirs('ips', 'userspace', 'defaults', `defaults-${host}`, 'todo-global', `actual-${host}`);
}

/** Links of this host that every member has. */
export function writeOwnSettings({ tree, host }: Session): void {
  tree.set(paths.node(host, 'marsadm-version'), TOOL_VERSION);
  tree.set(paths.hostSetting(host, 'sync-limit'), '0');
  tree.set(paths.hostSetting(host, 'sync-pref-list'), '(none)');
}
