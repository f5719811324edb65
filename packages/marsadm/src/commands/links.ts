import { keyOfPath, requireUserspace } from '../checks/tree-path.js';
import type { Job } from '../execute/job.js';
import { UsageError } from '../exit.js';
import { identifier } from '../parse/names.js';
import { canonical } from '../tree/tree.js';
import { onePhase, type Command } from './command.js';

export const setLink: Command = {
  name: 'set-link',
  usage: 'VALUE PATH [VALUE PATH…]',
  about: 'Writes links of the administrator, which reach all hosts.',
  resource: 'identifiers',
  since: '0.9',
  helpLevel: 1,
  checks: ['PATH is absolute and its directory exists', 'PATH contains /userspace/ (force)', 'VALUE is a plain name'],
  writes: ['PATH -> VALUE, all with one stamp'],
  examples: ['set-link on /mars/userspace/flag'],
  phases: onePhase(runSet),
};

export const getLink: Command = {
  name: 'get-link',
  usage: 'PATH',
  about: 'Prints the value of a link.',
  resource: 'none',
  since: '0.1-36',
  helpLevel: 1,
  checks: ['PATH is a link and not deleted'],
  examples: ['get-link /mars/userspace/flag'],
  needsUuid: false,
  phases: onePhase(runGet),
};

export const deleteFile: Command = {
  name: 'delete-file',
  usage: 'PATH…',
  about: 'Deletes links of the administrator on all hosts.',
  resource: 'none',
  since: '0.9',
  helpLevel: 1,
  checks: ['PATH is absolute and its directory exists', 'PATH contains /userspace/ (force)'],
  writes: ['PATH -> .deleted, which becomes invisible at once and disappears when all hosts have seen it'],
  examples: ['delete-file /mars/userspace/flag'],
  phases: onePhase(runDelete),
};

function runSet({ session, tree, args }: Job): void {
  if (args.length < 2 || args.length % 2 !== 0) {
    throw new UsageError('set-link needs pairs of a value and a path', [`usage: marsadm set-link ${setLink.usage}`]);
  }
  for (let i = 0; i < args.length; i += 2) {
    const value = identifier(args[i]!, 'value');
    const key = keyOfPath(session, args[i + 1]!);
    requireUserspace(session, key);
    tree.set(key, value);
  }
}

function runGet(job: Job): void {
  const { session, snapshot, out, args } = job;
  const [path] = args;
  if (path === undefined) throw new UsageError('get-link needs a path', [`usage: marsadm get-link ${getLink.usage}`]);
  const key = keyOfPath(session, path);
  const value = snapshot.value(key);
  if (value === null) job.refuse(`link '${canonical(key)}' does not exist`);
  out.data(value);
  session.result = { path: canonical(key), value };
}

function runDelete({ session, tree, out, args }: Job): void {
  if (args.length === 0)
    throw new UsageError('delete-file needs a path', [`usage: marsadm delete-file ${deleteFile.usage}`]);
  for (const path of args) {
    const key = keyOfPath(session, path);
    requireUserspace(session, key);
    if (!tree.delete(key)) out.warn(`'${canonical(key)}' does not exist`);
  }
}
