import type { Command } from '../commands/command.js';
import { OPTIONS } from '../parse/options.js';

/** Names that nobody should look for in a table of contents. */
const isShown = ({ name }: Command): boolean => !name.startsWith('view-wait-');

/** The whole of docs/marsadm.md. A test compares the file with it; `MARS_UPDATE_DOCS=1` rewrites the file. */
export function renderReference(commands: readonly Command[]): string {
  return [
    ...intro(),
    ...exitStatus(),
    ...json(),
    ...options(),
    ...overview(commands),
    ...commands.filter(isShown).flatMap(section),
  ]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}

function intro(): string[] {
  return [
    '<!-- Generated from packages/marsadm/src/commands. Change it there; then: MARS_UPDATE_DOCS=1 npx mocha packages/marsadm/dist/docs/render.test.js -->',
    '',
    '# marsadm',
    '',
    'The command line of MARS. It reads and writes the tree of facts (docs/formats/tree.md) and wakes the daemon; it never talks to other hosts itself.',
    '',
    '```',
    'marsadm [OPTION…] COMMAND [RES | RES,RES… | all] [ARG…]',
    'marsadm COMMAND --help',
    '```',
    '',
    '- What begins with `-` is an option, wherever it stands; a value always hangs on `=`. `force-COMMAND` is `--force COMMAND`.',
    '- `all` = every resource of which this host has a disk or a device. With `all` or a list every phase of a command is carried out for all',
    '  resources before the next phase starts: first everything is switched, then everything is waited for. A resource that fails is left',
    '  out of the rest, the others go on.',
    "- Normal texts go to stdout; `WARNING:`, `DYING:` (why a command ends) and `   HINT:` go to stderr; `FAILURE cmd='C' res='R'` on stdout names what failed.",
    '- (L): the check uses facts of this host. (K): it uses what this host knows of others, which may be old. Only commands that wait for answers ask the others.',
    '- Environment: `MARS_DIR` (`/mars`), `MARS_RUN` (`/run/mars`), `MARS_HOST`, `MARS_IP`, `MARS_PORT`, `MARS_NO_MOUNTPOINT_CHECK=1`, `MARS_JOIN_TOKEN`.',
    '',
  ];
}

function exitStatus(): string[] {
  return [
    '## Exit status',
    '',
    '| | |',
    '|---|---|',
    '| 0 | good; also: dead peers while waiting for peers, and `all` that matches nothing |',
    '| 1 | refused or failed, on at least one resource |',
    '| 2 | a condition was not reached within `--timeout`; nothing else failed |',
    '| 64 | the command line makes no sense; nothing was done |',
    '',
  ];
}

function json(): string[] {
  return [
    '## --json',
    '',
    'One object on stdout, whatever happens, and nothing else (except with `--help`, `--version`). `packages/marsadm/schema/marsadm-output.schema.json` is its schema.',
    '',
    '| Key | |',
    '|---|---|',
    '| `marsadm` | version of this form: 1. Keys may be added; none changes its meaning |',
    '| `outcome`, `exitStatus` | `good` 0, `failed` 1, `timeout` 2, `usage` 64 |',
    '| `command`, `arguments`, `host`, `dryRun`, `resources` | what was asked for; tokens are left out |',
    '| `failures` | list of `{resource, reason}`; `resource` is empty for commands without one |',
    '| `result` | what the command found out, in a form of its own; null = nothing. `view`: `{macro, resources: [{resource, …}]}` |',
    '| `written` | links that were written: `{path, value, stamp}` |',
    '| `triggers` | what the daemon was told |',
    '| `messages` | all texts, in order: `{kind, resource, text}`; kinds: `info`, `data`, `detail`, `warning`, `hint`, `dying` |',
    '',
  ];
}

function options(): string[] {
  const rows = OPTIONS.map(({ name, letter, form, about, note }) => {
    const names = `\`--${name}${form}\`${letter === undefined ? '' : `, \`-${letter}\``}`;
    const notes = { ours: 'new', 'without function': 'accepted, without function' };
    return `| ${names.replaceAll('|', '\\|')} | ${about} | ${note === undefined ? '' : notes[note]} |`;
  });
  return ['## Options', '', '| Option | Meaning | |', '|---|---|---|', ...rows, ''];
}

function overview(commands: readonly Command[]): string[] {
  const rows = commands.filter(isShown).map((c) => `| [\`${c.name}\`](#${c.name}) | ${escape(c.about)} |`);
  return [
    '## Commands',
    '',
    '| Command | |',
    '|---|---|',
    ...rows,
    '| `view-wait-{is,todo}-{attach,sync,fetch,replay,primary,secondary}-{on,off} RES` | The same conditions as `wait-resource`. |',
    '',
  ];
}

function section(command: Command): string[] {
  const { name, usage, aliases = [], since, about, checks, writes, waits, force, notes, examples } = command;
  return [
    `### ${name}`,
    '',
    `\`marsadm ${`${name} ${usage}`.trim()}\`${aliases.length === 0 ? '' : ` (also ${aliases.map((a) => `\`${a}\``).join(', ')})`}; since ${since === 'ours' ? 'this implementation' : since}.`,
    '',
    escape(about),
    '',
    ...list(
      'Refused unless',
      checks?.map((check) => check.replace(/ \(force\)$/, ' — `--force` overrides')),
    ),
    ...list('Writes', writes),
    ...list('Waits for', waits),
    ...list('With `--force`', force === undefined ? undefined : [force]),
    ...list('Notes', notes),
    ...list(
      'Examples',
      examples.map((example) => `\`marsadm ${example}\``),
      true,
    ),
  ];
}

function list(title: string, items: readonly string[] | undefined, isCode = false): string[] {
  if (items === undefined || items.length === 0) return [];
  return [`${title}:`, '', ...items.map((item) => `- ${isCode ? item : escape(item)}`), ''];
}

/** Texts are for terminals; markdown would eat their stars and read their paths as HTML. */
function escape(text: string): string {
  return text.replace(/([*<>|])/g, '\\$1');
}
