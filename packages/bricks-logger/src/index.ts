export * from './log-format/index.js';
export { DIGEST_ENGINE } from './digest-engine.js';
export * from './trans-logger/replay/index.js';
