import { defineScenario, drawAnswerToTrouble, drawTrouble, playCrashStory } from '@mars/sim';
import { logKeeper } from './logger/log-keeper.js';

export default defineScenario(
  'logger-trouble',
  'a log or a disk that fails, and then the host dies: nothing unlogged is acknowledged, and recovery brings back the rest',
  { hosts: 0, seeds: 100 },
  async (world) => {
    await playCrashStory(world, { keeper: logKeeper, trouble: drawTrouble, settings: drawAnswerToTrouble });
  },
);
