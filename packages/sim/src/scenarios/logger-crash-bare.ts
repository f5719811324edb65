import { bareKeeper } from '../logger/bare-keeper.js';
import { playCrashStory } from '../logger/crash-story.js';
import { defineScenario } from '../index.js';

export default defineScenario(
  'logger-crash-bare',
  'a logged device whose host dies at any moment holds every invariant of the log (shortest possible strategy)',
  { hosts: 0, seeds: 40 },
  async (world) => {
    await playCrashStory(world, { keeper: bareKeeper });
  },
);
