import { NONE, UNIT_NAME, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { UsageError } from '../exit.js';
import { identifier } from '../parse/names.js';
import { onePhase, type Command } from './command.js';

/** Links only: units are not generated, started or stopped yet. Source: marsadm.md 13 [OURS] */
const links = ['start', 'stop'].map((kind) => (resource: string) => `resource-${resource}/systemd-${kind}-unit`);
const [startUnit, stopUnit] = links as [(resource: string) => string, (resource: string) => string];
const want = (resource: string): string => `resource-${resource}/systemd-want`;
const notes = ['The links are written and replicated; starting and stopping units comes with a later release.'];

export const systemdCommands: readonly Command[] = [
  {
    name: 'set-systemd-unit',
    usage: 'RES START [STOP]',
    about: 'Which systemd unit belongs to the device of a resource; an empty START deletes it.',
    resource: 'resource',
    since: 'HEAD',
    writes: ['systemd-start-unit, systemd-stop-unit, systemd-want = the designated primary'],
    notes,
    examples: ['set-systemd-unit r1 app.service'],
    phases: onePhase(setUnit),
  },
  {
    name: 'get-systemd-unit',
    usage: 'RES',
    about: 'Prints the units of a resource: START STOP, nothing if there are none.',
    resource: 'resource',
    since: 'HEAD',
    examples: ['get-systemd-unit r1'],
    phases: onePhase(getUnit),
  },
  {
    name: 'set-systemd-want',
    usage: 'RES HOST|(none)',
    about: 'On which host the unit of a resource should run.',
    resource: 'resource',
    since: 'HEAD',
    checks: ['HOST is in the cluster (force)', 'a unit is set (force)'],
    writes: ['systemd-want'],
    notes,
    examples: ['set-systemd-want r1 nodeb'],
    phases: onePhase(setWant),
  },
  {
    name: 'get-systemd-want',
    usage: 'RES',
    about: 'Prints on which host the unit of a resource should run: a host, (none), or an empty line.',
    resource: 'resource',
    since: 'HEAD',
    examples: ['get-systemd-want r1'],
    phases: onePhase(({ snapshot, resource, out, session }) => {
      const value = snapshot.value(want(resource)) ?? '';
      out.data(value);
      session.result = { want: value };
    }),
  },
  {
    name: 'systemd-trigger',
    usage: '[RES]',
    about: 'Does nothing yet: there are no units to look after.',
    resource: 'resource or empty',
    since: 'HEAD',
    examples: ['systemd-trigger'],
    requires: 'nothing',
    phases: onePhase(() => {}),
  },
];

function setUnit({ args: [start = '', stop = start], tree, snapshot, resource }: Job): void {
  if (start === '') {
    for (const path of [startUnit(resource), stopUnit(resource), want(resource)]) tree.delete(path);
    return;
  }
  for (const unit of [start, stop])
    if (!UNIT_NAME.pattern.test(unit)) throw new UsageError(`'${unit}' is no name of a unit`);
  tree.set(startUnit(resource), start);
  tree.set(stopUnit(resource), stop);
  tree.set(want(resource), snapshot.primary(resource) ?? NONE);
}

function getUnit({ snapshot, resource, out, session }: Job): void {
  const start = snapshot.value(startUnit(resource));
  const stop = snapshot.value(stopUnit(resource));
  session.result = { start, stop };
  if (start !== null) out.data(`${start} ${stop ?? start}`);
}

function setWant(job: Job): void {
  const { args, tree, snapshot, resource } = job;
  const [host] = args;
  if (host === undefined) throw new UsageError("set-systemd-want needs a host, or '(none)'");
  if (host !== NONE && snapshot.value(paths.ip(identifier(host, 'host'))) === null) {
    job.refuseUnlessForced(`host '${host}' is not in the cluster`);
  }
  if (snapshot.value(startUnit(resource)) === null) {
    job.refuseUnlessForced(`no unit of resource '${resource}' is set`, `marsadm set-systemd-unit ${resource} UNIT`);
  }
  tree.set(want(resource), host);
}
