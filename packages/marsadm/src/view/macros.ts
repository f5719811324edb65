import { REPLAY, STAMP, formatStamp, paths } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import type { Job } from '../execute/job.js';
import { rateOf, replInfo, syncInfo } from '../facts/progress.js';
import { isSplitBrain } from '../facts/split-brain.js';
import { remainOf } from '../facts/view-text.js';
import { compareNaturally } from '../parse/names.js';
import { logAmounts } from '../facts/amounts.js';
import {
  defaultLines,
  deviceStats,
  globalLines,
  headerLines,
  oldDiskState,
  oldFlags,
  oldLines,
  oldPrimaryNode,
  oldReplState,
  oldRole,
} from './layout.js';
import { messagesIn, resourceErrors } from './messages.js';
import {
  aliveAge,
  codesText,
  commState,
  countLit,
  defaultResource,
  diskState,
  flags,
  isAlive,
  isUpToDate,
  outdatedFlags,
  replState,
  resourceState,
  role,
  todoRole,
  type ResourceState,
} from './state.js';

/**
 * What `view-NAME` prints, by name. The macro language of the original is a later issue: it will find its state macros here, and users'
 * files before them. @returns text without the newline at its end; '' = nothing is printed
 */
export type Macro = (job: Job, argument: string | undefined) => string;

const bool = (value: boolean): string => (value ? '1' : '0');
const lines = (list: readonly string[]): string => list.join('\n');

type OfState<T> = (job: Job, state: ResourceState) => T;
const word =
  (of: OfState<string>): Macro =>
  (job) =>
    of(job, resourceState(job));
const yes =
  (of: OfState<boolean>): Macro =>
  (job) =>
    bool(of(job, resourceState(job)));
const amount =
  (of: OfState<number>): Macro =>
  (job) =>
    String(of(job, resourceState(job)));

const led =
  (name: string): Macro =>
  (job, host = job.host) =>
    job.snapshot.value(paths.actual(job.resource, host, name)) ?? '';
const button =
  (name: string): Macro =>
  ({ snapshot, resource, host }) =>
    snapshot.value(paths.todo(resource, host, name)) ?? '';
const count =
  (name: string): Macro =>
  (job) =>
    String(countLit(job, name));

/** `POS` and `SIZE` of a kind of work, and everything that follows from them. Source: macros.md 4.3 */
function progressMacros(name: string, of: OfState<{ pos: number; size: number }>): [string, Macro][] {
  const rest = ({ pos, size }: { pos: number; size: number }): number => Math.max(0, size - pos);
  const share = (factor: number, top: number): Macro =>
    amount((job, state) => {
      const { pos, size } = of(job, state);
      return size === 0 ? top : Math.min(top, Math.trunc((factor * pos) / size));
    });
  return [
    [`${name}-pos`, amount((job, state) => of(job, state).pos)],
    [`${name}-size`, amount((job, state) => of(job, state).size)],
    [`${name}-rest`, amount((job, state) => rest(of(job, state)))],
    [`${name}-reached`, yes((job, state) => rest(of(job, state)) === 0)],
    [
      `${name}-threshold-reached`,
      (job, text) => {
        const { pos, size } = of(job, resourceState(job));
        return bool(pos + (text === undefined ? job.session.options.threshold : Number(text)) >= size);
      },
    ],
    [
      `${name}-almost-reached`,
      (job, permille = '990') => {
        const { pos, size } = of(job, resourceState(job));
        return bool(Math.floor(pos / Number(permille)) >= Math.floor(size / 1000));
      },
    ],
    [`${name}-percent`, share(100.5, 100)],
    [`${name}-permille`, share(1000.5, 1000)],
    [
      `${name}-vector`,
      (job, between = ':') => {
        const { pos, size } = of(job, resourceState(job));
        return `${pos}${between}${size}`;
      },
    ],
  ];
}

const progress = [
  ...progressMacros('sync', (_, { syncPos, sizeBytes }) => ({ pos: syncPos, size: sizeBytes })),
  ...progressMacros('fetch', (_, { amounts }) => ({ pos: amounts.fetchPos, size: amounts.fetchSize })),
  ...progressMacros('replay', (_, { amounts }) => ({ pos: amounts.replayPos, size: amounts.fetchPos })),
  ...progressMacros('work', (_, { amounts }) => ({ pos: amounts.replayPos, size: amounts.fetchSize })),
];

