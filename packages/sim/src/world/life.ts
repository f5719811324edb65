import { InvariantError } from '@mars/brick-core';

/**
 * How a host ends.
 * - `process`: the daemon is killed; the machine lives on. Files keep what was written, peers see their connections reset.
 * - `power`: the machine is gone. Unsynced data and names may be lost, peers hear nothing at all.
 */
export type CrashKind = 'process' | 'power';

/** One life of a host, from its start to its crash. All services, timers and events of the host belong to one life. */
export class Life {
  private over: CrashKind | null = null;

  constructor(
    readonly host: string,
    readonly hostIndex: number,
    /** Counts the starts of this host, from 1. */
    readonly number: number,
  ) {}

  get isOver(): boolean {
    return this.over !== null;
  }

  end(kind: CrashKind): void {
    this.over ??= kind;
  }

  /** Called by every service of a host first: the code of a dead host stops at its next contact with the machine. */
  check(): void {
    if (this.over !== null) throw new HostCrashed(this.host);
  }
}

/**
 * Thrown through the code of a host that has just died. It is a failed invariant for the core, because those are what
 * nobody catches: wires and bricks let it pass, the world takes it at the bottom of the event.
 */
export class HostCrashed extends InvariantError {
  constructor(readonly host: string) {
    super(`simulated crash of host ${host}`);
  }
}

/** Also true when the crash is wrapped as the cause of another error (a failed start, say). */
export function isHostCrash(error: unknown): boolean {
  for (let e: unknown = error; e instanceof Error; e = e.cause) if (e instanceof HostCrashed) return true;
  return false;
}
