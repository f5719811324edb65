export {
  nextLocalStep,
  type LocalLog,
  type LocalLogFacts,
  type LocalLogStep,
  type LogEnd,
  type StopReason,
} from './plan/local-log.js';
export { localStepText, stopTexts } from './plan/local-log-text.js';
export { planResource } from './plan/resource.js';
export { decideFetch, type FetchDecision } from './plan/fetch.js';
export { decideSync, type SyncDecision } from './plan/sync.js';
export { whyNotFollow, type FollowQuestion } from './plan/next-log.js';
export type * from './plan/resource-facts.js';
