export { LogKeeper, type KeeperState, type LogItem, type LogKeeperOptions } from './log-keeper.js';
export { LogDirectory, type LogProgress } from './log-directory.js';
