import { describeBrickConformance } from '@mars/brick-core/testing';
import { LoggerKit } from './logger.test.kit.js';

describe('TransLoggerBrick', () => {
  // Errors of the data device reach nobody: the log has the data. A flush goes to the log.
  const promises = { flushReachesDisk: false, passesErrors: false, allocationFree: false };
  describeBrickConformance(new LoggerKit(), promises);
  describeBrickConformance(new LoggerKit({ 'memory-limit': '256K', compression: 'lz4' }), promises);
});
