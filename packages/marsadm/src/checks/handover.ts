import { REPLAY, paths } from '@mars/mars-tree';
import { isSplitBrain } from '../facts/split-brain.js';
import { newestVersion, replayHosts } from '../facts/history.js';
import { isSynced, oldPrimary, silentSeconds } from '../facts/members.js';
import { replInfo } from '../facts/progress.js';
import type { Job } from '../execute/job.js';
import { ensureButton, openCount } from '../execute/wait.js';
import { numberAt } from './resource.js';

/** Before a role is changed: nothing may be lost by it. @throws Dying. Source: marsadm.md 10, "Preconditions" */
export function checkPrimary(job: Job): void {
  const { session, resource, host, force, snapshot } = job;
  if (!session.daemon.isLoaded)
    job.refuse(`cannot switch primary: the daemon does not run on host '${session.me}'`, 'marsd start');
  if (force) requireDisconnected(job);
  const old = oldPrimary(job);
  if (old !== host && !snapshot.isLit(resource, host, 'is-primary')) checkOwnSync(job);
  if (old !== host) checkSize(job);
  checkOtherSyncs(job, old);
  for (const name of ['attach', 'connect', 'allow-replay']) {
    if (name !== 'connect' || !force)
      ensureButton(job, name === 'allow-replay' ? 'replay' : name === 'connect' ? 'fetch' : name, true);
  }
  checkReplayCode(job);
  if (old !== null && old !== host) requireClosed(job, old);
}

/** `--force` is for a network that is cut: who is still connected should not use it. @throws Dying */
export function requireDisconnected(job: Job): void {
  if (!job.snapshot.isOn(job.resource, job.host, 'connect')) return;
  job.refuse(
    `forced switching of resource '${job.resource}' needs a paused fetch`,
    `If you really want to lose what the other side has: marsadm disconnect ${job.resource}`,
  );
}

/** @throws Dying: somebody works with the device of the old primary */
export function requireClosed(job: Job, old: string): void {
  const count = openCount(job, old);
  if (count === 0) return;
  job.refuseUnlessForced(
    `first you must umount/close the device (on host '${old}'): it is open ${count} times`,
    `On '${old}': umount, or stop what uses /dev/mars/; "marsadm wait-umount ${job.resource}" waits for it.`,
  );
}

function checkOwnSync(job: Job): void {
  if (isSynced(job, job.host)) return;
  const { resource, host } = job;
  const size = numberAt(job, paths.size(resource)) ?? 0;
  const synced = numberAt(job, paths.syncStatus(resource, host)) ?? 0;
  job.refuse(
    synced < size
      ? `sync of resource '${resource}' is not finished on host '${host}': ${synced} of ${size} bytes`
      : `host '${host}' has not yet replayed what the sync of resource '${resource}' needs to be consistent`,
    `Wait for it: marsadm view ${resource}`,
  );
}

function checkSize(job: Job): void {
  const size = numberAt(job, paths.size(job.resource)) ?? 0;
  const disk = numberAt(job, `resource-${job.resource}/actsize-${job.host}`);
  if (disk !== null && disk < size)
    job.refuseUnlessForced(`the disk of host '${job.host}' has ${disk} bytes, the resource ${size}`);
}

/** A third member in the middle of its sync would lose its source. */
function checkOtherSyncs(job: Job, old: string | null): void {
  const { session, snapshot, resource, host } = job;
  const members = snapshot.members(resource);
  if (members.length <= 2) return;
  for (const member of members) {
    if (member === host || member === old || isSynced(job, member)) continue;
    const text = `sync of resource '${resource}' is not finished on host '${member}'`;
    const isSilent = silentSeconds(job, member) > 2 * session.options.window;
    if (isSilent || session.options.ignoreSync > 0 || job.force) job.out.warn(`${text} (ignored)`);
    else job.refuse(text, 'Wait for it, or go on with --ignore-sync: then it begins again with the new primary.');
  }
}

function checkReplayCode(job: Job): void {
  const code = numberAt(job, paths.actual(job.resource, job.host, 'replay-code')) ?? 0;
  if (code >= 0) return;
  job.refuseUnlessForced(
    `replay of resource '${job.resource}' has stopped with code ${code} on host '${job.host}'`,
    `See "marsadm view ${job.resource}". If only the copy of this host is bad: marsadm invalidate ${job.resource}`,
  );
}

