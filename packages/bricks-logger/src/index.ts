export * from './log-format/index.js';