const rates: [string, Macro][] = (['sync', 'fetch', 'replay'] as const).flatMap((name): [string, Macro][] => {
  const what = name === 'fetch' ? 'file' : name;
  const restOf: OfState<number> = (_, { amounts, syncPos, sizeBytes }) => {
    if (name === 'sync') return sizeBytes - syncPos;
    return name === 'fetch' ? amounts.fetchSize - amounts.fetchPos : amounts.fetchPos - amounts.replayPos;
  };
  return [
    [`${name}-rate`, (job) => String(rateOf(job, what))],
    [`${name}-amount-rate`, (job) => String(rateOf(job, what))],
    [`${name}-ops-rate`, (job) => String(numberAt(job, paths.actual(job.resource, job.host, `ops-${what}_rate`)) ?? 0)],
    [`${name}-remain`, amount((job, state) => remainOf(restOf(job, state), rateOf(job, what)))],
  ];
});

function resourcesOf({ snapshot }: Job, host: string, kinds: readonly string[]): string[] {
  const takesPart = (name: string): boolean =>
    kinds.some((kind) => snapshot.value(`resource-${name}/${kind}-${host}`) !== null);
  return allResources(snapshot).filter(takesPart);
}

function allResources(snapshot: Job['snapshot']): string[] {
  return snapshot
    .list('')
    .filter((name) => name.startsWith('resource-') && snapshot.directory(name) !== null)
    .map((name) => name.slice('resource-'.length))
    .sort(compareNaturally);
}

function peersOf({ snapshot, resource }: Job, kinds: readonly string[]): string[] {
  const hosts = snapshot.list(paths.resource(resource)).flatMap((name) => {
    const kind = kinds.find((k) => name.startsWith(`${k}-`));
    return kind === undefined ? [] : [name.slice(kind.length + 1)];
  });
  return [...new Set(hosts)].sort(compareNaturally);
}

function clusterPeers({ snapshot }: Job): string[] {
  const fromResources = allResources(snapshot).flatMap((name) => [...snapshot.members(name), ...snapshot.users(name)]);
  const deleted = [...(snapshot.directory('ips')?.entries.names() ?? [])].map((name) => name.replace(/^ip-/, ''));
  return [...new Set([...deleted, ...fromResources])].sort(compareNaturally);
}

const members = (job: Job): string[] => peersOf(job, ['data', 'replay']);
const guests = (job: Job): string[] => peersOf(job, ['device']).filter((host) => !members(job).includes(host));

const listMacros: [string, (job: Job, argument: string | undefined) => string[]][] = [
  ['cluster-peers', clusterPeers],
  ['resource-peers', members],
  ['guest-peers', guests],
  ['configured-peers', ({ snapshot }) => snapshot.hosts().sort(compareNaturally)],
  ['my-resources', (job, host = job.host) => resourcesOf(job, host, ['device', 'data', 'replay'])],
  ['my-members', (job, host = job.host) => resourcesOf(job, host, ['data', 'replay'])],
  [
    'my-guests',
    (job, host = job.host) =>
      resourcesOf(job, host, ['device']).filter((r) => !resourcesOf(job, host, ['data', 'replay']).includes(r)),
  ],
  ['all-resources', ({ snapshot }) => allResources(snapshot)],
];

const lists: [string, Macro][] = listMacros.flatMap(([name, of]): [string, Macro][] => [
  [name, (job, argument) => lines(of(job, argument))],
  [`count-${name}`, (job, argument) => String(of(job, argument).length)],
]);

const node =
  (name: string): Macro =>
  ({ snapshot, host }) =>
    snapshot.value(paths.node(host, name)) ?? '';

