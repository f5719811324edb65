export * from './limits.js';
export { StackFileError, formatStackError } from './problems.js';
export type { StackSource } from './source/documents.js';
export { OVERLAY_SCHEMA, STACK_SCHEMA, type JsonSchema } from './source/schema.js';
export { parseExpression, type ExpressionProblem, type ParseResult } from './expression/parse.js';
export { isMet, lookupIn, whyNot } from './expression/evaluate.js';
export { factsOf, type Expression, type FactValue, type Facts } from './expression/types.js';
export { KNOWN_FACTS } from './plan/scope.js';
export { checkStack, loadStack, type CheckedStack, type LoadOptions, type LoadedStack } from './plan/load.js';
export {
  applyOverlay,
  isFilterType,
  overlayOf,
  withoutFilter,
  type InsertRequest,
  type Insertion,
  type Overlay,
} from './plan/overlay.js';
export type { LogDirectoryValue } from './plan/vars.js';
export { showParam } from './plan/late.js';
export * from './plan/types.js';
export * from './handle.js';
export { openStack, type OpenOptions } from './reconcile/running-stack.js';
export { failureFrom } from './reconcile/failure.js';
export { Redactor } from './reconcile/redact.js';
export { nextSteps, stepText, type NextSteps, type Step } from './reconcile/steps.js';
export { computeTarget, type ByHand, type Target, type TargetBrick, type TargetInput } from './reconcile/target.js';
export type { BrickView, GraphView, WireView } from './reconcile/view.js';
export { renderTree, topsOf, type TreeOptions } from './render/tree.js';
export { renderDot } from './render/dot.js';
export { renderSvg } from './render/svg.js';
export { paramText } from './render/live.js';
