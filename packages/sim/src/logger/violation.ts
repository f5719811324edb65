import { ErrorCode, MarsError } from '@mars/brick-core';

/** The invariants of transaction-log.md 7.1 that the judge of the logger knows. */
export type InvariantNumber = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 17 | 18 | 19;

/** An invariant of transaction-log.md 7.1 is broken. `details.inv` is its number. */
export function violation(
  inv: InvariantNumber,
  what: string,
  details: Readonly<Record<string, unknown>> = {},
): MarsError {
  return new MarsError(ErrorCode.VERIFY_FAILED, `INV-${inv}: ${what}`, {
    hint: 'Source: transaction-log.md 7.1. Play the seed again with --trace FILE.',
    details: { inv, ...details },
  });
}

/** The number of the invariant that an error is about; `null` = it is about none. */
export function invariantOf(error: unknown): number | null {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    if (e instanceof MarsError && typeof e.details.inv === 'number') return e.details.inv;
  }
  return null;
}
