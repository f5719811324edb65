import { paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { ping, type PingOptions } from '../execute/ping.js';
import { identifierList } from '../parse/names.js';
import { onePhase, type Command } from './command.js';

export const waitCluster: Command = {
  name: 'wait-cluster',
  usage: '[HOST,HOST… | RES]',
  about: 'Waits until the peers have answered: then they have heard of everything that was done here before.',
  resource: 'none',
  since: '0.9',
  writes: ['nothing; asks the peers (trigger 3, or 2 for named hosts)'],
  waits: [
    'a sign of life of each peer that is younger than the question; gives up on peers silent for half of --window',
  ],
  notes: [
    'A name that is a resource means its peers. Dead peers are shown in a warning; the exit status is 0 all the same.',
  ],
  examples: ['wait-cluster', 'wait-cluster nodeb'],
  phases: onePhase(async (job) => {
    job.session.result = await ping(job.session, target(job));
  }),
};

export const updateCluster: Command = {
  name: 'update-cluster',
  usage: '[HOST,HOST…]',
  about: 'Exchanges the whole tree with all hosts, also with those that have no resource in common with this one.',
  resource: 'none',
  since: 'HEAD',
  writes: ['nothing; asks the peers (trigger 8)'],
  waits: ['two signs of life of each peer'],
  examples: ['update-cluster'],
  phases: onePhase(async (job) => {
    job.session.result = await ping(job.session, { ...target(job), resource: null, isUpdate: true });
  }),
};

/** Source: marsadm.md 16, number 3 */
function target({ args: [names], snapshot, session }: Job): PingOptions {
  if (names === undefined) return {};
  const hosts = identifierList(names, 'host', false);
  const known = new Set(snapshot.hosts());
  const [first] = hosts;
  if (hosts.length === 1 && !known.has(first!) && snapshot.directory(paths.resource(first!)) !== null)
    return { resource: first! };
  for (const host of hosts) if (!known.has(host)) session.out.warn(`host '${host}' is not known in this cluster`);
  return { hosts };
}
