export { TransLoggerBrick } from './trans-logger.js';
export { LOG_STAMPS, type LogStamps, type Stamp } from './stamps.js';
export { LOGGER_FAULTS, type LoggerFaults } from './faults.js';
