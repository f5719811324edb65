import { ErrorCode, MarsError, didYouMean, invariant } from '@mars/brick-core';
import { firstDivergence } from '../world/trace.js';
import { World } from '../world/world.js';

export interface ScenarioOptions {
  /** Hosts `a`, `b`, `c` … that are there from the beginning; default 1. */
  hosts?: number;
  /** Seeds that a test runs; default `DEFAULT_SEEDS`. */
  seeds?: number;
}

/** A story that can be told with any seed; it throws when something is not as it must be. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly options: Readonly<Required<ScenarioOptions>>;
  readonly play: (world: World) => Promise<void>;
}

/** What one run came to. */
export interface Outcome {
  seed: number;
  traceHash: string;
  events: number;
  virtualMs: number;
  error: unknown;
  /** The full trace, when it was asked for. */
  trace: readonly string[];
}

/** Seeds of a test when its scenario does not say. */
export const DEFAULT_SEEDS = 20;

const HOST_NAMES = 'abcdefghijklmnopqrstuvwxyz';
const known = new Map<string, Scenario>();

/**
 * Makes a scenario known under a name, for tests and for `npm run sim -- --scenario NAME`.
 * @param name kebab-case; stable, because it stands in replay commands
 */
export function defineScenario(
  name: string,
  about: string,
  options: ScenarioOptions,
  play: (world: World) => Promise<void>,
): Scenario {
  invariant(!known.has(name), `there are two scenarios called "${name}"`);
  const { hosts = 1, seeds = DEFAULT_SEEDS } = options;
  invariant(hosts >= 0 && hosts <= HOST_NAMES.length, 'a scenario has 0 to 26 hosts of its own');
  const scenario: Scenario = { name, about, options: { hosts, seeds }, play };
  known.set(name, scenario);
  return scenario;
}

/** All scenarios that were defined so far, by name. */
export function scenarios(): Scenario[] {
  return [...known.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @throws MarsError SIM_UNKNOWN_SCENARIO */
export function scenarioByName(name: string): Scenario {
  const scenario = known.get(name);
  if (scenario !== undefined) return scenario;
  const names = [...known.keys()].sort();
  throw new MarsError(ErrorCode.SIM_UNKNOWN_SCENARIO, `there is no scenario "${name}"`, {
    hint:
      names.length === 0 ? 'No scenario is defined at all.' : `${didYouMean(name, names)} (--list shows all of them.)`,
  });
}

/** Plays a scenario once, in a world of its own. Never throws: what went wrong is in the outcome. */
export async function playOnce(scenario: Scenario, seed: number, options: { trace?: boolean } = {}): Promise<Outcome> {
  const world = new World({ seed, trace: options.trace ?? false });
  let error: unknown = null;
  try {
    for (let i = 0; i < scenario.options.hosts; i++) world.addHost(HOST_NAMES[i]!);
    await scenario.play(world);
  } catch (caught) {
    error = caught;
  }
  world.close();
  const { traceHash, trace, nowMs: virtualMs } = world;
  return { seed, traceHash, events: trace.events, virtualMs, error, trace: trace.lines };
}

/** Plays a seed twice and says where the two runs differ. @throws MarsError SIM_MISMATCH */
export async function playTwice(scenario: Scenario, seed: number): Promise<Outcome> {
  const one = await playOnce(scenario, seed, { trace: true });
  const other = await playOnce(scenario, seed, { trace: true });
  if (one.traceHash === other.traceHash || one.error !== null) return one;
  const at = firstDivergence(one.trace, other.trace);
  const where = at === null ? 'behind the recorded part' : `at line ${at.line}: "${at.one}" against "${at.other}"`;
  const error = new MarsError(ErrorCode.SIM_MISMATCH, `seed ${seed} gave two different runs; they part ${where}`, {
    hint: 'Something asks the real world: a clock, Math.random, the order of a Set of objects, state that outlives a world.',
    details: { seed, one: one.traceHash, other: other.traceHash },
  });
  return { ...one, error };
}

/** The command that plays one seed again. */
export function replayCommand(scenario: string, seed: number): string {
  return `npm run sim -- --seed ${seed} --scenario ${scenario}`;
}
