import { INT, MASK, paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { Dying, UsageError } from '../exit.js';
import { FEATURE_BITS } from '../facts/features.js';
import { identifierList } from '../parse/names.js';
import { canonical } from '../tree/tree.js';
import { onePhase, type Command } from './command.js';

/** Settings that are one link each. Source: marsadm.md 12 */
const setSyncLimit: Command = {
  name: 'set-global-sync-limit-value',
  usage: 'N',
  about: 'How many syncs this host runs at a time; 0 = all.',
  resource: 'none',
  since: 'HEAD',
  checks: ['N is a number'],
  writes: ['defaults-HOST/sync-limit'],
  examples: ['set-global-sync-limit-value 2'],
  phases: onePhase(runSetSyncLimit),
};

const getSyncLimit: Command = {
  name: 'get-global-sync-limit-value',
  usage: '',
  about: 'Prints how many syncs this host runs at a time; 0 = all.',
  resource: 'none',
  since: 'HEAD',
  examples: ['get-global-sync-limit-value'],
  phases: onePhase(runGetSyncLimit),
};

const oldName = { since: '0.1-36', helpLevel: 3, notes: ['Deprecated; the new name has -global- in it.'] } as const;

const setEmergencyLimit: Command = {
  name: 'set-emergency-limit',
  isNarrow: true,
  aliases: ['emergency-limit'],
  usage: 'RES PERCENT',
  about: 'Stops the replication of a resource when less than this share of /mars is free; 0 = never for this reason.',
  resource: 'resource',
  since: '0.1-36',
  checks: ['PERCENT is from 0 to 100'],
  writes: ['todo-HOST/emergency-limit'],
  examples: ['set-emergency-limit mydata 20'],
  phases: onePhase(runSetEmergencyLimit),
};

const getEmergencyLimit: Command = {
  name: 'get-emergency-limit',
  isNarrow: true,
  usage: 'RES',
  about: 'Prints the emergency limit of a resource, percent.',
  resource: 'resource',
  since: '0.1-36',
  checks: ['it is set'],
  examples: ['get-emergency-limit mydata'],
  phases: onePhase(runGetEmergencyLimit),
};

const setPrefList: Command = {
  name: 'set-connect-pref-list',
  usage: 'RES [HOST,HOST…]',
  about: 'From which peers this host prefers to fetch; an empty list deletes it. Deprecated.',
  resource: 'resource',
  since: '0.1-36',
  helpLevel: 2,
  checks: ['each host is in the cluster'],
  writes: ['connect-HOST'],
  examples: ['set-connect-pref-list r1 nodeb,nodea'],
  requires: 'nothing',
  phases: onePhase(runSetPrefList),
};

const getPrefList: Command = {
  name: 'get-connect-pref-list',
  usage: 'RES',
  about: 'Prints from which peers this host prefers to fetch.',
  resource: 'resource',
  since: '0.1-36',
  helpLevel: 2,
  examples: ['get-connect-pref-list r1'],
  requires: 'nothing',
  phases: onePhase(({ snapshot, resource, host, out, session }) => {
    const value = snapshot.value(`resource-${resource}/connect-${host}`) ?? '';
    if (value !== '') out.data(value);
    session.result = { hosts: value === '' ? [] : value.split(',') };
  }),
};

const masks: readonly Command[] = [
  maskCommand('enabled-log-compressions', 'Which compressions logs may use', 'COMPRESS_LZ4'),
  maskCommand('enabled-net-compressions', 'Which compressions connections may use', "'COMPRESS_LZ4|COMPRESS_LZO'"),
  maskCommand('disabled-log-digests', 'Which digests logs must not use', 'CHKSUM_SHA1'),
  maskCommand('disabled-net-digests', 'Which digests connections must not use', 'CHKSUM_SHA1'),
];

function maskCommand(key: string, about: string, example: string): Command {
  return {
    name: `set-global-${key}`,
    usage: 'NAME|NAME…',
    about: `${about}, on all hosts; an empty text deletes the setting.`,
    resource: 'none',
    since: 'HEAD',
    writes: [`defaults/${key}`],
    notes: [
      `Names: ${Object.keys(FEATURE_BITS)
        .filter((name) => !key.includes('digests') || name.startsWith('CHKSUM'))
        .join(', ')}; or a number.`,
    ],
    examples: [`set-global-${key} ${example}`],
    phases: onePhase((job) => runSetMask(job, key)),
  };
}

export const valueCommands: readonly Command[] = [
  setSyncLimit,
  getSyncLimit,
  {
    ...setSyncLimit,
    ...oldName,
    name: 'set-sync-limit-value',
    examples: ['set-sync-limit-value 2'],
    resource: 'none',
    phases: onePhase(deprecated(runSetSyncLimit)),
  },
  {
    ...getSyncLimit,
    ...oldName,
    name: 'get-sync-limit-value',
    examples: ['get-sync-limit-value'],
    phases: onePhase(deprecated(runGetSyncLimit)),
  },
  setEmergencyLimit,
  getEmergencyLimit,
  setPrefList,
  getPrefList,
  ...masks,
];

function deprecated(run: (job: Job) => void): (job: Job) => void {
  return (job) => {
    job.out.warn(`command '${job.command}' is deprecated`);
    run(job);
  };
}

function runSetSyncLimit({ args: [text], tree, host }: Job): void {
  if (text === undefined || INT.read(text) === null || !/^\d+$/.test(text))
    throw new UsageError(`'${text ?? ''}' is no number`);
  tree.set(paths.hostSetting(host, 'sync-limit'), String(Number(text)));
}

function runGetSyncLimit({ snapshot, host, out, session }: Job): void {
  const value = snapshot.read(paths.hostSetting(host, 'sync-limit'), INT) ?? 0;
  out.data(String(value));
  session.result = { value };
}

function runSetEmergencyLimit({ args: [text], tree, resource, host }: Job): void {
  const percent = /^\d{1,3}$/.test(text ?? '') ? Number(text) : -1;
  if (percent < 0 || percent > 100) throw new UsageError(`'${text ?? ''}' is no percentage from 0 to 100`);
  tree.set(paths.todo(resource, host, 'emergency-limit'), String(percent));
}

function runGetEmergencyLimit(job: Job): void {
  const { snapshot, resource, host, out, session } = job;
  const value = snapshot.value(paths.todo(resource, host, 'emergency-limit'));
  if (value === null) throw new Dying(`the emergency limit of resource '${resource}' is not set`, ['It counts as 0.']);
  out.data(value);
  session.result = { value: Number(value) };
}

function runSetPrefList(job: Job): void {
  const {
    args: [text = ''],
    tree,
    snapshot,
    resource,
    host,
    out,
  } = job;
  out.warn(`command '${job.command}' is deprecated`);
  const path = `resource-${resource}/connect-${host}`;
  if (text === '') return void tree.delete(path);
  for (const peer of identifierList(text, 'host', false)) {
    if (snapshot.value(paths.ip(peer)) === null) job.refuse(`host '${peer}' is not in the cluster`);
  }
  tree.set(path, text);
}

function runSetMask({ args: [text = ''], tree, out }: Job, key: string): void {
  const path = paths.setting(key);
  if (text === '') {
    tree.delete(path);
    return out.say(`Delete '${canonical(path)}'`);
  }
  const mask = MASK.format(text.split('|').reduce((bits, name) => bits | bitOf(name, key), 0));
  tree.set(path, mask);
  out.say(`Set '${canonical(path)}' to '${mask}'`);
}

function bitOf(name: string, key: string): number {
  if (/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(name)) return Number(name);
  const bit = FEATURE_BITS[name];
  const fits = bit !== undefined && (!key.includes('digests') || name.startsWith('CHKSUM'));
  if (fits) return bit;
  throw new UsageError(`'${name}' is no feature that fits here`, [`Known: ${Object.keys(FEATURE_BITS).join(', ')}.`]);
}
