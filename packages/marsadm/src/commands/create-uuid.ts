import { newClusterId, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { onePhase, type Command } from './command.js';

export const createUuid: Command = {
  name: 'create-uuid',
  usage: '',
  about: 'Gives an identity to a tree of long ago that has none. Deprecated.',
  resource: 'none',
  since: '0.1-36',
  helpLevel: 3,
  checks: ['there is no uuid yet'],
  writes: ['uuid'],
  examples: ['create-uuid'],
  needsUuid: false,
  phases: onePhase(run),
};

function run(job: Job): void {
  const { session, tree, snapshot, out } = job;
  const there = snapshot.value(paths.uuid);
  if (there !== null) job.refuse(`there is a uuid already: '${there}'`);
  const uuid = newClusterId(session.me, tree.store.clock.now());
  tree.set(paths.uuid, uuid);
  out.say(`New cluster UUID is '${uuid}'`);
  session.result = { uuid };
}
