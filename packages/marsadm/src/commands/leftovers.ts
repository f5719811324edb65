import type { Job } from '../execute/job.js';
import { onePhase, type Command } from './command.js';

/** Names that scripts for DRBD, or of long ago, still use. Source: marsadm.md 14 */
const IGNORED = ['syncer', 'adjust', 'outdate', 'check-resize', 'get-gi', 'show-gi', 'hidden-commands'];
const SENSELESS = ['create-md', 'dump-md', 'dump', 'new-current-uuid'];
const WRONG = ['verify', 'invalidate-remote'];
const MISSING = ['cstate', 'dstate', 'status'];

const common = { usage: 'RES', resource: 'resource', since: '0.9', helpLevel: 4, requires: 'nothing' } as const;

export const leftoverCommands: readonly Command[] = [
  ...IGNORED.map((name) =>
    leftover(name, 'Is ignored.', ({ out, resource }) =>
      out.say(`ignoring command '${name}' on resource '${resource}'`),
    ),
  ),
  ...SENSELESS.map((name) =>
    leftover(name, 'Is ignored: it makes no sense with MARS.', ({ out, resource }) =>
      out.say(`command '${name}' makes no sense with MARS (ignoring on resource '${resource}')`),
    ),
  ),
  ...WRONG.map((name) =>
    leftover(name, 'Is refused: it cannot be used with MARS.', (job) =>
      job.refuse(
        `command '${name}' on resource '${job.resource}' cannot be used with MARS (it would act on another host)`,
        `On the host with the bad copy: marsadm invalidate ${job.resource}`,
      ),
    ),
  ),
  ...MISSING.map((name) =>
    leftover(name, 'Fails: see "view".', (job) =>
      job.refuse(`command '${name}' is not yet implemented`, `marsadm view ${job.resource}`),
    ),
  ),
];

function leftover(name: string, about: string, run: (job: Job) => void): Command {
  return { ...common, name, about, examples: [`${name} r1`], phases: onePhase(run) };
}
