import type { Job } from '../execute/job.js';
import { UsageError } from '../exit.js';
import { OPTIONS } from '../parse/options.js';
import { onePhase, type Command } from './command.js';

export const completion: Command = {
  name: 'completion',
  usage: 'bash',
  about: 'Prints a script that makes bash complete commands, options and resources.',
  resource: 'none',
  since: 'ours',
  examples: ['completion bash > /etc/bash_completion.d/marsadm'],
  needsRoot: false,
  needsUuid: false,
  needsTree: false,
  phases: onePhase(run),
};

/** Set by the table of commands, which knows this one. */
let names: readonly string[] = [];

export function completeNames(all: readonly string[]): void {
  names = all;
}

function run({ args: [shell], out, session }: Job): void {
  if (shell !== 'bash') throw new UsageError('only bash can be helped', ['usage: marsadm completion bash']);
  for (const line of bashScript().split('\n')) out.data(line);
  session.result = { shell };
}

function bashScript(): string {
  const options = OPTIONS.filter(({ note }) => note !== 'without function').map(
    ({ name, form }) => `--${name}${form.startsWith('=') ? '=' : ''}`,
  );
  return `_marsadm() {
  local word="\${COMP_WORDS[COMP_CWORD]}" given="" i
  for ((i = 1; i < COMP_CWORD; i++)); do [[ \${COMP_WORDS[i]} == -* ]] || given+=x; done
  case "$word" in
    -*) mapfile -t COMPREPLY < <(compgen -W '${options.join(' ')}' -- "$word") ;;
    *) case "$given" in
         '') mapfile -t COMPREPLY < <(compgen -W '${names.join(' ')}' -- "$word") ;;
         x) mapfile -t COMPREPLY < <(compgen -W "all $(marsadm view-my-resources 2> /dev/null)" -- "$word") ;;
         *) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
       esac ;;
  esac
  [[ \${COMPREPLY[0]} == --*= ]] && compopt -o nospace
}
complete -F _marsadm marsadm`;
}
