import { NONE, REPLAY, paths } from '@mars/mars-tree';
import { numberAt } from '../checks/resource.js';
import type { Job } from '../execute/job.js';
import { Dying } from '../exit.js';
import { logAmounts } from '../facts/amounts.js';
import { compareReplay } from '../facts/members.js';
import { readable } from './cat.js';
import { onePhase, type Command } from './command.js';

const old = { resource: 'resource', since: '0.9', helpLevel: 3, requires: 'existence', needsRoot: true } as const;

/** Inspection as in the first releases; scripts still parse it. Source: marsadm.md 14 */
export const inspectCommands: readonly Command[] = [
  {
    ...old,
    name: 'role',
    aliases: ['state'],
    usage: 'RES [HOST]',
    about: 'Prints "I am actually primary" or "secondary", and who should be primary.',
    examples: ['role r1'],
    phases: onePhase(role),
  },
  {
    ...old,
    name: 'show-state',
    aliases: ['mars-state'],
    usage: 'RES',
    about: 'Prints the state of a resource in one word or two.',
    examples: ['show-state r1'],
    resource: 'resource, default all',
    phases: onePhase(showState),
  },
  {
    ...old,
    name: 'show',
    usage: '[RES | all]',
    about: 'Prints the links of this host that belong to a resource: PATH=VALUE.',
    examples: ['show all'],
    resource: 'resource, default all',
    phases: onePhase(show),
  },
  {
    ...old,
    name: 'show-errors',
    usage: 'RES',
    about: 'Prints errors and warnings that the daemon has reported; fails if there are any.',
    examples: ['show-errors r1'],
    resource: 'resource, default all',
    phases: onePhase(showErrors),
  },
  {
    ...old,
    name: 'show-info',
    aliases: ['mars-info'],
    usage: 'RES',
    about: 'Prints all messages that the daemon has reported.',
    examples: ['show-info r1'],
    resource: 'resource, default all',
    phases: onePhase(showInfo),
  },
];

function showInfo(job: Job): void {
  const lines = (statusFile(job) ?? '').split('\n').filter((line) => line !== '');
  for (const line of lines) job.out.data(readable(line));
  job.session.result = { lines: lines.length };
}

function role(job: Job): void {
  const { snapshot, resource, out, session } = job;
  const host = job.args[0] ?? job.host;
  const actually = snapshot.isLit(resource, host, 'is-primary') ? 'primary' : 'secondary';
  const designated = snapshot.value(paths.primary(resource)) ?? NONE;
  out.data(`I am actually ${actually}${designated === host ? '' : ` and ${designated} should be primary`}`);
  session.result = { actually, designated };
}

function showState(job: Job): void {
  const text = stateText(job);
  job.out.data(text);
  job.session.result = { state: text };
}

function stateText(job: Job): string {
  const { snapshot, resource, host } = job;
  if (snapshot.isLit(resource, host, 'is-primary')) return 'is_primary';
  if (snapshot.primary(resource) === host) return 'becoming_primary';
  const size = numberAt(job, paths.size(resource)) ?? 0;
  const synced = numberAt(job, paths.syncStatus(resource, host)) ?? 0;
  if (synced < size) return `secondary inconsistent (${synced} bytes of ${size})`;
  const primary = snapshot.primary(resource);
  if (primary === null) return 'secondary';
  const own = snapshot.read(paths.replay(resource, host), REPLAY);
  const theirs = snapshot.read(paths.replay(resource, primary), REPLAY);
  const { replayPos, fetchSize } = logAmounts(snapshot, resource, host);
  const isUpToDate = own !== null && theirs !== null && compareReplay(own, theirs) >= 0 && replayPos >= fetchSize;
  if (isUpToDate) return 'secondary uptodate';
  const text = (of: string): string => snapshot.value(paths.replay(resource, of)) ?? '';
  return `secondary outdated (${text(host)} instead of ${text(primary)})`;
}

/** PATH is relative to `/mars`. The init script of the original looks for `actual-HOST/is-primary=1`. */
function show({ snapshot, resource, host, out, session }: Job): void {
  const dir = paths.resource(resource);
  const single = ['device', 'syncstatus', 'replay', 'actsize'].map((name) => `${dir}/${name}-${host}`);
  const inside = ['actual', 'todo'].flatMap((name) =>
    snapshot.list(`${dir}/${name}-${host}`).map((link) => `${dir}/${name}-${host}/${link}`),
  );
  const all = [paths.ip(host), `${dir}/primary`, `${dir}/size`, ...single, ...inside];
  const links = all.flatMap((path) => {
    const value = snapshot.value(path);
    return value === null ? [] : [{ path, value }];
  });
  for (const { path, value } of links) out.data(`${path}=${value}`);
  session.result = { links };
}

function showErrors(job: Job): void {
  const lines = (statusFile(job) ?? '').split('\n').filter((line) => /error|warn/i.test(line));
  if (lines.length === 0) return job.out.data('no errors/warnings are reported.');
  for (const line of lines) job.out.data(readable(line));
  throw new Dying(`${lines.length} errors/warnings are reported for resource '${job.resource}'`);
}

function statusFile({ tree, resource, host }: Job): string | null {
  return tree.readText(`resource-${resource}/logstatus-${host}.status`);
}
