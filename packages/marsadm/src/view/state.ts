import { NS_PER_SECOND, NONE, REPLAY, STAMP, paths } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import { errnoText } from '../errno-text.js';
import type { Job } from '../execute/job.js';
import { logAmounts, type LogAmounts } from '../facts/amounts.js';
import { compareReplay } from '../facts/members.js';
import { humanNumber } from '../facts/view-text.js';
import { humanSeconds } from '../parse/size.js';

/**
 * What is known of one resource on one host, worked out once: the state macros of macros.md 4, as values.
 * "Host" is H, the host that the command acts for.
 */
export interface ResourceState {
  disk: string | null;
  isDiskPresent: boolean;
  isDevicePresent: boolean;
  device: string;
  openCount: number;
  primary: string | null;
  isDesignated: boolean;
  isPrimary: boolean;
  isAttached: boolean;
  isSyncing: boolean;
  todo: { attach: boolean; sync: boolean; fetch: boolean; replay: boolean };
  sizeBytes: number;
  syncPos: number;
  amounts: LogAmounts;
  isConsistent: boolean;
  /** Like it, but a primary that writes back counts as consistent. */
  isAlmostConsistent: boolean;
  isOrphan: boolean;
  replayCode: number;
  diskError: number;
}

export function resourceState(job: Job): ResourceState {
  const { snapshot, resource, host } = job;
  const disk =
    snapshot.value(paths.data(resource, host)) ?? (isDiskInTree(job) ? `/mars/${paths.data(resource, host)}` : null);
  const led = (name: string): boolean => snapshot.isLit(resource, host, name);
  const primary = snapshot.primary(resource);
  const isPrimary = led('is-primary');
  const sizeBytes = numberAt(job, paths.size(resource)) ?? 0;
  const syncPos = numberAt(job, paths.syncStatus(resource, host)) ?? 0;
  const isAlmostConsistent = syncPos >= sizeBytes && hasReplayedSync(job);
  const dirty = snapshot.read(paths.replay(resource, host), REPLAY)?.dirtyBytes ?? 0;
  return {
    disk,
    isDiskPresent: disk !== null && isDisk(job, disk),
    isDevicePresent: led('if-on'),
    device: deviceName(job),
    openCount: numberAt(job, paths.actual(resource, host, 'open-count')) ?? 0,
    primary,
    isDesignated: primary === host,
    isPrimary,
    isAttached: led('is-attached'),
    isSyncing: led('is-syncing'),
    todo: {
      attach: snapshot.isOn(resource, host, 'attach'),
      sync: snapshot.isOn(resource, host, 'sync'),
      fetch: snapshot.isOn(resource, host, 'connect'),
      replay: snapshot.isOn(resource, host, 'allow-replay'),
    },
    sizeBytes,
    syncPos,
    amounts: logAmounts(snapshot, resource, host),
    isConsistent: isAlmostConsistent && !(isPrimary && dirty > 0),
    isAlmostConsistent,
    isOrphan: !isPrimary && isOrphan(job),
    replayCode: numberAt(job, paths.actual(resource, host, 'replay-code')) ?? 0,
    diskError: numberAt(job, paths.actual(resource, host, 'disk-error')) ?? 0,
  };
}

/** `data-HOST` may itself be a regular file. */
function isDiskInTree({ snapshot, resource, host }: Job): boolean {
  return snapshot.entry(paths.data(resource, host))?.kind === 'file';
}

/** A block device, or a file, on the host that executes marsadm (decided.md, "Stacks"). */
function isDisk({ session }: Job, path: string): boolean {
  const onDisk = path.startsWith('/mars/') ? `${session.places.mars}/${path.slice('/mars/'.length)}` : path;
  const kind = session.world.files.stat(onDisk)?.kind;
  return kind === 'block' || kind === 'file';
}

export function deviceName({ snapshot, resource, host }: Job): string {
  const name = snapshot.value(paths.device(resource, host));
  return `/dev/mars/${name === null || name === NONE ? resource : name}`;
}

function hasReplayedSync({ snapshot, resource, host }: Job): boolean {
  const replayed = snapshot.read(paths.replay(resource, host), REPLAY);
  const wanted = snapshot.read(paths.syncPos(resource, host), REPLAY);
  return replayed !== null && (wanted === null || compareReplay(replayed, wanted) >= 0);
}

/** The log from which the replay should go on is not here, or too short. */
function isOrphan({ snapshot, resource, host }: Job): boolean {
  const replay = snapshot.read(paths.replay(resource, host), REPLAY);
  if (replay === null) return true;
  const file = snapshot.entry(paths.log(resource, replay.log.sequence, replay.log.host));
  return file?.kind !== 'file' || file.sizeBytes < replay.posBytes;
}

export const isSynced = ({ syncPos, sizeBytes }: ResourceState): boolean => syncPos >= sizeBytes;
export const isFetched = ({ amounts }: ResourceState): boolean => amounts.fetchPos >= amounts.fetchSize;
export const isReplayed = ({ amounts }: ResourceState): boolean => amounts.replayPos >= amounts.fetchPos;
export const isUpToDate = ({ amounts }: ResourceState): boolean => amounts.replayPos >= amounts.fetchSize;

/** Seconds since a host was heard of; -1 = never, or no host. */
export function aliveAge({ snapshot, tree }: Job, host: string | null): number {
  if (host === null) return -1;
  const stampNs = snapshot.read(paths.node(host, 'time'), STAMP) ?? snapshot.stampNs(paths.node(host, 'alive'));
  return stampNs === null || stampNs <= 0n ? -1 : Number(tree.nowNs - stampNs) / Number(NS_PER_SECOND);
}

