import { INT, paths } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import type { Job } from '../execute/job.js';
import { TimedOut } from '../exit.js';
import { LOOK_MS } from '../limits.js';
import { parseSize } from '../parse/size.js';
import { humanNumber } from '../facts/view-text.js';
import { canWait } from '../checks/switches.js';
import type { Command } from './command.js';

export const resize: Command = {
  name: 'resize',
  isNarrow: true,
  usage: 'RES [SIZE]',
  about: 'Makes a resource larger, while it is in use, after the disks of all members have grown.',
  resource: 'resource',
  since: '0.9',
  checks: [
    'the daemon runs, and this host is actual primary (L)',
    'the new size is not smaller than the old one, and all members have so much disk (K)',
  ],
  writes: ['syncstatus-HOST, then size'],
  waits: ['the daemon has taken the new size'],
  notes: ['Without SIZE: as much as the smallest disk allows.'],
  examples: ['resize mydata', 'resize mydata 20G'],
  phases: [
    { title: 'check preconditions', run: check },
    { title: 'set new size', run: write },
    { title: 'wait for change', run: waitForSize },
  ],
};

function check(job: Job): void {
  const { session, snapshot, resource, host, out } = job;
  if (!session.daemon.isLoaded) job.refuse('the daemon does not run on this host');
  if (!snapshot.isLit(resource, host, 'is-primary')) {
    job.refuse(
      `host '${host}' is not actual primary of resource '${resource}'`,
      `Primary is: ${snapshot.primary(resource) ?? 'nobody'}.`,
    );
  }
  if (snapshot.primary(resource) !== host) out.warn(`host '${host}' is actual, but not designated primary`);
  const oldSize = numberAt(job, paths.size(resource)) ?? 0;
  const possible = possibleSize(job);
  const newSize = job.args[0] === undefined ? possible : parseSize(job.args[0]);
  out.say(`old_size=${oldSize}`);
  out.say(`possible_size=${possible}`);
  out.say(`new_size=${newSize}`);
  if (newSize > possible)
    job.refuse(
      `the smallest disk has ${possible} bytes, which is less than ${newSize}`,
      'Enlarge the disks of all members first.',
    );
  if (newSize < oldSize) job.refuse(`resource '${resource}' has ${oldSize} bytes already, and cannot become smaller`);
  if (possible > newSize)
    out.warn(`${possible - newSize} bytes (${humanNumber(possible - newSize)}) of the disks stay unused`);
  if (newSize === oldSize)
    out.warn(`resource '${resource}' has this size already: have the disks of all members grown?`);
  job.notes.set('size', newSize);
  session.result = { oldSize, possibleSize: possible, newSize };
}

/** The smallest disk of all members; 0 when one is not known. */
function possibleSize(job: Job): number {
  const { snapshot, resource } = job;
  const sizes = snapshot
    .members(resource)
    .map((member) => numberAt(job, `resource-${resource}/actsize-${member}`) ?? 0);
  return sizes.length === 0 ? 0 : Math.min(...sizes);
}

async function write(job: Job): Promise<void> {
  const { tree, resource, host, notes } = job;
  const size = INT.format(notes.get('size') as number);
  // In this order, so that the primary is never found in need of a sync.
  tree.set(paths.syncStatus(resource, host), size);
  await tree.flush();
  tree.set(paths.size(resource), size);
}

/** The daemon answers with the time of its round: after one that began later it knows the size. */
async function waitForSize(job: Job): Promise<void> {
  const { session, tree, host, out, notes } = job;
  if (!canWait(job)) return;
  if (session.dryRun) return out.say('DRY_RUN: would wait until the device has the new size');
  const path = paths.node(host, 'time');
  const writtenNs = tree.stampNs(paths.size(job.resource))!;
  while ((tree.look(path).stampNs(path) ?? 0n) <= writtenNs) {
    if (!(await session.budget.sleep(LOOK_MS)))
      throw new TimedOut('Timeout reached.', ['The daemon does not answer; the new size is written all the same.']);
  }
  out.say(`device has new size ${notes.get('size') as number}`);
}