/**
 * Has this host everything that the old primary has written? Then a handover loses nothing.
 * @returns `not yet`, and says so once a second. @throws Dying in emergency mode. Source: marsadm.md 10, "Completeness"
 */
export function completeness(job: Job): 'not yet' | void {
  const { snapshot, resource, host, out } = job;
  const old = oldPrimary(job);
  if (snapshot.isLit(resource, host, 'has-emergency')) job.refuse(`host '${host}' itself is in emergency mode`);
  if (snapshot.value(`resource-${resource}/userspace/last-primary`) === host)
    return sayOnce(job, 'Switching back to last primary.');
  if (isSplitBrain(job)) return attention(job);
  if (hasFreshReplayError(job)) return;
  if (isComplete(job, old)) return;
  const second = Math.floor((job.session.world.clock.nowUs - startOf(job)) / 1e6);
  if (job.notes.get('said at') !== second) {
    job.notes.set('said at', second);
    out.say(`Trying to avoid split brain for ${second} s: logfile update not yet completed.`);
    for (const line of replInfo(job)) out.say(line);
  }
  return 'not yet';
}

function startOf(job: Job): number {
  const start = (job.notes.get('completeness since') as number | undefined) ?? job.session.world.clock.nowUs;
  job.notes.set('completeness since', start);
  return start;
}

function isComplete(job: Job, old: string | null): boolean {
  const { snapshot, resource, host } = job;
  const newest = newestVersion(snapshot, resource);
  const hosts = replayHosts(snapshot, resource);
  if (newest === null || hosts.length < 2) return false;
  const version = (of: string): string | null => snapshot.value(paths.version(resource, newest, of));
  const replay = (of: string): string | null => snapshot.value(paths.replay(resource, of));
  if (old === null) {
    const others = hosts.filter((other) => version(other) !== null);
    return version(host) !== null && others.every((other) => version(other) === version(host));
  }
  if (replay(old) === null || replay(old) !== replay(host)) return false;
  if (version(old) === version(host)) return version(host) !== null;
  return repairVersion(job, old, newest);
}

/**
 * Equal positions with different version links, all of them settled: the own one stems from before a crash of the old primary.
 * Source: marsadm.md 10
 */
function repairVersion(job: Job, old: string, sequence: number): boolean {
  const { tree, snapshot, resource, host, session, out } = job;
  const quarter = session.options.window / 4;
  const links = [host, old].flatMap((of) => [paths.version(resource, sequence, of), paths.replay(resource, of)]);
  const isSettled = links.every((path) => (tree.ageSeconds(path) ?? Infinity) > quarter);
  const value = snapshot.value(paths.version(resource, sequence, old));
  if (!isSettled || value === null) return false;
  out.warn(
    `version link ${sequence} of host '${host}' differs from that of '${old}' at the same position: it is copied`,
  );
  tree.set(paths.version(resource, sequence, host), value);
  return true;
}

/** The original does not wait for a replay that has just reported an error. */
function hasFreshReplayError({ snapshot, tree, resource, host, session }: Job): boolean {
  const path = paths.actual(resource, host, 'msg-err-replay-stop');
  const value = snapshot.value(path);
  const replay = snapshot.read(paths.replay(resource, host), REPLAY);
  if (value === null || value.startsWith('OK') || replay === null) return false;
  return (tree.ageSeconds(path) ?? Infinity) <= session.options.window;
}

function sayOnce(job: Job, text: string): void {
  if (job.notes.has(text)) return;
  job.notes.set(text, true);
  job.out.say(text);
}

function attention(job: Job): void {
  if (job.notes.has('attention')) return;
  job.notes.set('attention', true);
  job.out.warn(`ATTENTION: resource '${job.resource}' has a split brain`);
  job.out.warn('ATTENTION: so it does not matter any more whether this host has all of the old primary');
  job.out.warn(`ATTENTION: the data of host '${job.host}' will count, those of the others will not`);
  job.out.warn(`ATTENTION: afterwards, on each of the others: marsadm invalidate ${job.resource}`);
}
