import { paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { compareNaturally } from '../parse/names.js';
import { onePhase, type Command } from './command.js';

/** Joining and splitting of whole clusters. Source: marsadm.md 7 [OURS]: refused until needed; the list is kept */
export const otherClusterCommands: readonly Command[] = [
  {
    name: 'merge-cluster-list',
    usage: '',
    about: 'Lists the identity, the addresses and the resources of this cluster.',
    resource: 'none',
    since: 'HEAD',
    examples: ['merge-cluster-list'],
    phases: onePhase(list),
  },
  {
    name: 'merge-cluster-check',
    usage: 'HOST',
    about: 'Would check whether two clusters can become one. Not available yet; it changes nothing.',
    resource: 'peer',
    since: 'HEAD',
    examples: ['merge-cluster-check othernode'],
    phases: onePhase(refuse),
  },
  {
    name: 'merge-cluster',
    usage: 'HOST [IP]',
    about: 'Would make one cluster of two. Not available yet.',
    resource: 'peer',
    since: 'HEAD',
    examples: ['merge-cluster othernode'],
    phases: onePhase(refuse),
  },
  {
    name: 'split-cluster',
    usage: '',
    about: 'Would make several clusters of one. Not available.',
    resource: 'none',
    since: 'HEAD',
    examples: ['split-cluster'],
    phases: onePhase(refuse),
  },
  {
    name: 'systemd-trigger-extern',
    usage: '[RES]',
    about: 'Does nothing yet: there are no units to look after.',
    resource: 'resource or empty',
    since: 'HEAD',
    examples: ['systemd-trigger-extern r1'],
    requires: 'nothing',
    phases: onePhase(() => {}),
  },
  {
    name: 'set-disabled-digests',
    usage: 'RES NAME|NAME…',
    about: 'Is ignored: it had no function in the original either.',
    resource: 'resource',
    since: 'HEAD',
    helpLevel: 99,
    examples: ['set-disabled-digests r1 CHKSUM_MD5'],
    requires: 'nothing',
    phases: onePhase(({ out, command, resource }) =>
      out.say(`ignoring command '${command}' on resource '${resource}'`),
    ),
  },
];

function list({ snapshot, out, session }: Job): void {
  const uuid = snapshot.value(paths.uuid) ?? '';
  const ips = snapshot
    .hosts()
    .sort(compareNaturally)
    .map((host) => `/mars/${paths.ip(host)}`);
  const resources = snapshot
    .resources()
    .sort(compareNaturally)
    .map((resource) => `/mars/${paths.resource(resource)}`);
  for (const line of [`UUID: ${uuid}`, 'IPs:', ...ips, 'RESOURCEs:', ...resources]) out.data(line);
  session.result = { uuid, ips, resources };
}

function refuse(job: Job): never {
  job.refuse(
    `command '${job.command}' is not available`,
    'Resources can move instead: join-resource in a cluster with all hosts, then primary, then leave-resource.',
  );
}
