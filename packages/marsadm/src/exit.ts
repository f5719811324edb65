/** marsadm.md 4.2 [OURS]: what a script can tell from the exit status. */
export const EXIT_GOOD = 0;
/** Refused or failed: nothing, or not everything, was done. */
export const EXIT_FAILED = 1;
/** A condition was not reached in time. */
export const EXIT_TIMEOUT = 2;
/** The command line makes no sense; nothing was done. */
export const EXIT_USAGE = 64;

export type ExitStatus = typeof EXIT_GOOD | typeof EXIT_FAILED | typeof EXIT_TIMEOUT | typeof EXIT_USAGE;

/** Why a command ends: what stands behind `DYING:`. Expected, so it has no stack trace anybody would see. */
export class Dying extends Error {
  override readonly name: string = 'Dying';

  constructor(
    message: string,
    readonly hints: readonly string[] = [],
    readonly exitStatus: ExitStatus = EXIT_FAILED,
  ) {
    super(message);
  }
}

/** A wait has used up `--timeout`. */
export class TimedOut extends Dying {
  override readonly name = 'TimedOut';

  constructor(message: string, hints: readonly string[] = []) {
    super(message, hints, EXIT_TIMEOUT);
  }
}

export class UsageError extends Dying {
  override readonly name = 'UsageError';

  constructor(message: string, hints: readonly string[] = []) {
    super(message, hints, EXIT_USAGE);
  }
}

/** Of several failures the one that a script should hear of: a refusal before a timeout. */
export function worse(a: ExitStatus, b: ExitStatus): ExitStatus {
  const order: ExitStatus[] = [EXIT_GOOD, EXIT_TIMEOUT, EXIT_FAILED, EXIT_USAGE];
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}
