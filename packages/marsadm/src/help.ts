import type { Command } from './commands/command.js';
import { OPTIONS } from './parse/options.js';

const WIDTH = 100;

/** Text of `marsadm --help`. @param level commands with a greater level are left out; negative: only those of that level */
export function generalHelp(commands: readonly Command[], level: number): string {
  const shown = commands.filter(({ helpLevel = 0 }) => (level < 0 ? helpLevel === -level : helpLevel <= level));
  const rows = shown.map((c) => [`${c.name} ${c.usage}`.trim(), c.about] as const);
  const options = OPTIONS.filter(({ note }) => note !== 'without function').map(
    (o) => [`--${o.name}${o.form}${o.letter === undefined ? '' : `, -${o.letter}`}`, o.about] as const,
  );
  return [
    'marsadm [OPTION…] COMMAND [RES | RES,RES… | all] [ARG…]',
    'marsadm [OPTION…] force-COMMAND …        the same as --force COMMAND',
    'marsadm COMMAND --help                   what a command checks, writes and waits for',
    'marsadm --version',
    '',
    'Commands:',
    ...table(rows),
    '',
    'Options, anywhere on the line; a value always hangs on "=":',
    ...table(options),
    '',
    'Exit status: 0 good, 1 refused or failed, 2 not reached in time, 64 the command line makes no sense.',
    '',
  ].join('\n');
}

/** Text of `marsadm COMMAND --help`. */
export function commandHelp(command: Command): string {
  const parts: [string, readonly string[] | undefined][] = [
    ['Refused unless (* = --force overrides)', command.checks?.map(starred)],
    ['Writes', command.writes],
    ['Waits for', command.waits],
    ['With --force', command.force === undefined ? undefined : [command.force]],
    ['Notes', command.notes],
    ['Examples', command.examples.map((example) => `marsadm ${example}`)],
  ];
  return [
    `marsadm ${command.name} ${command.usage}`.trimEnd(),
    ...(command.aliases ?? []).map((alias) => `marsadm ${alias} ${command.usage}`.trimEnd()),
    '',
    ...wrap(command.about, ''),
    ...parts.flatMap(([title, lines]) =>
      lines === undefined || lines.length === 0 ? [] : ['', `${title}:`, ...lines.flatMap((line) => wrap(line, '  '))],
    ),
    '',
  ].join('\n');
}

/** `(force)` at the end of a check means that `--force` overrides it. */
export function starred(check: string): string {
  return check.endsWith(' (force)') ? `* ${check.slice(0, -' (force)'.length)}` : `  ${check}`;
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const indent = 38;
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, '', WIDTH - indent);
    const first = left.length <= indent - 4 ? [`  ${left.padEnd(indent - 2)}${lines.shift() ?? ''}`] : [`  ${left}`];
    return [...first, ...lines.map((line) => ' '.repeat(indent) + line)];
  });
}

function wrap(text: string, indent: string, width = WIDTH): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.length + word.length > width && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()];
}
