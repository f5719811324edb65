import type { BrickStatus, Graph } from '@mars/brick-core';
import type { Facts } from '../expression/types.js';
import type { StackBrickStatus, StackFailure, StackStatus } from '../handle.js';
import type { PlannedBrick, StackPlan } from '../plan/types.js';
import type { Target } from './target.js';
import type { GraphView } from './view.js';

export interface StatusInput {
  plan: StackPlan;
  graph: Graph;
  view: GraphView;
  target: Target;
  power: ReadonlyMap<string, 'on' | 'off'>;
  notes: ReadonlyMap<string, string>;
  failures: ReadonlyMap<string, StackFailure>;
  facts: Facts;
  isSettled: boolean;
}

/** Everything about a running stack as plain data: bricks that are planned, present or both. */
export function renderStatus(input: StatusInput): StackStatus {
  const { plan, graph, facts, isSettled } = input;
  const planned = new Map(plan.bricks.map((brick) => [brick.name, brick]));
  const present = graph.status();
  const names = new Set(present.map((brick) => brick.name));
  const absent = [...plan.bricks].reverse().filter((brick) => !names.has(brick.name));
  const bricks = [
    ...present.map((status) => brickStatus(status, true, planned.get(status.name), input)),
    ...absent.map((brick) => brickStatus(blank(brick), false, brick, input)),
  ];
  const exports = Object.fromEntries(
    Object.entries(plan.exports).map(([name, { brick, port }]) => [name, `${brick}.${port}`]),
  );
  return { stack: plan.stack, about: plan.about, world: plan.world, isSettled, bricks, facts: { ...facts }, exports };
}

function brickStatus(
  status: BrickStatus,
  isBuilt: boolean,
  planned: PlannedBrick | undefined,
  input: StatusInput,
): StackBrickStatus {
  const { name } = status;
  const target = input.target.bricks.get(name);
  const wanted = target?.wanted ?? status.button;
  const isFine = wanted && status.led === 'on';
  return {
    ...status,
    base: planned?.base ?? name,
    origin: originOf(name, planned, input.graph),
    isBuilt,
    wanted,
    byHand: input.power.get(name) ?? null,
    why: input.notes.get(name) ?? (isFine ? null : (target?.why ?? null)),
    failure: input.failures.get(name) ?? null,
  };
}

function originOf(name: string, planned: PlannedBrick | undefined, graph: Graph): StackBrickStatus['origin'] {
  if (planned === undefined) return graph.isAdaptor(name) ? { kind: 'adaptor' } : { kind: 'kept' };
  return planned.overlay === null ? { kind: 'stack' } : { kind: 'overlay', name: planned.overlay };
}

function blank({ name, type }: PlannedBrick): BrickStatus {
  const stats = { counters: {}, histograms: {}, facts: {} };
  return { name, type, button: false, led: 'off', forceOff: false, percent: 0, held: 0, inputs: {}, info: null, stats };
}
