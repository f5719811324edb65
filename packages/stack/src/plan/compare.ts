import { factsOf } from '../expression/types.js';
import { factsIn } from './late.js';
import type { PlannedBrick, StackPlan } from './types.js';

/** Facts that can change what should be with this brick. */
export function factsOfBrick(brick: PlannedBrick): string[] {
  const inCondition = brick.on.kind === 'expression' ? [...factsOf(brick.on.expression).keys()] : [];
  return [...inCondition, ...factsIn(brick.params)];
}

/** Bricks that are only in one of the plans, and those whose wires differ. */
export function changedBricks(before: StackPlan, after: StackPlan): string[] {
  const names = (plan: StackPlan): string[] => plan.bricks.map((brick) => brick.name);
  const wires = (plan: StackPlan): Map<string, string> =>
    new Map(plan.bricks.map(({ name }) => [name, JSON.stringify(plan.wires.filter((wire) => wire.consumer === name))]));
  const [old, now] = [wires(before), wires(after)];
  return [...new Set([...names(before), ...names(after)])].filter((name) => old.get(name) !== now.get(name));
}
