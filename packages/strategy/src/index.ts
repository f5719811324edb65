export {
  nextLocalStep,
  type LocalLog,
  type LocalLogFacts,
  type LocalLogStep,
  type LogEnd,
  type StopReason,
} from './plan/local-log.js';
export { localStepText, stopTexts } from './plan/local-log-text.js';
