import { errnoText } from '../errno-text.js';
import type { Job } from '../execute/job.js';
import { UsageError } from '../exit.js';
import { readText } from '../world.js';
import { onePhase, type Command } from './command.js';

export const cat: Command = {
  name: 'cat',
  usage: 'PATH…',
  about: 'Prints files, with stamps as local time and error numbers as text.',
  resource: 'none',
  since: '0.9',
  notes: ['Files that are not there are skipped without a word.'],
  examples: ['cat /mars/5.total.log'],
  needsRoot: false,
  needsUuid: false,
  needsTree: false,
  phases: onePhase(run),
};

function run({ session, out, args }: Job): void {
  if (args.length === 0) throw new UsageError('cat needs a path', [`usage: marsadm cat ${cat.usage}`]);
  const { mars } = session.places;
  const texts: string[] = [];
  for (const path of args) {
    const onDisk = path.startsWith('/mars/') ? `${mars}/${path.slice('/mars/'.length)}` : path;
    const contents = readText(session.world.files, onDisk);
    if (contents === null) continue;
    texts.push(contents);
    for (const line of contents.replace(/\n$/, '').split('\n')) out.data(readable(line));
  }
  session.result = { files: texts.length };
}

/** Source: marsadm.md 14, cat */
export function readable(line: string): string {
  return line
    .replace(/\b(\d{9,})\.(\d{9})\b/g, (_, seconds: string, ns: string) => `${localTime(Number(seconds))}.${ns}`)
    .replace(
      /\b(error|status)(\s*=\s*|\s+)-(\d+)/g,
      (_, word: string, between: string, errno: string) => `${word}${between}-${errnoText(Number(errno))}`,
    );
}

const LOCAL = new Intl.DateTimeFormat('en-CA', {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

/** `2023-11-14 22:11:40`, in the time zone of this host. */
export function localTime(seconds: number): string {
  const parts = new Map(LOCAL.formatToParts(seconds * 1000).map(({ type, value }) => [type, value]));
  const of = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type)!;
  return `${of('year')}-${of('month')}-${of('day')} ${of('hour')}:${of('minute')}:${of('second')}`;
}
