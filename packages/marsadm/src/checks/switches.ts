import { BOOL, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { buttonName } from '../execute/wait.js';

/**
 * Presses or releases a button of a host. One that is 1 already is not written again; 0 is always written.
 * Source: marsadm.md 5.2
 */
export function setButton(job: Job, name: string, wanted: boolean, host: string = job.host): void {
  const { tree, out, resource, command, snapshot } = job;
  const path = paths.todo(resource, host, buttonName(name));
  if (wanted && snapshot.value(path) === '1') {
    out.say(`${command} on resource ${resource} is already activated`);
    return;
  }
  tree.set(path, BOOL.format(wanted));
  out.say(`successfully started ${command} on resource ${resource}`);
}

/** Hosts that have buttons for a resource, for the `-global` commands. */
export function hostsWithButtons({ snapshot, resource }: Job): string[] {
  return snapshot
    .list(paths.resource(resource))
    .filter((name) => name.startsWith('todo-'))
    .map((name) => name.slice('todo-'.length));
}

/** A sync needs a designated primary that is not in emergency. No override. @throws Dying. Source: marsadm.md 9 */
export function requireSyncSource(job: Job, host: string = job.host): void {
  const { snapshot, resource } = job;
  const primary = snapshot.primary(resource);
  if (primary === null) {
    job.refuse(
      `sync of resource '${resource}' cannot be switched on: no primary is designated`,
      `First, on one member: marsadm primary ${resource}`,
    );
  }
  if (primary !== host && snapshot.isLit(resource, primary, 'has-emergency')) {
    job.refuse(
      `sync of resource '${resource}' cannot be switched on: the primary '${primary}' is in emergency mode`,
      `Make room in /mars of '${primary}' first.`,
    );
  }
}

/** True when waiting makes sense; else says why not. Source: marsadm.md 9 */
export function canWait({ session, force, out }: Job): boolean {
  if (force) return false;
  if (session.daemon.isLoaded || session.dryRun) return true;
  out.warnOnce('the daemon does not run on this host: what was switched takes effect when it starts');
  return false;
}
