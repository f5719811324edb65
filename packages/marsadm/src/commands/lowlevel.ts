import { paths, TOMBSTONE } from '@mars/mars-tree';
import { addressInTree } from '../checks/address.js';
import type { Job } from '../execute/job.js';
import { UsageError } from '../exit.js';
import { compareNaturally, identifier } from '../parse/names.js';
import { ipAddress } from '../parse/options.js';
import { onePhase, type Command } from './command.js';

const common = { resource: 'none', since: '0.1-36', needsUuid: false } as const;

export const lsHostIps: Command = {
  ...common,
  name: 'lowlevel-ls-host-ips',
  usage: '',
  about: 'Lists the members of the cluster: one line "HOST IP" each.',
  notes: ['The warning on stderr stands there since the original: scripts read stdout.'],
  examples: ['lowlevel-ls-host-ips'],
  needsRoot: false,
  phases: onePhase(runList),
};

export const setHostIp: Command = {
  ...common,
  name: 'lowlevel-set-host-ip',
  usage: 'HOST [IP]',
  about: 'Changes the address of a member, here and at all peers.',
  writes: ['ips/ip-HOST; the same is pushed to all peers, also to those that cannot be reached by the old address'],
  notes: ['Without IP the name service is asked.'],
  examples: ['lowlevel-set-host-ip nodeb 192.0.2.2'],
  phases: onePhase(runSet),
};

export const deleteHost: Command = {
  ...common,
  name: 'lowlevel-delete-host',
  usage: 'HOST',
  about: 'Removes the address of a host everywhere: nobody talks to it, and nobody listens to it, any more.',
  checks: ['HOST has an address (force)'],
  writes: ['.deleted: ips/ip-HOST; the same is pushed to all peers'],
  examples: ['lowlevel-delete-host nodeb'],
  phases: onePhase(runDelete),
};

function runList({ session, snapshot, out }: Job): void {
  out.warn('lowlevel commands are for EXPERTS only');
  const hosts = snapshot.hosts().sort(compareNaturally);
  const rows = hosts.map((host) => ({ host, ip: snapshot.value(paths.ip(host))! }));
  for (const { host, ip } of rows) out.data(`${host} ${ip}`);
  session.result = { hosts: rows };
}

async function runSet(job: Job): Promise<void> {
  const { session, tree } = job;
  const host = hostArgument(job);
  const ip = job.args[1] === undefined ? await session.world.host.lookup(host) : ipAddress(job.args[1]);
  if (ip === null) job.refuse(`no IP address of '${host}' is known`, `marsadm lowlevel-set-host-ip ${host} ADDRESS`);
  tree.makeDirs('ips');
  tree.set(paths.ip(host), ip);
  await tree.flush();
  pushToPeers(job, host, ip);
}

async function runDelete(job: Job): Promise<void> {
  const { tree, snapshot } = job;
  const host = hostArgument(job);
  if (snapshot.value(paths.ip(host)) === null) job.refuseUnlessForced(`host '${host}' has no address in this cluster`);
  tree.delete(paths.ip(host));
  await tree.flush();
  pushToPeers(job, host, TOMBSTONE);
}

function hostArgument({ args: [host], command }: Job): string {
  if (host === undefined) throw new UsageError(`command '${command}' needs the name of a host`);
  return identifier(host, 'host');
}

/** By the daemon, at once; those who are away get it with the next exchange. */
function pushToPeers({ session, snapshot, tree }: Job, host: string, value: string): void {
  for (const peer of snapshot.hosts().sort(compareNaturally)) {
    if (peer === session.me || addressInTree(session, peer) === null) continue;
    tree.trigger(`p ${peer} ${value} /mars/${paths.ip(host)}`);
  }
}
