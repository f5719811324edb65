import { hostsWithButtons, requireSyncSource, setButton } from '../checks/switches.js';
import type { Job } from '../execute/job.js';
import { onePhase, type Command } from './command.js';

/** A switch that two commands press and release, without waiting. Source: marsadm.md 9 */
interface Button {
  /** Link below `todo-HOST/`. */
  name: 'sync' | 'connect' | 'allow-replay';
  on: string;
  off: string;
  since: string;
  what: string;
}

const BUTTONS: readonly Button[] = [
  { name: 'sync', on: 'resume-sync', off: 'pause-sync', since: '0.9', what: 'the initial or a later full sync' },
  { name: 'connect', on: 'resume-fetch', off: 'pause-fetch', since: '0.1-36', what: 'fetching logs from other hosts' },
  { name: 'connect', on: 'connect', off: 'disconnect', since: '0.9', what: 'fetching logs from other hosts' },
  {
    name: 'allow-replay',
    on: 'resume-replay',
    off: 'pause-replay',
    since: '0.9',
    what: 'replaying fetched logs to the disk',
  },
];

/** 24 commands: each button on and off, here (with and without `-local`) and everywhere. */
export const buttonCommands: readonly Command[] = BUTTONS.flatMap((button) => [
  buttonCommand(button, false, false),
  buttonCommand(button, true, false),
  buttonCommand(button, false, true),
  buttonCommand(button, true, true),
]);

function buttonCommand(button: Button, isOn: boolean, isGlobal: boolean): Command {
  const plain = isOn ? button.on : button.off;
  const name = isGlobal ? `${plain}-global` : plain;
  const needsSource = button.name === 'sync' && isOn;
  return {
    name,
    ...(isGlobal ? {} : { aliases: [`${plain}-local`] }),
    usage: 'RES',
    about: `${isOn ? 'Permits' : 'Stops'} ${button.what}${isGlobal ? ', on all hosts' : ''}.`,
    resource: 'resource',
    isNarrow: true,
    since: button.since,
    checks: needsSource ? ['a primary is designated and not in emergency mode (K)'] : [],
    writes: [`todo-${isGlobal ? '*' : 'HOST'}/${button.name} = ${isOn ? 1 : 0}`],
    waits: ['nothing; also works while the daemon does not run'],
    examples: [`${name} ${isGlobal ? 'mydata' : 'all'}`],
    phases: onePhase((job) => press(job, button, isOn, isGlobal)),
  };
}

function press(job: Job, { name }: Button, isOn: boolean, isGlobal: boolean): void {
  const hosts = isGlobal ? hostsWithButtons(job) : [job.host];
  for (const host of hosts) {
    if (name === 'sync' && isOn) requireSyncSource(job, host);
    setButton(job, name, isOn, host);
  }
}
