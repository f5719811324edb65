import { ErrorCode, MarsError } from '@mars/brick-core';
import type { Argv } from 'yargs';

/** Wider lines are hard to read, whatever the terminal offers. */
const MOST_COLUMNS = 110;

/** What all our command lines have in common: one command is needed, nothing is guessed, and mistakes are errors of ours. */
export function strictly<T>(parser: Argv<T>, program: string): Argv<T> {
  return parser
    .demandCommand(1, 'which command?')
    .strict()
    .help()
    .alias('help', 'h')
    .wrap(Math.min(MOST_COLUMNS, process.stdout.columns ?? MOST_COLUMNS))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      const text = message ?? 'the command line is not right';
      throw error ?? new MarsError(ErrorCode.USAGE, text, { hint: `See "${program} --help".` });
    });
}
