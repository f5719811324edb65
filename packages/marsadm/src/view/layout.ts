import { FEATURES, NS_PER_SECOND, paths } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import { errnoText } from '../errno-text.js';
import type { Job } from '../execute/job.js';
import { featureNames } from '../facts/features.js';
import { replInfo, syncInfo } from '../facts/progress.js';
import { humanNumber } from '../facts/view-text.js';
import { humanSeconds } from '../parse/size.js';
import { readText } from '../world.js';
import { messagesIn, resourceErrors } from './messages.js';
import {
  commState,
  diskState,
  flags,
  isSynced,
  isUpToDate,
  outdatedFlags,
  isAlive,
  replState,
  resourceState,
  role,
  type ResourceState,
} from './state.js';

/** Lines of the macro `default`. Source: macros.md 5.2 */
export function defaultLines(job: Job): string[] {
  const state = resourceState(job);
  const device = state.isDevicePresent ? [`  LocalDevice ${state.device} [${deviceStats(job, state)}]`] : [];
  if (state.disk === null) return device;
  return [
    ...device,
    statusLine(job, state),
    ...sizeHints(job, state),
    ...progressLines(job, state),
    ...reasonLines(job, state),
    ...resourceErrors(job),
  ];
}

function statusLine(job: Job, state: ResourceState): string {
  const { snapshot, resource, host } = job;
  const words = [
    resource,
    `[${snapshot.members(resource).length}/${snapshot.hosts().length}]`,
    diskState(job, state),
    replState(job, state),
    flags(state),
    role(job, state),
    state.isDesignated ? host : (state.primary ?? ''),
    commState(job, state),
  ];
  return `  ${words.join(' ')}`;
}

function sizeHints(job: Job, state: ResourceState): string[] {
  const { snapshot, resource, host, session } = job;
  const disk = numberAt(job, `resource-${resource}/actsize-${host}`) ?? 0;
  const sizes = snapshot
    .members(resource)
    .map((member) => numberAt(job, `resource-${resource}/actsize-${member}`) ?? 0);
  const wasted = disk - state.sizeBytes;
  const more = Math.min(...sizes) - state.sizeBytes;
  return [
    ...(wasted > session.options.threshold
      ? [`     Hint: you are wasting ${humanNumber(wasted)} on disk ${state.disk}`]
      : []),
    ...(more > 0 ? [`     Hint: marsadm resize would increase resource ${resource} by ${humanNumber(more)}`] : []),
  ];
}

function progressLines(job: Job, state: ResourceState): string[] {
  if (state.isPrimary || !state.isAttached) return [];
  if (!isUpToDate(state)) warnIfStuck(job);
  return [...(isSynced(state) ? [] : syncInfo(job)), ...(isUpToDate(state) ? [] : replInfo(job))];
}

/** [OURS] Why it does not go on, in the words of the daemon: only while not everything is as it should be. */
function reasonLines(job: Job, state: ResourceState): string[] {
  const isGood = ['Replicating', 'Replaying'].includes(replState(job, state)) && diskState(job, state) === 'UpToDate';
  if (isGood || job.out.verbose > 1) return [];
  const { resource, host } = job;
  return messagesIn(job, `${paths.resource(resource)}/actual-${host}`, 'inf').map((line) => `     Reason: ${line}`);
}

/** Nothing has moved for a long time. */
function warnIfStuck({ tree, snapshot, resource, host, session, out }: Job): void {
  const newest = snapshot.versions(resource, host).at(-1);
  const stampNs = newest === undefined ? null : snapshot.stampNs(paths.version(resource, newest, host));
  if (stampNs === null || !session.daemon.isLoaded) return;
  const age = Number((tree.nowNs - stampNs) / NS_PER_SECOND);
  if (age > session.options.stuckSeconds)
    out.warn(`replay of ${resource} appears to be stuck for ~${humanSeconds(age)}`);
}

/** `Closed`, or what happens on the device. Source: macros.md 5.1 */
export function deviceStats(job: Job, { openCount }: ResourceState): string {
  if (openCount === 0) return 'Closed';
  const actual = (name: string): number => numberAt(job, paths.actual(job.resource, job.host, name)) ?? 0;
  const error = actual('if-state');
  const flying = actual('if-flying');
  const hanging = completionAge(job);
  return [
    'Opened',
    ...mountedAt(job),
    ...(error === 0 ? [] : [`DEVICE_ERROR=${error}${errnoText(error)}`]),
    `${actual('ops-if_rate')} IOPS`,
    ...(flying === 0 ? [] : [`${flying} Flying`]),
    ...(flying > 0 && hanging > job.session.options.window ? [`HANGING age: ${humanSeconds(hanging)}`] : []),
  ].join(', ');
}

