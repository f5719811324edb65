import { ErrorCode, MarsError, causeText, formatError, isMarsError, setVerify } from '@mars/brick-core';
import {
  playOnce,
  playTwice,
  replayCommand,
  scenarioByName,
  scenarios,
  type Outcome,
  type Scenario,
} from './scenario/scenario.js';
import { commitOfThisTree } from './scenario/simulate.js';

/** What the command line needs of the machine; `scripts/sim.mjs` gives it. */
export interface SimCliOutside {
  out: (line: string) => void;
  err: (line: string) => void;
  /** For `--trace`. */
  writeFile: (path: string, text: string) => void;
  /** Real milliseconds, for the progress line only. */
  nowMs: () => number;
}

const USAGE = `usage: npm run sim -- [--list] [--scenario NAME] [--seed N | --from N --seeds COUNT] [--twice] [--trace FILE] [--json]

  --list           the scenarios and what they are about
  --scenario NAME  play this one; default: all
  --seed N         play this seed only
  --from N         first seed (default 1)
  --seeds COUNT    how many seeds (default: what the scenario says)
  --twice          play each seed twice and compare the two traces
  --trace FILE     write the full trace of the last run
  --json           one line of JSON per run, and one at the end`;

interface Options {
  list: boolean;
  json: boolean;
  twice: boolean;
  scenario: string | null;
  trace: string | null;
  from: number;
  seeds: number | null;
}

/** Real time between two progress lines, ms. */
const PROGRESS_MS = 2000;

/**
 * Plays scenarios from the command line.
 * @returns 0 = all passed, 1 = a run failed, 2 = bad arguments
 */
export async function runSimCli(argv: readonly string[], outside: SimCliOutside): Promise<0 | 1 | 2> {
  try {
    if (argv.includes('--help')) {
      outside.out(USAGE);
      return 0;
    }
    const options = parse(argv);
    const chosen = options.scenario === null ? scenarios() : [scenarioByName(options.scenario)];
    if (options.list) return list(chosen, options, outside);
    return await play(chosen, options, outside);
  } catch (error) {
    if (!isMarsError(error)) throw error;
    outside.err(formatError(error));
    return 2;
  }
}

function list(chosen: readonly Scenario[], options: Options, outside: SimCliOutside): 0 {
  for (const { name, about, options: defaults } of chosen) {
    outside.out(options.json ? JSON.stringify({ name, about, ...defaults }) : `${name.padEnd(32)} ${about}`);
  }
  return 0;
}

async function play(chosen: readonly Scenario[], options: Options, outside: SimCliOutside): Promise<0 | 1> {
  setVerify(true);
  let failed = 0;
  let played = 0;
  const startMs = outside.nowMs();
  for (const scenario of chosen) {
    const seeds = options.seeds ?? scenario.options.seeds;
    let shownMs = outside.nowMs();
    let events = 0;
    for (let seed = options.from; seed < options.from + seeds; seed++) {
      const outcome = options.twice
        ? await playTwice(scenario, seed)
        : await playOnce(scenario, seed, { trace: options.trace !== null });
      played++;
      events += outcome.events;
      if (options.trace !== null) outside.writeFile(options.trace, `${outcome.trace.join('\n')}\n`);
      if (outcome.error !== null) failed++;
      report(scenario, outcome, options, outside);
      if (!options.json && outside.nowMs() - shownMs > PROGRESS_MS) {
        shownMs = outside.nowMs();
        outside.err(`${scenario.name}: seed ${seed}, ${seed - options.from + 1} of ${seeds}`);
      }
    }
    if (!options.json) outside.out(`${scenario.name}: ${seeds} seeds, ${events} events`);
  }
  summary({ played, failed, realMs: Math.round(outside.nowMs() - startMs) }, options, outside);
  return failed === 0 ? 0 : 1;
}

function report(scenario: Scenario, outcome: Outcome, options: Options, outside: SimCliOutside): void {
  const { seed, traceHash, events, virtualMs, error } = outcome;
  if (options.json) {
    const failure =
      error === null ? {} : { error: isMarsError(error) ? error.toJSON() : { message: causeText(error) } };
    outside.out(
      JSON.stringify({ scenario: scenario.name, seed, traceHash, events, virtualMs, ok: error === null, ...failure }),
    );
  } else if (error !== null) {
    outside.out(
      [
        `FAILED: ${scenario.name}, seed ${seed}`,
        `  commit: ${commitOfThisTree()}`,
        `  replay: ${replayCommand(scenario.name, seed)}`,
        `  ${formatError(error).replaceAll('\n', '\n  ')}`,
      ].join('\n'),
    );
  } else if (options.seeds === 1)
    outside.out(`${scenario.name}: seed ${seed}, trace ${traceHash}, ${virtualMs.toFixed(3)} virtual ms`);
}

function summary(
  result: { played: number; failed: number; realMs: number },
  options: Options,
  outside: SimCliOutside,
): void {
  const { played, failed, realMs } = result;
  // The real time is for people only: the last line of --json depends on seed and code alone.
  if (options.json) outside.out(JSON.stringify({ played, failed, ok: failed === 0 }));
  else
    outside.out(`${played} runs, ${failed === 0 ? 'all passed' : `${failed} FAILED`}, ${(realMs / 1000).toFixed(1)} s`);
}

function parse(argv: readonly string[]): Options {
  const options: Options = {
    list: false,
    json: false,
    twice: false,
    scenario: null,
    trace: null,
    from: 1,
    seeds: null,
  };
  const rest = argv.flatMap((arg) =>
    arg.startsWith('--') && arg.includes('=')
      ? [arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1)]
      : [arg],
  );
  for (let i = 0; i < rest.length; i++) {
    const value = (): string => rest[++i] ?? usage(`${rest[i - 1]} needs a value`);
    switch (rest[i]) {
      case '--list':
        options.list = true;
        break;
      case '--json':
        options.json = true;
        break;
      case '--twice':
        options.twice = true;
        break;
      case '--scenario':
        options.scenario = value();
        break;
      case '--trace':
        options.trace = value();
        break;
      case '--from':
        options.from = natural('--from', value());
        break;
      case '--seeds':
        options.seeds = natural('--seeds', value());
        break;
      case '--seed':
        options.from = natural('--seed', value());
        options.seeds = 1;
        break;
      default:
        usage(`"${rest[i]}" is no option`);
    }
  }
  return options;
}

function natural(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) usage(`${name} needs a whole number, not "${text}"`);
  return value;
}

function usage(what: string): never {
  throw new MarsError(ErrorCode.USAGE, what, { hint: USAGE });
}