/** `actual-HOST/time` + window is not over yet. */
export function isAlive({ snapshot, tree, session }: Job, host: string): boolean {
  const timeNs = snapshot.read(paths.node(host, 'time'), STAMP);
  return timeNs !== null && timeNs + BigInt(session.options.window) * NS_PER_SECOND >= tree.nowNs;
}

export function outdatedFlags(state: ResourceState): string {
  return `${isFetched(state) ? '' : 'F'}${isReplayed(state) ? '' : 'R'}`;
}

const EILSEQ_BAD_RECORD = -56;
const INCOMPLETE = -85;

/** Source: macros.md 5.1, `diskstate`: the first line that fits. */
export function diskState(job: Job, state: ResourceState): string {
  const { diskError } = state;
  const prefix = diskError === 0 ? '' : `DISK_ERROR=${diskError}${wordOf(diskError)} `;
  return prefix + diskWord(job, state);
}

function diskWord(job: Job, state: ResourceState): string {
  const { snapshot, resource } = job;
  if (state.disk === null) return 'NotJoined';
  if (!state.isDiskPresent) return 'NotPresent';
  if (!state.todo.attach) return state.isAttached ? 'Detaching' : 'Detached';
  if (state.replayCode < 0) return logWord(job, state.replayCode);
  if (state.isOrphan) return 'Orphan';
  if (!state.isAttached) return 'NoAttach';
  if (!state.isConsistent) return state.isDesignated ? busyWord(state) : 'InConsistent';
  if (!isUpToDate(state)) return state.isDesignated ? busyWord(state) : `OutDated[${outdatedFlags(state)}]`;
  if (state.primary !== null && snapshot.isLit(resource, state.primary, 'has-emergency')) return 'EmergencyMode';
  return 'UpToDate';
}

function busyWord({ isPrimary, amounts }: ResourceState): string {
  return `${isPrimary ? 'WriteBack' : 'Recovery'}[${humanNumber(amounts.writebackRest)}]`;
}

function logWord({ snapshot, resource, host }: Job, code: number): string {
  const codes = snapshot.value(paths.actual(resource, host, 'replay-code')) ?? String(code);
  const word =
    code === INCOMPLETE ? 'IncompleteLog' : code === EILSEQ_BAD_RECORD ? 'UnInitializedLogRecord' : 'DefectiveLog';
  return `${word}[${codes}=${codesText(codes)}]`;
}

/** `-5,-10101,0x20`: several codes, and a byte. Source: macros.md 3.3 */
export function codesText(codes: string): string {
  return codes
    .split(',')
    .map((code) => (code.startsWith('0x') ? `,HEXCODE=${code}` : Number(code) === 0 ? '0' : wordOf(Number(code))))
    .join('');
}

function wordOf(errno: number): string {
  return errnoText(errno).replaceAll(' ', '_');
}

/** Source: macros.md 5.1, `replstate` */
export function replState(job: Job, state: ResourceState): string {
  const { session, host, snapshot, resource } = job;
  if (!session.daemon.isLoaded) return 'ModuleNotLoaded';
  if (!isAlive(job, host)) return 'UnResponsive';
  if (state.disk === null) return 'NotJoined';
  if (!state.todo.attach) return 'NotStarted';
  if (state.isDesignated) {
    if (snapshot.isLit(resource, host, 'has-emergency')) return 'EmergencyMode';
    return state.isPrimary ? 'Replicating' : 'NotYetPrimary';
  }
  if (!isSynced(state) && !state.todo.sync) return 'PausedSync';
  if (state.isSyncing) return 'Syncing';
  if (!state.todo.fetch) return 'PausedFetch';
  if (!state.todo.replay) return 'PausedReplay';
  if (state.primary === null) return 'NoPrimaryDesignated';
  if (!isAlive(job, state.primary)) return 'PrimaryUnreachable';
  return state.isOrphan ? 'Orphan' : 'Replaying';
}

/** Six characters, which scripts search between blanks: `DCASFR`. Source: macros.md 5.1, `flags` */
export function flags(state: ResourceState): string {
  const { isDiskPresent: isHere, todo } = state;
  return [
    isHere ? (state.isDevicePresent ? 'D' : 'd') : '-',
    state.isConsistent ? 'C' : isHere ? 'c' : '-',
    state.isAttached ? (todo.attach ? 'A' : 'a') : todo.attach ? 'a' : '-',
    isSynced(state) ? 'S' : todo.sync ? 's' : '-',
    isFetched(state) ? 'F' : todo.fetch ? 'f' : '-',
    isReplayed(state) ? 'R' : todo.replay ? 'r' : '-',
  ].join('');
}

export function todoRole(state: ResourceState): string {
  if (!state.isDiskPresent) return 'None';
  return state.isDesignated ? 'Primary' : 'Secondary';
}

export function role(job: Job, state: ResourceState): string {
  if (!state.isDiskPresent) return 'None';
  if (state.isDesignated) {
    if (!state.isPrimary) return 'NotYetPrimary';
    return countLit(job, 'is-primary') > 1 ? 'ForcedPrimary' : 'Primary';
  }
  return state.isPrimary ? 'RemainsPrimary' : 'Secondary';
}

/** Members of the resource with a led on. */
export function countLit({ snapshot, resource }: Job, led: string): number {
  return snapshot.members(resource).filter((host) => snapshot.isLit(resource, host, led)).length;
}

/** How long the primary has been silent, when that is long. */
export function commState(job: Job, state: ResourceState): string {
  const age = aliveAge(job, state.primary);
  return age >= job.session.options.window ? humanSeconds(age) : '';
}

/** `R SIZE [k/n]`. */
export function defaultResource({ snapshot, resource }: Job, sizeBytes: number): string {
  return `${resource} ${humanNumber(sizeBytes)} [${snapshot.members(resource).length}/${snapshot.hosts().length}]`;
}
