import { UsageError } from '../exit.js';
import { defaultOptions, takeOption, type Options } from './options.js';
import { identifierList, suggestions } from './names.js';

/** What a command line says before anything is known about the tree. */
export interface CommandLine {
  options: Options;
  /** '' = there was none. */
  command: string;
  /** Resources as given, `['all']`, or null where the command takes none. */
  resources: string[] | null;
  args: string[];
}

/** `--help` and `--version` act at once when they are met, with the options before them. */
export type Parsed =
  | { kind: 'command'; line: CommandLine }
  | { kind: 'help'; options: Options; about: string | null }
  | { kind: 'version'; options: Options };

const HELP = ['--help', '-h'];
const HELP_WORDS = ['help', 'h'];
const VERSION_WORDS = ['version', 'v'];

/**
 * What begins with `-` is an option wherever it stands; everything else is positional, in order, without a leading `force-`.
 * @throws UsageError. Source: marsadm.md 2, 3
 */
export function parseCommandLine(argv: readonly string[]): Parsed {
  const options = defaultOptions();
  const positional: string[] = [];
  for (const argument of argv) {
    if (HELP.includes(argument)) return { kind: 'help', options, about: positional[0] ?? null };
    if (argument === '--version') return { kind: 'version', options };
    if (argument.startsWith('-')) takeOption(options, argument);
    else positional.push(stripForce(argument, options));
  }
  const [command = '', ...rest] = positional;
  if (HELP_WORDS.includes(command)) return { kind: 'help', options, about: rest[0] ?? null };
  if (VERSION_WORDS.includes(command)) return { kind: 'version', options };
  return { kind: 'command', line: { options, command, resources: null, args: rest } };
}

function stripForce(argument: string, options: Options): string {
  if (!argument.startsWith('force-')) return argument;
  options.force++;
  return argument.slice('force-'.length);
}

/** How a command takes its first argument. */
export type ResourceArgument =
  'none' | 'resource' | 'resource or empty' | 'resource, default all' | 'value' | 'peer' | 'identifiers';

/**
 * Takes the resource (or peer, or value) off the arguments, as the table of marsadm.md 3, step 13, says.
 * @throws UsageError when it is missing or no name
 */
export function takeResource(line: CommandLine, rule: ResourceArgument, usage: string): CommandLine {
  const [first, ...args] = line.args;
  switch (rule) {
    case 'none':
      return line;
    case 'value':
      if (first === undefined) throw missing(line.command, 'a value', usage);
      if (!/^[0-9.]+$/.test(first)) throw new UsageError(`'${first}' is no number`, [`usage: marsadm ${usage}`]);
      return line;
    case 'peer':
      if (first === undefined) throw missing(line.command, 'the name of a host', usage);
      return { ...line, args: [identifierList(first, 'host', false)[0]!, ...args] };
    case 'identifiers':
      if (first === undefined) throw missing(line.command, 'a value', usage);
      identifierList(first, 'value', false);
      return line;
    case 'resource or empty':
      return first === undefined ? line : { ...line, resources: identifierList(first, 'resource', true), args };
    case 'resource, default all':
      return { ...line, resources: identifierList(first ?? 'all', 'resource', true), args };
    case 'resource':
      if (first === undefined) throw missing(line.command, 'the name of a resource', usage);
      return { ...line, resources: identifierList(first, 'resource', true), args };
  }
}

function missing(command: string, what: string, usage: string): UsageError {
  return new UsageError(`command '${command}' needs ${what}`, [`usage: marsadm ${usage}`]);
}

export function unknownCommand(command: string, known: readonly string[]): UsageError {
  const near = suggestions(command, known);
  return new UsageError(
    `unknown command '${command}'`,
    near.length > 0 ? [`Did you mean ${near.join(' or ')}?`] : ['marsadm --help lists all commands.'],
  );
}
