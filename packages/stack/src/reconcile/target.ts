import { checkParams, type BrickRegistry } from '@mars/brick-core';
import { isMet, whyNot } from '../expression/evaluate.js';
import type { FactValue, Facts } from '../expression/types.js';
import { completeParams } from '../plan/late.js';
import type { PlannedBrick, PlannedWire, StackPlan } from '../plan/types.js';
import type { GraphView } from './view.js';

/** What should be, now: the plan with facts, conditions and what people set by hand worked in. Plain data. */
export interface Target {
  /** Providers before consumers. */
  bricks: ReadonlyMap<string, TargetBrick>;
}

export interface TargetBrick {
  name: string;
  type: string;
  /** Parameters as written, complete; `null` = something is not known yet, see `why`. */
  params: Readonly<Record<string, unknown>> | null;
  /** The same, checked: plain numbers, defaults filled in. */
  values: Readonly<Record<string, unknown>> | null;
  /** Parameters that may change while it runs. */
  live: readonly string[];
  wanted: boolean;
  /** Why it is not wanted, or cannot be built; `null` = nothing speaks against it. */
  why: string | null;
  wires: readonly PlannedWire[];
  after: readonly string[];
  keep: boolean;
}

/** What people did by hand, kept until they take it back. */
export interface ByHand {
  power: ReadonlyMap<string, 'on' | 'off'>;
  /** Live parameters per brick, as written. */
  params: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

/** Facts that bricks publish: `undefined` = there is no such fact. */
export type PublishedFact = (brick: string, fact: string) => FactValue | undefined;

export interface TargetInput {
  plan: StackPlan;
  view: GraphView;
  facts: Facts;
  published: PublishedFact;
  secrets: Readonly<Record<string, string>>;
  byHand: ByHand;
  registry: BrickRegistry;
}

/** Works out the target. Pure: same input, same answer. */
export function computeTarget(input: TargetInput): Target {
  const lookup = factLookup(input);
  const wanted = wantedBricks(input, lookup);
  const wiresBy = wiresByConsumer(input.plan.wires);
  const targets = input.plan.bricks.map((brick) => {
    const known = knownParams(brick, input, lookup);
    const target: TargetBrick = {
      name: brick.name,
      type: brick.type,
      params: known.params,
      values: known.values,
      live: input.registry.find(brick.type)?.meta.live ?? [],
      wanted: wanted.get(brick.name) === null,
      why: wanted.get(brick.name) ?? known.why,
      wires: wiresBy.get(brick.name) ?? [],
      after: brick.after,
      keep: brick.keep,
    };
    return [brick.name, target] as const;
  });
  return { bricks: new Map(targets) };
}

function wiresByConsumer(wires: readonly PlannedWire[]): Map<string, PlannedWire[]> {
  const by = new Map<string, PlannedWire[]>();
  for (const wire of wires) by.set(wire.consumer, [...(by.get(wire.consumer) ?? []), wire]);
  return by;
}

type Lookup = (name: string) => FactValue | undefined;

/** Caller's facts first, then `<brick>.on`, `<brick>.off` and what bricks publish; a family is on when all members are. */
export function factLookup({
  plan,
  view,
  facts,
  published,
}: Pick<TargetInput, 'plan' | 'view' | 'facts' | 'published'>): Lookup {
  return (name) => {
    if (Object.hasOwn(facts, name)) return facts[name];
    const dot = name.lastIndexOf('.');
    if (dot < 0) return undefined;
    const fact = name.slice(dot + 1);
    const brick = name.slice(0, dot);
    if (fact !== 'on' && fact !== 'off') return view.bricks.has(brick) ? published(brick, fact) : undefined;
    const members = plan.bricks.filter((planned) => planned.name === brick || planned.base === brick);
    if (members.length === 0) return fact === 'off';
    return members.every(({ name: member }) => (view.bricks.get(member)?.led ?? 'off') === fact);
  };
}

/** Brick → `null` when it is wanted, else why not. Consumers are decided before their providers. */
function wantedBricks({ plan, view, byHand }: TargetInput, lookup: Lookup): Map<string, string | null> {
  const why = new Map<string, string | null>();
  for (const brick of [...plan.bricks].reverse()) {
    const consumers = plan.wires.filter((wire) => wire.provider === brick.name);
    const isNeeded = consumers.length === 0 || consumers.some((wire) => why.get(wire.consumer) === null);
    const isKept = brick.keep && view.bricks.get(brick.name)?.button === true;
    const hand = byHand.power.get(brick.name);
    if (hand !== undefined) why.set(brick.name, hand === 'on' ? null : 'switched off by hand');
    else if (brick.on.kind === 'default')
      why.set(brick.name, isNeeded || isKept ? null : 'no brick that uses it is wanted');
    else if (isMet(brick.on.expression, lookup)) why.set(brick.name, null);
    else why.set(brick.name, `on: ${brick.on.text} (${whyNot(brick.on.expression, lookup)})`);
  }
  return why;
}

type Known = Pick<TargetBrick, 'params' | 'values' | 'why'>;

function knownParams(brick: PlannedBrick, { secrets, byHand, registry }: TargetInput, lookup: Lookup): Known {
  const completed = completeParams(brick.params, lookup, secrets);
  if (!completed.ok) return { params: null, values: null, why: `waits for ${completed.waitsFor.join(', ')}` };
  const params = { ...completed.params, ...byHand.params.get(brick.name) };
  const type = registry.find(brick.type);
  if (type === undefined) return { params: null, values: null, why: `there is no brick type "${brick.type}" here` };
  const checked = checkParams(type.meta.params, params);
  if (checked.ok) return { params, values: checked.values, why: null };
  return { params: null, values: null, why: checked.problems.map((problem) => problem.message).join('; ') };
}
