import assert from 'node:assert/strict';
import { simulateScenario } from '../scenario/simulate.js';
import loggerCrash from '../scenarios/logger-crash-bare.js';
import loggerTrouble from '../scenarios/logger-trouble-bare.js';
import replayCrash from '../scenarios/replay-crash.js';
import { World } from '../world/world.js';
import { bareKeeper } from './bare-keeper.js';
import { LOGGER_CRASH_POINTS, playCrashStory } from './crash-story.js';

const SEEDS = 30;

describe('Stories of the logger', function () {
  this.timeout(0);
  for (const scenario of [loggerCrash, loggerTrouble, replayCrash]) simulateScenario(scenario);

  it('look at what they are about: every crash point, every check, and recoveries that are interrupted', async () => {
    const hits = new Map<string, number>();
    const sums = { records: 0, publications: 0, dataSectors: 0, answers: 0, flushes: 0, recoveries: 0, crashes: 0 };
    let rotations = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = new World({ seed });
      const report = await playCrashStory(world, { keeper: bareKeeper });
      rotations += report.rotations;
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += report.counts[name];
      for (const point of LOGGER_CRASH_POINTS) hits.set(point, (hits.get(point) ?? 0) + world.hitsOf('a', point));
      world.close();
    }
    for (const [point, count] of hits) assert.ok(count > 0, `nobody comes to ${point}`);
    for (const [name, count] of Object.entries(sums)) assert.ok(count > SEEDS, `${count} ${name} in ${SEEDS} runs`);
    assert.ok(rotations > SEEDS / 2, `${rotations} rotations on demand`);
    assert.ok(sums.crashes > sums.recoveries + 3, 'no recovery was interrupted');
  });
});
