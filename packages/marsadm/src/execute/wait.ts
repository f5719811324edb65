import { BOOL, NONE, paths } from '@mars/mars-tree';
import { Dying, TimedOut } from '../exit.js';
import { LOOK_MS, SAY_MS } from '../limits.js';
import { canonical } from '../tree/tree.js';
import type { Job } from './job.js';

/** Names of leds that commands and scripts use → the link. Source: marsadm.md 6.2 */
const LEDS: readonly [RegExp, string][] = [
  [/^(is-)?attach/, 'is-attached'],
  [/^(is-)?(fetch|copy)/, 'is-copying'],
  [/^(is-)?(replay|apply)/, 'is-replaying'],
  [/^(is-)?sync/, 'is-syncing'],
  [/^(is-)?(primary|secondary)/, 'is-primary'],
];

/** The link behind the name of a led; null = there is none. */
export function ledName(name: string): string | null {
  return LEDS.find(([pattern]) => pattern.test(name))?.[1] ?? null;
}

/** The link behind the name of a button. Source: marsadm.md 5.2 */
export function buttonName(name: string): string {
  if (name === 'fetch') return 'connect';
  return name === 'replay' || name === 'apply' ? 'allow-replay' : name;
}

interface Wait {
  /** True when there is nothing left to wait for. */
  reached(): boolean;
  /** Line per second while waiting; `left` are seconds. */
  line(left: number): string;
  /** The line is a warning. */
  isWarning?: boolean;
  done(): string;
  /** Directories and links that may bring it. */
  look: readonly string[];
  /** Text of `DYING:` after a timeout. */
  timeout: string;
  hints?: readonly string[];
}

/** Looks ten times a second, says so once a second. @throws TimedOut */
async function waitFor(job: Job, wait: Wait): Promise<void> {
  const { session, out, tree } = job;
  tree.look(...wait.look);
  if (session.dryRun) {
    if (!wait.reached()) out.say(`DRY_RUN: would wait: ${wait.line(session.budget.leftSeconds)}`);
    return;
  }
  for (let sinceSaidMs = SAY_MS; !wait.reached(); sinceSaidMs += LOOK_MS) {
    if (sinceSaidMs >= SAY_MS) {
      const line = wait.line(session.budget.leftSeconds);
      if (wait.isWarning) out.warn(line);
      else out.say(line);
      sinceSaidMs = 0;
    }
    if (!(await session.budget.sleep(LOOK_MS))) throw new TimedOut(wait.timeout, wait.hints ?? []);
    tree.look(...wait.look);
  }
  out.say(wait.done());
}

/** Until `actual-P/KEY` has a value. @throws TimedOut. Source: marsadm.md 6.2 */
export async function waitLed(job: Job, key: string, wanted: boolean, host: string = job.host): Promise<void> {
  const path = paths.actual(job.resource, host, key);
  const value = BOOL.format(wanted);
  await waitFor(job, {
    reached: () => job.snapshot.isLit(job.resource, host, key) === wanted,
    line: (left) => `at ${host}: waiting ${left} until actual '${key}' == '${value}'...`,
    done: () => `OK at ${host}: '${canonical(path)}' has acceptable value '${value}'`,
    look: [path],
    timeout: 'Timeout',
  });
}

/** Until `todo-H/KEY` has a value; `primary` and `secondary` are the designation. Source: marsadm.md 6.2 */
export async function waitButton(job: Job, key: string, wanted: boolean): Promise<void> {
  const button = buttonName(key);
  const isRole = button === 'primary' || button === 'secondary';
  const path = isRole ? paths.primary(job.resource) : paths.todo(job.resource, job.host, button);
  const value = BOOL.format(wanted);
  await waitFor(job, {
    reached: () => isPressed(job, button) === wanted,
    line: (left) => `waiting ${left} until switch '${button}' == '${value}'....`,
    done: () => `OK, '${canonical(path)}' has acceptable value '${job.snapshot.value(path) ?? '0'}'`,
    look: [path],
    timeout: 'Timeout reached.',
  });
}

