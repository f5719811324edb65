/**
 * Named moments at which a crash is most interesting: between two steps that must both happen, or neither.
 *
 * Production code calls `crashPoint('logger.before-ack')`; nothing happens unless a simulation or a crash test has put a
 * hook in, which may throw, or end the process. Names are `PART.MOMENT`, constants, and never change silently: tests arm
 * them. Source: architecture.md 11; style.md 11.
 */
export type CrashHook = (name: string) => void;

let hook: CrashHook | null = null;

/** Cheap enough for the hot path: one load and one comparison. */
export function crashPoint(name: string): void {
  if (hook !== null) hook(name);
}

/** Puts a hook in, or takes it out with `null`. @returns the one that was there, to be put back */
export function setCrashHook(next: CrashHook | null): CrashHook | null {
  const before = hook;
  hook = next;
  return before;
}