function completionAge({ snapshot, tree, resource, host }: Job): number {
  const value = snapshot.value(paths.actual(resource, host, 'if-completion-stamp'));
  return value === null ? 0 : Math.max(0, Number(tree.nowNs / NS_PER_SECOND) - Number.parseInt(value, 10));
}

/** Mount point, with type and flags when verbose; nothing for other hosts. */
function mountedAt(job: Job): string[] {
  if (job.host !== job.session.me) return [];
  const mounts = readText(job.session.world.files, '/proc/mounts') ?? '';
  const row = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .find(([device]) => device === `/dev/mars/${job.resource}`);
  if (row === undefined) return [];
  const [, dir, type, mountFlags] = row;
  return [job.out.verbose > 0 ? `${dir} ${type} ${mountFlags}` : dir!];
}

/** Lines of `default-header`. Source: macros.md 5.2 */
export function headerLines(job: Job): string[] {
  const { snapshot, host } = job;
  const usable = snapshot.read(paths.node(host, 'usable'), FEATURES)?.mask ?? 0;
  const used = (name: string): string =>
    `used-${name}="${featureNames(numberAt(job, paths.node(host, `used-${name}`)) ?? 0)}"`;
  const limit = numberAt(job, paths.hostSetting(host, 'sync-limit')) ?? 0;
  const both = (kind: string, prefix: string): string[] =>
    featureNames(usable, prefix) === '' ? [] : [`log-${kind}`, `net-${kind}`].map(used);
  return [
    ...both('compression', 'COMPRESS'),
    ...both('digest', 'CHKSUM'),
    ...(limit === 0 ? [] : [`   HINT: the global-sync-limit-value is set to "${limit}"`]),
  ];
}

/** Lines of `default-global`: messages of the daemon, and clocks that differ. Source: macros.md 5.2 */
export function globalLines(job: Job): string[] {
  const { host, tree, session } = job;
  const messages = messagesIn(job, `actual-${host}`, '').filter((line) => !line.includes('CONNECTED'));
  const slip = Number((tree.nowNs - session.world.clock.wallNs()) / NS_PER_SECOND);
  return [
    ...(messages.length === 0 ? [] : ['++++++++++++ Global / Communication Status ++++++++++++', ...messages]),
    ...(slip > session.options.window ? [`++++++++++++ Lamport time slip: ${humanSeconds(slip)} ++++++++++++`] : []),
  ];
}

/** Line of the macro `1and1`, frozen for old scripts, with the progress behind it. Source: macros.md 5.1, 5.2 */
export function oldLines(job: Job): string[] {
  const state = resourceState(job);
  const { isAttached, isPrimary, isDiskPresent } = state;
  const words = [
    job.resource,
    oldDiskState(state),
    oldReplState(job, state),
    oldFlags(state),
    oldRole(state),
    oldPrimaryNode(job, state),
  ];
  const behind = isAttached ? [...(isSynced(state) ? [] : syncInfo(job)), ...oldReplInfo(job, state)] : [];
  return [`  ${words.join(' ')}`, ...(isPrimary || !isDiskPresent ? [] : behind), ...resourceErrors(job)];
}

function oldReplInfo(job: Job, { amounts }: ResourceState): string[] {
  return amounts.replayPos + job.session.options.threshold >= amounts.fetchSize ? [] : replInfo(job);
}

export function oldDiskState(state: ResourceState): string {
  if (!state.isDiskPresent || !state.isAttached) return 'Detached';
  if (!state.isAlmostConsistent) return 'Inconsistent';
  return isUpToDate(state) ? 'Uptodate' : `Outdated[${outdatedFlags(state)}]`;
}

export function oldReplState(job: Job, state: ResourceState): string {
  if (!state.isDiskPresent) return 'NotJoined';
  if (state.isPrimary) return 'Replicating';
  if (state.primary === null || !isAlive(job, state.primary)) return 'PrimaryUnreachable';
  if (!isSynced(state) && !state.todo.sync) return 'PausedSync';
  if (state.isSyncing) return 'Syncing';
  return state.todo.fetch && state.todo.replay ? 'Replaying' : 'PausedReplay';
}

export function oldFlags({ todo }: ResourceState): string {
  return `-${todo.sync ? 'S' : '-'}${todo.fetch ? 'F' : '-'}${todo.replay ? 'R' : '-'}-`;
}

export function oldRole({ isDiskPresent, isPrimary }: ResourceState): string {
  return isDiskPresent && isPrimary ? 'Primary' : 'Secondary';
}

export function oldPrimaryNode({ snapshot, resource, host }: Job, state: ResourceState): string {
  if (!state.isDiskPresent) return '-';
  if (state.isPrimary) return host;
  return snapshot.members(resource).find((member) => snapshot.isLit(resource, member, 'is-primary')) ?? '-';
}
