import { paths } from '@mars/mars-tree';
import { Job } from '../execute/job.js';
import { Dying } from '../exit.js';

/**
 * The resource must be known here; a cluster that has just heard of it gets one chance, and a name of a device instead of a resource is
 * understood where it is unique. @throws Dying. Source: marsadm.md 4.3
 */
export async function checkExistence(job: Job, waitForCluster: () => Promise<unknown>): Promise<Job> {
  const exists = (): boolean => job.snapshot.directory(paths.resource(job.resource)) !== null;
  if (exists()) return job;
  job.tree.widen();
  await waitForCluster();
  if (exists()) return job;
  const { snapshot, host, resource } = job;
  const named = snapshot.resources().filter((name) => snapshot.value(paths.device(name, host)) === resource);
  if (named.length === 1) {
    job.out.warn(`resource '${resource}' does not exist; using '${named[0]}', whose device has that name`);
    return new Job(job.session, job.command, named[0]!, job.args);
  }
  const known = snapshot.resources();
  throw new Dying(`resource '${resource}' does not exist (${named.length} replacements found)`, [
    known.length === 0 ? 'This cluster has no resources yet.' : `Known resources: ${known.slice(0, 20).join(', ')}.`,
  ]);
}

/** This host has a disk or at least a device of the resource. @throws Dying. Source: marsadm.md 4.3 */
export function checkMembership(job: Job): void {
  const { snapshot, resource, host } = job;
  const isMember = snapshot.value(paths.data(resource, host)) !== null;
  const isGuest = snapshot.value(paths.device(resource, host)) !== null;
  if (!isMember && !isGuest) {
    const dangling = snapshot.value(paths.replay(resource, host));
    const rest =
      dangling === null ? '' : `; only its replay link '${dangling}' is left, of a join or leave that did not finish`;
    job.refuseUnlessForced(
      `host '${host}' is not a member of resource '${resource}'${rest}`,
      `Members: ${snapshot.members(resource).join(', ') || 'none'}. "marsadm join-resource ${resource} DISK" makes it one.`,
    );
  }
  const size = numberAt(job, paths.size(resource));
  const actual = numberAt(job, `resource-${resource}/actsize-${host}`);
  if (size !== null && actual !== null && actual < size) {
    job.refuseUnlessForced(`the disk of '${host}' has ${actual} bytes, but resource '${resource}' has ${size}`);
  }
}

export function numberAt({ snapshot }: Job, path: string): number | null {
  const value = snapshot.value(path);
  const number = value === null ? Number.NaN : Number.parseInt(value, 10);
  return Number.isNaN(number) ? null : number;
}