const table: [string, Macro][] = [
  // Layouts
  ['default', (job) => lines(defaultLines(job))],
  ['1and1', (job) => lines(oldLines(job))],
  ['default-1and1', (job) => lines(oldLines(job))],
  ['default-header', (job) => lines(headerLines(job))],
  ['default-global', (job) => lines(globalLines(job))],
  ['default-footer', () => ''],
  ['comminfo', (job) => lines(globalLines(job))],
  ['syncinfo', (job) => lines(syncInfo(job))],
  ['replinfo', (job) => lines(replInfo(job))],
  ['resource-errors', (job) => lines(resourceErrors(job))],
  ['default-resource', word((job, { sizeBytes }) => defaultResource(job, sizeBytes))],
  // Words
  ['diskstate', word(diskState)],
  ['outdated-flags', word((_, state) => outdatedFlags(state))],
  ['replstate', word(replState)],
  ['flags', word((_, state) => flags(state))],
  ['todo-role', word((_, state) => todoRole(state))],
  ['role', word(role)],
  ['primarynode', word((_, { primary }) => primary ?? '')],
  ['commstate', word(commState)],
  ['device-stats', word(deviceStats)],
  ['diskstate-1and1', word((_, state) => oldDiskState(state))],
  ['replstate-1and1', word(oldReplState)],
  ['flags-1and1', word((_, state) => oldFlags(state))],
  ['role-1and1', word((_, state) => oldRole(state))],
  ['primarynode-1and1', word(oldPrimaryNode)],
  // Buttons and leds
  ['todo-attach', button('attach')],
  ['todo-sync', button('sync')],
  ['todo-fetch', button('connect')],
  ['todo-replay', button('allow-replay')],
  ['todo-primary', word((_, { isDesignated }) => (isDesignated ? '1' : ''))],
  ['todo-secondary', word((_, { primary }) => bool(primary === null))],
  ['is-attach', led('is-attached')],
  ['is-sync', led('is-syncing')],
  ['is-fetch', led('is-copying')],
  ['is-replay', led('is-replaying')],
  ['is-primary', led('is-primary')],
  ['is-secondary', (job, host = job.host) => bool(!job.snapshot.isLit(job.resource, host, 'is-primary'))],
  ['is-emergency', led('has-emergency')],
  ['nr-attach', count('is-attached')],
  ['nr-sync', count('is-syncing')],
  ['nr-fetch', count('is-copying')],
  ['nr-replay', count('is-replaying')],
  ['nr-primary', count('is-primary')],
  ['nr-secondary', (job) => String(job.snapshot.members(job.resource).length - countLit(job, 'is-primary'))],
  ['get-primary', word((_, { primary }) => primary ?? '')],
  ['actual-primary', ({ snapshot, resource, host }) => actualPrimary(snapshot, resource, host)],
  ['is-alive', (job, host) => bool(isAlive(job, host ?? job.snapshot.primary(job.resource) ?? job.host))],
  ['is-module-loaded', ({ session }) => (session.daemon.isLoaded ? '1' : '')],
  ['is-member', (job) => bool(members(job).includes(job.host))],
  ['is-guest', (job) => bool(guests(job).includes(job.host))],
  ['replay-code', led('replay-code')],
  ['disk-error', led('disk-error')],
  // Disk and device
  ['get-disk', word((_, { disk }) => disk ?? '')],
  ['get-device', word((_, { device }) => device)],
  ['disk-present', word((_, { disk, isDiskPresent }) => (disk !== null && isDiskPresent ? '1' : ''))],
  ['device-present', yes((_, { isDevicePresent }) => isDevicePresent)],
  ['device-opened', amount((_, { openCount }) => openCount)],
  ['device-nrflying', (job) => led('if-flying')(job, undefined) || '0'],
  ['device-error', (job) => led('if-state')(job, undefined) || '0'],
  ['device-completion-stamp', (job) => led('if-completion-stamp')(job, undefined) || '0'],
  ['disk-size', (job, host = job.host) => job.snapshot.value(`resource-${job.resource}/actsize-${host}`) ?? ''],
  ['resource-size', ({ snapshot, resource }) => snapshot.value(paths.size(resource)) ?? ''],
  ['device-size', ({ snapshot, resource }) => snapshot.value(paths.size(resource)) ?? ''],
  ['resource-possible-size', (job) => String(possibleSize(job))],
  // Judgements
  ['is-consistent', yes((_, { isConsistent }) => isConsistent)],
  ['is-almost-consistent', yes((_, { isAlmostConsistent }) => isAlmostConsistent)],
  ['is-split-brain', (job) => bool(isSplitBrain(job))],
  ['is-orphan', yes((_, { isOrphan }) => isOrphan)],
  ['is-uptodate', yes((_, state) => isUpToDate(state))],
  // Amounts
  ...progress,
  ...rates,
  ['writeback-rest', amount((_, { amounts }) => amounts.writebackRest)],
  ['summary-vector', (job, between = ':') => summary(job).join(between)],
  ['replay-lognr', amount((_, { amounts }) => amounts.replayLognr)],
  ['replay-basenr', amount((_, { amounts }) => amounts.replayBasenr)],
  ['fetch-lognr', amount((_, { amounts }) => amounts.fetchLognr)],
  ['work-lognr', amount((_, { amounts }) => amounts.workLognr)],
  ['replay-logcount', amount((_, { amounts }) => amounts.replayLognr - amounts.replayBasenr)],
  ['fetch-logcount', amount((_, { amounts }) => amounts.fetchLognr - amounts.replayLognr)],
  ['work-logcount', amount((_, { amounts }) => amounts.workLognr - amounts.replayLognr)],
  ['occupied-size', ({ snapshot, resource }) => String(sum(snapshot.logs(resource).map(({ sizeBytes }) => sizeBytes)))],
  ['deletable-size', (job) => String(deletableBytes(job))],
  // Time
  ['time', ({ tree }) => formatStamp(tree.nowNs)],
  ['real-time', ({ session }) => String(session.world.clock.wallNs() / 1_000_000_000n)],
  ['alive-timestamp', (job, host) => aliveTimestamp(job, host)],
  ['alive-age', (job, host) => String(aliveAge(job, host ?? job.snapshot.primary(job.resource)))],
  // Lists, names, the system
  ...lists,
  ['cluster-members', (job) => lines(clusterPeers(job))],
  ['resource-members', (job) => lines(members(job))],
  ['uuid', ({ snapshot }) => snapshot.value(paths.uuid) ?? ''],
  ['tree', node('tree')],
  ['tree-version', node('tree')],
  ['rest-space', node('rest-space')],
  ['total-space', node('total-space')],
  ['global-sync-limit-value', ({ snapshot, host }) => snapshot.value(paths.hostSetting(host, 'sync-limit')) ?? ''],
  ['systemd-unit', ({ snapshot, resource }) => systemdUnit(snapshot, resource)],
  ['errno-text', (_, codes = '') => codesText(codes)],
  ['the-err-msg', (job) => lines(messagesIn(job, `resource-${job.resource}/actual-${job.host}`, 'err'))],
  ['the-pretty-err-msg', (job) => lines(messagesIn(job, `resource-${job.resource}/actual-${job.host}`, 'err'))],
  ['the-pretty-wrn-msg', (job) => lines(messagesIn(job, `resource-${job.resource}/actual-${job.host}`, 'wrn'))],
  ['the-pretty-global-msg', (job) => lines(messagesIn(job, `actual-${job.host}`, ''))],
  ['present-disk', (job, argument) => MACROS.get('disk-present')!(job, argument)],
  ['present-device', (job, argument) => MACROS.get('device-present')!(job, argument)],
];

