import { formatError, setVerify } from '@mars/brick-core';
import type { World } from '../world/world.js';
import { defineScenario, playOnce, replayCommand, type Scenario, type ScenarioOptions } from './scenario.js';

/** What a test framework gives us; mocha does. */
interface TestGlobals {
  it?: (title: string, test: (this: { timeout(ms: number): void }) => Promise<void>) => void;
}

/** A world that failed, with what is needed to see it again. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';

  constructor(scenario: Scenario, seed: number, cause: unknown) {
    super(
      [
        `${scenario.about}: failed with seed ${seed}`,
        `  commit: ${commitOfThisTree()}`,
        `  replay: ${replayCommand(scenario.name, seed)}`,
        `  ${formatError(cause).replaceAll('\n', '\n  ')}`,
      ].join('\n'),
      { cause },
    );
  }
}

/**
 * A test that plays a story with many seeds, and a scenario that `npm run sim` can play again:
 * ```ts
 * simulate('a flushed write survives every power cut', { hosts: 1, seeds: 200 }, async (world) => { … });
 * ```
 * The name of the scenario is the title in kebab-case. `MARS_SIM_SEEDS` and `MARS_SIM_FROM` choose other seeds.
 */
export function simulate(title: string, options: ScenarioOptions, play: (world: World) => Promise<void>): Scenario {
  const scenario = defineScenario(kebab(title), title, options, play);
  simulateScenario(scenario);
  return scenario;
}

/** The test for a scenario that is defined elsewhere. Outside a test framework it does nothing. */
export function simulateScenario(scenario: Scenario): void {
  const { it } = globalThis as TestGlobals;
  it?.(`${scenario.about} (${scenario.options.seeds} seeds)`, async function () {
    this.timeout(0);
    await playSeeds(scenario);
  });
}

/** @throws SimulationFailure at the first seed that fails */
export async function playSeeds(scenario: Scenario): Promise<void> {
  const from = numberFrom('MARS_SIM_FROM', 1);
  const count = numberFrom('MARS_SIM_SEEDS', scenario.options.seeds);
  setVerify(true);
  try {
    for (let seed = from; seed < from + count; seed++) {
      const { error } = await playOnce(scenario, seed);
      if (error !== null) throw new SimulationFailure(scenario, seed, error);
    }
  } finally {
    setVerify(false);
  }
}

/** `npm test` and `npm run sim` put it into the environment, because this package does not touch the machine. */
export function commitOfThisTree(): string {
  return process.env.MARS_COMMIT ?? 'unknown (set MARS_COMMIT)';
}

function numberFrom(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  return Number.isSafeInteger(value) && value >= 0 ? value : otherwise;
}

function kebab(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}
