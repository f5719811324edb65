import { LOG, type LogName } from '@mars/mars-tree';
import type { LocalLogStep, StopReason } from './local-log.js';

/** What a stop means, and what a person can do about it. `LOG` stands for the name of the log. */
const STOPS: Readonly<Record<StopReason, readonly [what: string, remedy: string]>> = {
  'no-position': [
    'there are logfiles (LOG), but no replay link, so nobody knows what of them is on the disk',
    'Put the replay link back, or move the logs away if the disk is to be taken as it is.',
  ],
  'log-missing': ['LOG is missing, and the disk needs it', 'Put it back from a backup or another member.'],
  'log-too-short': ['LOG is shorter than what was replayed of it', 'Put it back from a backup or another member.'],
  'two-creators': [
    'there are two logs with the number of LOG, by different hosts: split brain',
    'Decide which history is to live, and move the other logs away.',
  ],
  'foreign-log': [
    'LOG was written by another host, which has gone on from here',
    'If this host is to go on alone, move that log away.',
  ],
  hole: ['logs are missing in front of LOG', 'Put them back; without them what is behind them cannot be applied.'],
  damaged: [
    'LOG is damaged: good records stand behind the damage, in bytes that had been durable',
    '"mars-log verify" and "mars-log scan" show it. Put a good copy back, or accept the loss with "force".',
  ],
  lost: [
    'LOG ends in the middle of what the disk may hold parts of, so durable records were lost',
    'Put a good copy of the log back, or accept an inconsistent disk with "force".',
  ],
  gap: [
    'LOG ends in front of what was published as durable, and a later log holds records',
    'Put a good copy of it back. Accepting it with "force" cuts it and goes on with the later logs, so what it lacks is missing in the middle; moving those away first loses them, but keeps the disk as it was at one moment.',
  ],
};

/** A step for people, and for transcripts. */
export function localStepText(step: LocalLogStep): string {
  switch (step.do) {
    case 'begin':
      return `begin with ${LOG.format(step.log)}`;
    case 'look':
      return `look at ${LOG.format(step.log)} from ${step.fromPos} on`;
    case 'replay':
      return `replay ${LOG.format(step.log)} from ${step.fromPos} to ${step.toPos}`;
    case 'cut':
      return `cut ${LOG.format(step.log)} at ${step.atPos} (${step.reason})`;
    case 'create':
      return `create ${LOG.format(step.log)}`;
    case 'switch':
      return `switch from ${LOG.format(step.from)} (${step.lengthBytes} bytes) to ${LOG.format(step.to)}`;
    case 'log':
      return `log into ${LOG.format(step.log)}`;
    case 'stop':
      return `stop: ${stopTexts(step.reason, step.log).what}`;
  }
}

export function stopTexts(reason: StopReason, log: LogName | null): { what: string; remedy: string } {
  const [what, remedy] = STOPS[reason];
  return { what: what.replace('LOG', log === null ? 'a log' : LOG.format(log)), remedy };
}
