import { ErrorCode, MarsError, causeText, isMarsError } from '@mars/brick-core';
import type { StackFailure } from '../handle.js';

/** An error as plain data. */
export function failureFrom(error: unknown): StackFailure {
  if (!isMarsError(error)) return { code: 'UNEXPECTED', message: causeText(error), hint: null };
  return { code: error.code, message: error.message, hint: error.hint ?? null };
}

/** And back, for those who asked for the step that failed. */
export function asError({ code, message, hint }: StackFailure): MarsError {
  const known = code in ErrorCode ? (code as keyof typeof ErrorCode) : ErrorCode.START_FAILED;
  return new MarsError(known, message, hint === null ? {} : { hint });
}
