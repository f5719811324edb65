import { LOG, NS_PER_SECOND, REPLAY, STAMP, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { compareNaturally } from '../parse/names.js';
import { humanSeconds } from '../parse/size.js';
import { humanNumber } from './view-text.js';
import { amountBehind, duplicateLogs, findSplits, placeText, type Place, type Split } from './history.js';

/** True when histories have parted: nobody but the operator can say which side is right. */
export function isSplitBrain({ snapshot, resource }: Job): boolean {
  return findSplits(snapshot, resource).length > 0 || duplicateLogs(snapshot, resource).length > 0;
}

/** The report that every command gives, once per resource, before anything else. Source: macros.md 5.3 */
export function reportSplitBrain(job: Job): boolean {
  const { snapshot, resource } = job;
  if (findSplits(snapshot, resource).length === 0 && duplicateLogs(snapshot, resource).length === 0) return false;
  // A second look: links of two hosts may have arrived one after the other.
  const again = job.look();
  const splits = findSplits(again, resource);
  if (splits.length > 0) reportSplits(job, splits);
  else for (const sequence of duplicateLogs(again, resource)) reportDuplicate(job, sequence);
  return splits.length > 0 || duplicateLogs(again, resource).length > 0;
}

function reportSplits(job: Job, splits: readonly Split[]): void {
  if (isOutdated(job))
    job.out.hint('   the following warnings may be outdated: not all hosts have been heard of lately');
  const points = new Map(splits.map(({ point }) => [point === null ? '' : placeText(point), point]));
  for (const [text, point] of points) {
    job.out.warn(`SPLIT BRAIN of resource '${job.resource}' after logfile '${text}' age ~${ageOf(job, point)}`);
  }
  const hosts = [...new Set(splits.flatMap((split) => split.hosts))].sort(compareNaturally);
  for (const [i, host] of hosts.entries()) reportHost(job, i + 1, host, splits);
}

function reportHost(job: Job, number: number, host: string, splits: readonly Split[]): void {
  const { snapshot, resource, session } = job;
  const point = splits.find((split) => split.hosts.includes(host))?.point ?? null;
  const bytes = amountBehind(snapshot, resource, host, point);
  const words = [roleOf(job, host), stateOf(job, host)].filter((word) => word !== '').map((word) => `${word} `);
  job.out.warn(`   host${number} = '${host}' ${words.join('')}logfile_amount='${bytes}' (${humanNumber(bytes)})`);
  const log = snapshot.read(paths.replay(resource, host), REPLAY)?.log;
  if (host !== session.me || log === undefined) return;
  const isHere = snapshot.entry(paths.log(resource, log.sequence, log.host))?.kind === 'file';
  if (!isHere) job.out.warn(`   logfile '${LOG.format(log)}' is MISSING right here (${host})`);
}

function reportDuplicate({ out, resource }: Job, sequence: number): void {
  out.warn(`SPLIT BRAIN at resource '${resource}' detected: duplicate logfile number ${sequence}`);
  out.hint('Two hosts have written a log of that number, each without knowing of the other.');
  out.hint('Decide which host has the right data, and make it primary.');
  out.hint(`On all other hosts: marsadm invalidate ${resource}`);
}

function roleOf({ snapshot, resource, session }: Job, host: string): string {
  if (snapshot.value(paths.actual(resource, host, 'is-primary')) === null) return 'unknown-role';
  if (!snapshot.isLit(resource, host, 'is-primary')) return '';
  return host === session.me ? 'primary' : 'reported-primary';
}

function stateOf(job: Job, host: string): string {
  const { snapshot, session } = job;
  if (host === session.me) return '';
  if (snapshot.value(paths.ip(host)) === null) return 'unconfigured IP';
  const silent = silentSeconds(job, host);
  if (silent === null) return 'unreachable';
  return silent > session.options.window ? `interrupted ~${humanSeconds(silent)}` : '';
}

/** Seconds since a host was last heard of; null = never. */
function silentSeconds({ snapshot, tree }: Job, host: string): number | null {
  const timeNs = snapshot.read(paths.node(host, 'time'), STAMP);
  return timeNs === null ? null : Number(tree.nowNs - timeNs) / Number(NS_PER_SECOND);
}

function isOutdated(job: Job): boolean {
  return job.snapshot
    .users(job.resource)
    .some((host) => (silentSeconds(job, host) ?? Infinity) > job.session.options.window);
}

/** Since when the parted histories go on: the youngest news of the log in which they parted. */
function ageOf({ snapshot, resource, tree }: Job, point: Place | null): string {
  const stamps = snapshot
    .list(paths.resource(resource))
    .filter((name) => (point === null ? name.startsWith('replay-') : name.startsWith(versionPrefix(point))))
    .map((name) => snapshot.stampNs(`${paths.resource(resource)}/${name}`)!);
  if (stamps.length === 0) return humanSeconds(-1);
  const newestNs = stamps.reduce((a, b) => (a > b ? a : b));
  return humanSeconds(Number(tree.nowNs - newestNs) / Number(NS_PER_SECOND));
}

function versionPrefix({ log }: Place): string {
  return `version-${String(log.sequence).padStart(9, '0')}-`;
}
