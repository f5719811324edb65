import { simulateScenario } from '@mars/sim';
import loggerCrash from './logger-crash.js';
import loggerTrouble from './logger-trouble.js';

describe('A logged device as it is delivered', () => {
  for (const scenario of [loggerCrash, loggerTrouble]) simulateScenario(scenario);
});
