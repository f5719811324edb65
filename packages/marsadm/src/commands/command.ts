import type { Job } from '../execute/job.js';
import type { ResourceArgument } from '../parse/command-line.js';

/** A LOOP phase that says `not yet` is repeated until `--timeout`. */
export type PhaseOutcome = 'not yet' | void;

export interface Phase {
  /** Shown in the line before the phase, and in the warning when a loop ends without success. */
  readonly title: string;
  /** Runs once, not per resource. */
  readonly isGlobal?: boolean;
  readonly isLoop?: boolean;
  /** False = the phase is left out, silently. */
  readonly when?: (job: Job) => boolean;
  readonly run: (job: Job) => Promise<PhaseOutcome> | PhaseOutcome;
}

/** A command: how it is called, what it does, and the texts of its help and of docs/marsadm.md. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** Arguments, without the name. */
  readonly usage: string;
  /** One sentence. */
  readonly about: string;
  readonly resource: ResourceArgument;
  /** First release of the original that has it; `ours` = none. */
  readonly since: string;
  /** `--help` shows it from this `--verbose` level on. */
  readonly helpLevel?: number;
  /** What must be so, else it is refused; `(force)` = `--force` overrides. */
  readonly checks?: readonly string[];
  readonly writes?: readonly string[];
  readonly waits?: readonly string[];
  readonly force?: string;
  /** Anything else that its help should say. */
  readonly notes?: readonly string[];
  readonly examples: readonly string[];
  /** The resource must exist, and this host must take part in it. Default: both, for commands with a resource. */
  readonly requires?: 'membership' | 'existence' | 'nothing';
  /** Allowed for anybody who can read the tree. */
  readonly needsRoot?: boolean;
  readonly needsUuid?: boolean;
  /** Works without a tree at all. */
  readonly needsTree?: boolean;
  /** Looks at nothing but the resources that are named, so the others need not be read. */
  readonly isNarrow?: boolean;
  /** Its global phases also run on a host that takes part in no resource. */
  readonly isForEveryHost?: boolean;
  /** No separator line before each resource (log-*). */
  readonly isQuiet?: boolean;
  /** Called for each resource when the command ends before its last phase: puts right what must not stay as it is. */
  readonly abort?: (job: Job) => Promise<void>;
  readonly phases: readonly Phase[];
}

/** For commands that do one thing. */
export function onePhase(run: Phase['run']): readonly Phase[] {
  return [{ title: 'do it', run }];
}
