import type { TreeSnapshot } from '@mars/mars-tree';
import type { ExitStatus } from '../exit.js';
import { EXIT_GOOD, worse } from '../exit.js';
import type { Output } from '../output.js';
import type { CommandLine } from '../parse/command-line.js';
import type { Options } from '../parse/options.js';
import type { Places } from '../start/places.js';
import type { Daemon } from '../tree/daemon.js';
import type { Tree } from '../tree/tree.js';
import type { World } from '../world.js';
import { Budget } from './budget.js';

/** One run of marsadm: who asks for what, and the means to do it. */
export class Session {
  readonly budget: Budget;
  /** For `--json`: what the command found out, in a form of its own. */
  result: unknown = null;
  status: ExitStatus = EXIT_GOOD;
  readonly failed = new Map<string, string>();
  /** What was done once, for all resources. */
  readonly notes = new Set<string>();

  constructor(
    readonly world: World,
    readonly line: CommandLine,
    readonly out: Output,
    readonly daemon: Daemon,
    readonly tree: Tree,
    /** The real local host. */
    readonly me: string,
    /** The host that the command acts for. */
    readonly host: string,
    readonly places: Places,
  ) {
    this.budget = new Budget(world.clock, line.options.timeout);
  }

  get options(): Options {
    return this.line.options;
  }

  get force(): boolean {
    return this.options.force > 0;
  }

  get dryRun(): boolean {
    return this.options.dryRun > 0;
  }

  get snapshot(): TreeSnapshot {
    return this.tree.snapshot;
  }

  /** Something did not work, but the command goes on; scripts must see it at the end. */
  fail(status: ExitStatus): void {
    this.status = worse(this.status, status);
  }

  /** Waits that no `--timeout` bounds (marsadm.md 6.1). */
  sleep(ms: number): Promise<void> {
    return this.world.clock.sleep(ms);
  }
}
