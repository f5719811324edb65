import { paths } from '@mars/mars-tree';
import { checkExistence } from '../checks/resource.js';
import type { Job } from '../execute/job.js';
import { reportFailure } from '../execute/phases.js';
import { ping } from '../execute/ping.js';
import { Dying } from '../exit.js';
import { reportSplitBrain } from '../facts/split-brain.js';
import { WATCH_MS } from '../limits.js';
import { compareNaturally, suggestions } from '../parse/names.js';
import { isMountPoint } from '../start/tree-checks.js';
import { MACROS, type Macro } from '../view/macros.js';
import { resourceState, defaultResource, diskState, flags, replState, role } from '../view/state.js';
import { onePhase, type Command } from './command.js';

export const view: Command = {
  name: 'view',
  usage: '[RES | all]',
  about: 'Shows the state of resources: disk, replication, role, progress, and what is wrong.',
  resource: 'resource or empty',
  since: '0.1-36',
  waits: ['nothing; --watch shows it again every second'],
  notes: [
    'view-NAME prints one fact: view-role, view-diskstate, view-is-primary, view-sync-rest … A fact is one line on stdout, everything else goes to stderr.',
    'The macro language (--macro, *.tpl) comes with a later release.',
  ],
  examples: ['view all', 'view mydata', 'view-role all', 'view mydata --json'],
  needsRoot: false,
  needsUuid: false,
  requires: 'nothing',
  isNarrow: true,
  phases: onePhase(runView),
};

/** `view`, `view-NAME` and `viewNAME`; null = another command. Source: macros.md 1 */
export function viewCommand(name: string): Command | null {
  if (!name.startsWith('view')) return null;
  if (name === 'view') return view;
  // These facts are about all resources, whatever resource is named.
  return { ...view, name, isNarrow: !/peers|resources|members|guests/.test(name) };
}

async function runView(job: Job): Promise<void> {
  const { session } = job;
  warnOfSurroundings(job);
  const name = macroName(job.command);
  const macro = findMacro(job, name);
  do {
    if (session.options.watch) session.out.raw('\u001b[2J\u001b[H');
    await printOnce(job, name, macro);
    if (!session.options.watch) return;
    await session.sleep(WATCH_MS);
    session.tree.lookAtAll();
  } while (session.options.watch);
}

function macroName(command: string): string {
  return command.replace(/^view-?/, '') || 'default';
}

function findMacro({ session }: Job, name: string): Macro {
  if (session.options.macro !== null) {
    throw new Dying('the macro language is not available yet', ['view-NAME prints single facts: marsadm view --help']);
  }
  const macro = MACROS.get(name);
  if (macro !== undefined) return macro;
  const near = suggestions(name, [...MACROS.keys()]).map((found) => `view-${found}`);
  throw new Dying(`cannot find macro '${name}'`, near.length > 0 ? [`Did you mean ${near.join(' or ')}?`] : []);
}

/** One resource, a list, all, or none. Source: macros.md 1 */
async function printOnce(job: Job, name: string, macro: Macro): Promise<void> {
  const { session, args, out } = job;
  const given = job.notes.get('resources') as readonly string[];
  const isLayout = name === 'default' || name === '1and1';
  const isAll = given[0] === 'all' || (given.length === 0 && isLayout);
  const names = isAll ? resourcesOf(job) : given;
  const argument = args[0];
  if (isAll && MACROS.has(`${name}-header`)) print(job, MACROS.get(`${name}-header`)!(job, undefined));
  const results: object[] = [];
  if (given.length === 0 && !isLayout) {
    const text = macro(job, argument);
    print(job, text);
    results.push({ resource: null, text });
  }
  for (const resource of names) {
    out.resource = resource;
    try {
      const found = await checkExistence(job.on(resource), () => ping(session));
      reportSplitBrain(found);
      if (isAll || given.length > 1) out.say(separator(found));
      const text = macro(found, argument);
      print(found, text);
      results.push(isLayout ? { resource: found.resource, ...facts(found) } : { resource: found.resource, text });
    } catch (error) {
      // The others are shown all the same.
      session.fail(reportFailure(session, error));
      out.say(`FAILURE cmd='${job.command}' res='${resource}'`);
      session.failed.set(resource, error instanceof Error ? error.message : String(error));
    }
  }
  out.resource = null;
  if (isAll && MACROS.has(`${name}-global`)) print(job, MACROS.get(`${name}-global`)!(job, undefined));
  session.result = { macro: name, resources: results };
}

/** Those of which this host has a device, in natural order. */
function resourcesOf({ snapshot, host }: Job): string[] {
  return snapshot
    .resources()
    .filter((resource) => snapshot.value(paths.device(resource, host)) !== null)
    .sort(compareNaturally);
}

/** An empty result prints nothing. */
function print({ out }: Job, text: string): void {
  if (text === '') return;
  for (const line of text.split('\n')) out.data(line);
}

function separator(job: Job): string {
  const kind = job.snapshot.value(paths.data(job.resource, job.host)) === null ? 'guest' : 'resource';
  return `--------- ${kind} ${defaultResource(job, resourceState(job).sizeBytes)}`;
}

/** For `--json`. */
function facts(job: Job): object {
  const state = resourceState(job);
  const { amounts, todo } = state;
  return {
    disk: state.disk,
    device: state.device,
    isDevicePresent: state.isDevicePresent,
    openCount: state.openCount,
    diskState: diskState(job, state),
    replicationState: replState(job, state),
    flags: flags(state),
    role: role(job, state),
    designatedPrimary: state.primary,
    isConsistent: state.isConsistent,
    switches: todo,
    sizeBytes: state.sizeBytes,
    syncedBytes: state.syncPos,
    replayedBytes: amounts.replayPos,
    fetchedBytes: amounts.fetchPos,
    knownBytes: amounts.fetchSize,
    replayLog: amounts.replayLognr,
    fetchLog: amounts.fetchLognr,
    newestLog: amounts.workLognr,
    members: job.snapshot.members(job.resource),
  };
}

/** What makes everything below it doubtful; on stderr, so that scripts which read one value are not disturbed. */
function warnOfSurroundings({ session, snapshot, out }: Job): void {
  const { places, world } = session;
  if (places.needsMountPoint && !isMountPoint(world, places.mars)) out.warn(`${places.mars} is not a mount point`);
  if (snapshot.value(paths.uuid) === null) out.warn('this host is in no cluster: the link /mars/uuid is missing');
  if (!session.daemon.isLoaded) out.warn('mars kernel module is not loaded');
  if (world.files.stat(`${places.mars}/.trust/insecure`) !== null) {
    out.warn('this cluster works in plain text (--insecure): everybody on its network can read and change everything');
  }
}
