import { MarsError, causeText, isMarsError, type ErrorCodeName, type SourcePlace } from '@mars/brick-core';
import { StackFileError } from '@mars/stack';

/** An error as plain data: what a caller can see of it, and nothing that cannot be copied. */
export interface ErrorData {
  /** `null`: none of ours. */
  code: ErrorCodeName | null;
  message: string;
  hint?: string;
  place?: SourcePlace;
  details?: Readonly<Record<string, unknown>>;
  cause?: string;
  /** Of a `StackFileError`. */
  problems?: ErrorData[];
}

export function errorToData(error: unknown): ErrorData {
  if (!isMarsError(error)) return { code: null, message: causeText(error) };
  const { code, message, hint, place, details, cause } = error;
  return {
    code,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(place === undefined ? {} : { place }),
    ...(cause === undefined ? {} : { cause: causeText(cause) }),
    details: copyOf(details),
    ...(error instanceof StackFileError ? { problems: error.problems.map(errorToData) } : {}),
  };
}

export function errorFromData({ code, message, problems, ...options }: ErrorData): Error {
  if (problems !== undefined) return new StackFileError(problems.map((one) => errorFromData(one) as MarsError));
  return code === null ? new Error(message) : new MarsError(code, message, options);
}

/** Details are plain data by contract; a brick that breaks it loses its details, not the thread. */
function copyOf(details: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  try {
    return structuredClone(details);
  } catch {
    return {};
  }
}
