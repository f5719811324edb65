import { bareKeeper } from '../logger/bare-keeper.js';
import { playCrashStory } from '../logger/crash-story.js';
import { drawAnswerToTrouble, drawTrouble } from '../logger/trouble.js';
import { defineScenario } from '../index.js';

export default defineScenario(
  'logger-trouble-bare',
  'a log or a disk that fails, and then the host dies: nothing unlogged is acknowledged (shortest possible strategy)',
  { hosts: 0, seeds: 40 },
  async (world) => {
    await playCrashStory(world, { keeper: bareKeeper, trouble: drawTrouble, settings: drawAnswerToTrouble });
  },
);