/** A button, or whether this host (`primary`) or nobody (`secondary`) is designated. */
function isPressed({ snapshot, resource, host }: Job, button: string): boolean {
  const designated = snapshot.primary(resource);
  if (button === 'primary') return designated === host;
  if (button === 'secondary') return designated === null;
  return snapshot.read(paths.todo(resource, host, button), BOOL) ?? false;
}

export function deviceOf(job: Job): string {
  const name = job.snapshot.value(paths.device(job.resource, job.host));
  return `/dev/mars/${name === null || name === NONE ? job.resource : name}`;
}

/** Until the device is there, or gone. @throws TimedOut, Dying when it cannot come. Source: marsadm.md 6.3 */
export async function waitDevice(job: Job, wanted: boolean): Promise<void> {
  const device = deviceOf(job);
  const path = paths.actual(job.resource, job.host, 'if-on');
  await waitFor(job, {
    reached: () => {
      const isThere = job.snapshot.isLit(job.resource, job.host, 'if-on');
      if (wanted && !isThere) checkDeviceCanCome(job);
      return isThere === wanted;
    },
    line: () => `device '${device}' ${wanted ? 'not yet present' : 'has not yet disappeared'}`,
    isWarning: !wanted,
    done: () => `device '${device}' is ${wanted ? 'present' : 'no longer present'}`,
    look: [path, paths.primary(job.resource)],
    timeout: 'Timeout reached.',
    hints: wanted ? [] : [`Somebody may still use it: "fuser -vm ${device}", "marsadm view ${job.resource}".`],
  });
}

function checkDeviceCanCome(job: Job): void {
  if (job.session.dryRun) return;
  if (job.snapshot.primary(job.resource) !== job.host) {
    throw new Dying(`device '${deviceOf(job)}' cannot appear: '${job.host}' is not designated primary`);
  }
  const status = job.session.tree.readText(`resource-${job.resource}/logstatus-${job.host}.status`) ?? '';
  const bad = status.split('\n').find((line) => /error/i.test(line));
  if (bad !== undefined) throw new Dying(`device '${deviceOf(job)}' cannot appear: ${bad}`);
}

/** Openers of the device on a host, as far as known here. */
export function openCount(job: Job, host: string): number {
  return Number.parseInt(job.snapshot.value(paths.actual(job.resource, host, 'open-count')) ?? '0', 10) || 0;
}

/** Until nobody on this host has the device open. Source: marsadm.md 10, wait-umount */
export async function waitUmount(job: Job): Promise<void> {
  const { resource, host } = job;
  await waitFor(job, {
    reached: () => openCount(job, host) === 0,
    line: () => `device for resource '${resource}' is ${openCount(job, host)} times in use on ${host}`,
    done: () => `OK, device for resource '${resource}' is not in use.`,
    look: [paths.actual(resource, host, 'open-count')],
    timeout: 'Timeout reached.',
  });
}

/** Before a command that works without waiting: refuses when a led is not as it must be. Source: marsadm.md 6.2 */
export function ensureLed(job: Job, name: string, key: string, wanted: boolean): void {
  job.out.say(`at ${job.host}: ensuring that actual '${key}' == '${BOOL.format(wanted)}'`);
  if (job.snapshot.isLit(job.resource, job.host, key) === wanted) return;
  const state = wanted ? 'on' : 'off';
  job.refuse(`Cannot execute ${job.command} on resource ${job.resource}: actual '${name}' must be ${state}.`);
}

export function ensureButton(job: Job, name: string, wanted: boolean): void {
  const button = buttonName(name);
  const value = job.snapshot.value(paths.todo(job.resource, job.host, button)) ?? '0';
  job.out.say(`ensuring that switch '${button}' == '${BOOL.format(wanted)}'`);
  if ((BOOL.read(value) ?? false) === wanted) return;
  job.refuse(
    `Cannot execute ${job.command} on resource ${job.resource}: todo-switch '${name}' must be ${wanted ? 'on' : 'off'}, ` +
      `but actually has value '${value}'.`,
    `marsadm ${buttonCommand(name, wanted)} ${job.resource}`,
  );
}

function buttonCommand(name: string, wanted: boolean): string {
  if (name === 'attach') return wanted ? 'attach' : 'detach';
  return `${wanted ? 'resume' : 'pause'}-${name}`;
}
