import { ErrorCode, MAX_STACK_DEPTH, type BrickRegistry } from '@mars/brick-core';
import { isMet } from '../expression/evaluate.js';
import { factsOf } from '../expression/types.js';
import type { Problems } from '../problems.js';
import type { SourceDocument } from '../source/documents.js';
import type { Declared } from './members.js';
import { findCycle, longestWay, providersFirst } from './order.js';
import { PlannedPermissions } from './permissions.js';
import type { PlannedBrick, PlannedWire, StackPlan } from './types.js';

/**
 * Checks what concerns the stack as a whole: circles, depth, two writers.
 * @returns true when bricks and wires can be put in order
 */
export function checkStructure(
  plan: StackPlan,
  declared: readonly Declared[],
  doc: SourceDocument,
  registry: BrickRegistry,
  problems: Problems,
): boolean {
  if (hasCycle(plan, declared, doc, problems)) return false;
  checkDepth(plan, doc, problems);
  checkWriters(plan, doc, registry, problems);
  return true;
}

function hasCycle(plan: StackPlan, declared: readonly Declared[], doc: SourceDocument, problems: Problems): boolean {
  const baseOf = new Map(plan.bricks.map((brick) => [brick.name, brick.base]));
  const wired = (base: string): string[] =>
    plan.wires.filter((w) => baseOf.get(w.consumer) === base).map((w) => baseOf.get(w.provider)!);
  const after = (base: string): string[] => declared.find((one) => one.base === base)?.declaration.after ?? [];
  const names = declared.map((one) => one.base);
  const cycle = findCycle(names, wired);
  if (cycle !== null) {
    problems.add(ErrorCode.WIRE_CYCLE, `the wires form a cycle: ${cycle.join(' → ')}`, {
      hint: 'Requests must come to an end: take one of these wires away.',
      place: doc.places.value(['bricks', cycle[0]!, 'in']),
    });
    return true;
  }
  const order = findCycle(names, (base) => [...wired(base), ...after(base).filter((name) => names.includes(name))]);
  if (order !== null) {
    problems.add(ErrorCode.WIRE_CYCLE, `these bricks wait for each other: ${order.join(' → ')}`, {
      hint: 'Take one of the names out of "after".',
      place: doc.places.value(['bricks', order.find((base) => after(base).length > 0)!, 'after']),
    });
  }
  return false;
}

/** Each wire on the way down adds one step to the way back (the graph counts the same way). */
function checkDepth(plan: StackPlan, doc: SourceDocument, problems: Problems): void {
  const wires = longestWay(plan.bricks, plan.wires) - 1;
  if (wires <= MAX_STACK_DEPTH) return;
  problems.add(ErrorCode.STACK_TOO_DEEP, `requests would pass ${wires} wires, ${MAX_STACK_DEPTH} are possible`, {
    hint: 'Use fewer filters above each other.',
    place: doc.places.key(['bricks']),
  });
}

function checkWriters(plan: StackPlan, doc: SourceDocument, registry: BrickRegistry, problems: Problems): void {
  const on = alwaysOn(plan);
  const baseOf = new Map(plan.bricks.map((brick) => [brick.name, brick.base]));
  for (const { provider, first, second, permission } of new PlannedPermissions(plan, registry).conflicts((brick) =>
    on.has(brick.name),
  )) {
    const path = ['bricks', baseOf.get(second.consumer)!, 'in', second.input];
    problems.add(
      ErrorCode.PERMISSION_CONFLICT,
      `"${first.consumer}" and "${second.consumer}" exclude each other on "${provider}" (${permission})`,
      {
        hint: 'Give each an "on:" condition so that only one of them runs at a time, or wire one of them elsewhere.',
        place: doc.places.value(path),
      },
    );
  }
}

/** Bricks that no condition ever switches off. */
function alwaysOn(plan: StackPlan): Set<string> {
  const on = new Set<string>();
  const consumersFirst = providersFirst(plan.bricks, plan.wires).reverse();
  for (const brick of consumersFirst) {
    const consumers = plan.wires.filter((wire) => wire.provider === brick.name);
    if (isAlways(brick, consumers, on)) on.add(brick.name);
  }
  return on;
}

function isAlways(
  { on: condition }: PlannedBrick,
  consumers: readonly PlannedWire[],
  on: ReadonlySet<string>,
): boolean {
  if (condition.kind === 'expression')
    return factsOf(condition.expression).size === 0 && isMet(condition.expression, () => undefined);
  return consumers.length === 0 || consumers.some((wire) => on.has(wire.consumer));
}
