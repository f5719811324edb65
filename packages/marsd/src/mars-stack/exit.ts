import { ERROR_TABLE, isMarsError } from '@mars/brick-core';
import { formatStackError } from '@mars/stack';

/** decided.md: 0 good, 1 failed or defective, 2 usage or bad input (then nothing was started). */
export const EXIT_GOOD = 0;
export const EXIT_FAILED = 1;
export const EXIT_BAD_INPUT = 2;
export type ExitCode = 0 | 1 | 2;

/** Numbers below this are about configuration and plugins, i.e. about what the caller wrote. */
const FIRST_RUNTIME_NUMBER = 300;

export function exitCodeOf(error: unknown): ExitCode {
  if (!isMarsError(error)) return EXIT_FAILED;
  return error.number < FIRST_RUNTIME_NUMBER || error.number === ERROR_TABLE.USAGE.number
    ? EXIT_BAD_INPUT
    : EXIT_FAILED;
}

/** One screen for people on stderr, or one JSON object on stdout. */
export function reportError(error: unknown, json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify({ ok: false, error: errorData(error) })}\n`);
  else process.stderr.write(`${formatStackError(error)}\n`);
}

export function errorData(error: unknown): object {
  if (isMarsError(error)) return error.toJSON();
  return { code: 'UNEXPECTED', message: error instanceof Error ? error.message : String(error) };
}
