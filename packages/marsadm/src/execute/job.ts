import { paths, type TreeSnapshot } from '@mars/mars-tree';
import { Dying } from '../exit.js';
import type { Output } from '../output.js';
import type { Tree } from '../tree/tree.js';
import type { Session } from './session.js';

/** One command on one resource (`''` where a command has none). */
export class Job {
  /** What one phase has found out for a later one. */
  readonly notes = new Map<string, unknown>();

  constructor(
    readonly session: Session,
    /** Name that was given, which may be an alias. */
    readonly command: string,
    readonly resource: string,
    readonly args: readonly string[],
  ) {}

  get out(): Output {
    return this.session.out;
  }

  get tree(): Tree {
    return this.session.tree;
  }

  get snapshot(): TreeSnapshot {
    return this.session.tree.snapshot;
  }

  /** H: the host that the command acts for. */
  get host(): string {
    return this.session.host;
  }

  get force(): boolean {
    return this.session.force;
  }

  /** Looks at everything of the resource again. */
  look(): TreeSnapshot {
    return this.tree.look(paths.resource(this.resource));
  }

  /** The same command on another resource. */
  on(resource: string): Job {
    return new Job(this.session, this.command, resource, this.args);
  }

  /** Ends the command unless `--force` was given; then it is a warning. */
  refuseUnlessForced(message: string, ...hints: string[]): void {
    if (!this.force) throw new Dying(message, [...hints, 'Use --force if you know that this does no harm.']);
    this.out.warn(`${message} (overridden by --force)`);
  }

  refuse(message: string, ...hints: string[]): never {
    throw new Dying(message, hints);
  }
}
