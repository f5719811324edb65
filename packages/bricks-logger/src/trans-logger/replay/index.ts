export { Replayer, type ReplayState } from './replayer.js';
export { ReplayBrick } from './replay-brick.js';
export { ReplayCounts, type ReplayEnd, type ReplayHost, type ReplayPlan } from './types.js';
