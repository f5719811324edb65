import { defineScenario, playCrashStory } from '@mars/sim';
import { logKeeper } from './logger/log-keeper.js';

/** Seeds of `npm test`; a nightly run plays 20,000: `npm run sim -- --scenario logger-crash --seeds 20000`. */
export const LOGGER_CRASH_SEEDS = 300;

export default defineScenario(
  'logger-crash',
  'a logged device whose host dies at any moment keeps every promise of the log, recovery and rotation included',
  { hosts: 0, seeds: LOGGER_CRASH_SEEDS },
  async (world) => {
    await playCrashStory(world, { keeper: logKeeper });
  },
);