export const MACROS: ReadonlyMap<string, Macro> = new Map(table);

function actualPrimary(snapshot: Job['snapshot'], resource: string, host: string): string {
  if (snapshot.isLit(resource, host, 'if-on')) return host;
  return snapshot.members(resource).find((member) => snapshot.isLit(resource, member, 'is-primary')) ?? '';
}

function possibleSize(job: Job): number {
  const sizes = job.snapshot
    .members(job.resource)
    .map((host) => numberAt(job, `resource-${job.resource}/actsize-${host}`) ?? 0);
  return sizes.length === 0 ? 0 : Math.min(...sizes);
}

function summary({ snapshot, resource, host }: Job): number[] {
  const { replayPos, fetchPos, fetchSize } = logAmounts(snapshot, resource, host);
  return [replayPos, fetchPos, fetchSize];
}

function deletableBytes(job: Job): number {
  const { snapshot, resource } = job;
  const positions = members(job).flatMap(
    (host) => snapshot.read(paths.replay(resource, host), REPLAY)?.log.sequence ?? [],
  );
  const logs = snapshot.logs(resource);
  if (logs.length === 0) job.refuse(`resource '${resource}' has no log files here`);
  if (positions.length === 0) job.refuse(`resource '${resource}' has no replay links`);
  const lowest = Math.min(...positions);
  return sum(logs.filter(({ sequence }) => sequence < lowest).map(({ sizeBytes }) => sizeBytes));
}

function aliveTimestamp({ snapshot, resource }: Job, host: string | undefined): string {
  const of = host ?? snapshot.primary(resource);
  if (of === null) return '-1';
  const stampNs = snapshot.read(paths.node(of, 'time'), STAMP) ?? snapshot.stampNs(paths.node(of, 'alive'));
  return stampNs === null ? '-1' : formatStamp(stampNs);
}

function systemdUnit(snapshot: Job['snapshot'], resource: string): string {
  const start = snapshot.value(`resource-${resource}/systemd-start-unit`);
  return start === null ? '' : `${start} ${snapshot.value(`resource-${resource}/systemd-stop-unit`) ?? start}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
