import { ErrorCode, formatError, isMarsError } from '@mars/brick-core';

/** decided.md: 0 good, 1 failed or defective, 2 usage or bad input. */
export const EXIT_GOOD = 0;
export const EXIT_FAILED = 1;
export const EXIT_BAD_INPUT = 2;
export type ExitCode = 0 | 1 | 2;

/** Numbers below this are about what the caller wrote. */
const FIRST_RUNTIME_NUMBER = 300;
/** What is not there, or not ours to open, is the caller's business as well. */
const BAD_INPUT: readonly string[] = [ErrorCode.USAGE, ErrorCode.FILE_OPEN, ErrorCode.DEVICE_IN_USE];

export function exitCodeOf(error: unknown): ExitCode {
  if (!isMarsError(error)) return EXIT_FAILED;
  return BAD_INPUT.includes(error.code) || error.number < FIRST_RUNTIME_NUMBER ? EXIT_BAD_INPUT : EXIT_FAILED;
}

export function reportError(error: unknown): void {
  process.stderr.write(`mars-log: ${formatError(error)}\n`);
}

/** The worse of two, where not having looked at all is worse than having found a defect. */
export function worst(a: ExitCode, b: ExitCode): ExitCode {
  return Math.max(a, b) as ExitCode;
}
