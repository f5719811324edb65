/**
 * A failed invariant is our own mistake. Nobody catches it: the process stops, and restart is recovery.
 * Source: style.md 7.
 */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Stops the process (by an error nobody catches) when something is not as we believe it must be. Cheap; always on. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) fail(what);
}

// Out of line, so that `invariant` itself stays small enough for the compiler to inline on the hot path.
function fail(what: string): never {
  throw new InvariantError(`invariant violated: ${what}`);
}

let verifying = false;

/** Switches the costly checks of {@link verify} on or off; tests and simulations switch them on. */
export function setVerify(on: boolean): void {
  verifying = on;
}

/** Runs a costly self-check, in tests and simulations only. */
export function verify(check: () => void): void {
  if (verifying) check();
}

/** Says to the reader that both outcomes happen here; does nothing. Source: models.md 4.6. */
export function maybe(_condition: boolean): void {}
