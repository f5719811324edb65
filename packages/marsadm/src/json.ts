import { EXIT_FAILED, EXIT_GOOD, EXIT_TIMEOUT, EXIT_USAGE, type ExitStatus } from './exit.js';
import type { Session } from './execute/session.js';
import type { Output } from './output.js';

const OUTCOMES: Readonly<Record<ExitStatus, string>> = {
  [EXIT_GOOD]: 'good',
  [EXIT_FAILED]: 'failed',
  [EXIT_TIMEOUT]: 'timeout',
  [EXIT_USAGE]: 'usage',
};

interface JsonFacts {
  argv: readonly string[];
  out: Output;
  status: ExitStatus;
  /** null = it did not come to that. */
  session: Session | null;
}

/** The one object of `--json`; schema/marsadm-output.schema.json describes it. */
export function sessionJson({ argv, out, status, session }: JsonFacts): object {
  const failures = [...(session?.failed ?? [])].map(([resource, reason]) => ({ resource, reason }));
  return {
    marsadm: 1,
    outcome: OUTCOMES[status],
    exitStatus: status,
    command: session?.line.command ?? null,
    arguments: argv.filter((a) => !a.startsWith('--token')),
    host: session?.host ?? null,
    dryRun: session?.dryRun ?? false,
    resources: session?.line.resources ?? [],
    failures,
    result: session?.result ?? null,
    written: session?.tree.written ?? [],
    triggers: session?.tree.triggers ?? [],
    messages: out.messages,
  };
}
