export { allBrickTypes, composeHost } from './compose.js';
export { LogKeeper, type KeeperState, type LogItem, type LogKeeperOptions } from './log-keeper/index.js';
