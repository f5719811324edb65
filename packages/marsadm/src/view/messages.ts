import { MESSAGE, paths } from '@mars/mars-tree';
import { localTime, readable } from '../commands/cat.js';
import type { Job } from '../execute/job.js';

/** `KEY: TEXT` lines of what a daemon has to say. Source: macros.md 4.6, `the-pretty-…-msg` */
export function messagesIn({ snapshot }: Job, dir: string, kind: 'err' | 'wrn' | 'inf' | ''): string[] {
  return snapshot
    .list(dir)
    .filter((name) => name.startsWith(`msg-${kind}`))
    .flatMap((name) => {
      const value = snapshot.value(`${dir}/${name}`);
      return value === null || value.startsWith('OK') ? [] : [`${name.slice('msg-'.length)}: ${pretty(value)}`];
    });
}

/** Two stamps in front say when, by the clock of the wall and of Lamport; people want the first. */
function pretty(value: string): string {
  const message = MESSAGE.read(value);
  const match = /^(\d+)\.\d{9} \d+\.\d{9} (.*)$/.exec(value);
  if (message === null || match === null) return readable(value);
  return `${localTime(Number(match[1]))} ${readable(match[2]!)}`;
}

/** Blocks of `resource-errors`. Source: macros.md 5.2 */
export function resourceErrors(job: Job): string[] {
  const { resource, host, out } = job;
  const dir = `${paths.resource(resource)}/actual-${host}`;
  const links = (title: string, kind: 'err' | 'wrn' | 'inf'): string[] => {
    const lines = messagesIn(job, dir, kind);
    return lines.length === 0 ? [] : [`${title} LNK  (${lines.length}):`, ...lines];
  };
  return [
    ...fileBlock(job, 'FATALS  ', '4.fatal'),
    ...fileBlock(job, 'ERRORS  ', '3.error'),
    ...links('ERRORS  ', 'err'),
    ...links('WARNINGS', 'wrn'),
    ...(out.verbose > 0 ? fileBlock(job, 'WARNINGS', '2.warn') : []),
    ...(out.verbose > 1 ? links('INFOS   ', 'inf') : []),
    ...(out.verbose > 1 ? statusBlock(job) : []),
  ];
}

function fileBlock(job: Job, title: string, name: string): string[] {
  const lines = linesOf(job, `${name}.status`);
  if (lines.length === 0) return [];
  const head = `${title} FILE (${lines.length}):`;
  return job.out.verbose > 0 ? [head, ...lines] : [`${head} available with --verbose`];
}

function statusBlock(job: Job): string[] {
  const lines = linesOf(job, `logstatus-${job.host}.status`);
  return lines.length === 0 ? [] : ['STATUS   FILE:', ...lines];
}

function linesOf({ tree, resource }: Job, name: string): string[] {
  const text = tree.readText(`${paths.resource(resource)}/${name}`) ?? '';
  return text.split('\n').filter((line) => line !== '');
}
