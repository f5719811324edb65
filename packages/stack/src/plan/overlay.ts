import {
  ErrorCode,
  FilterBrick,
  MarsError,
  checkParams,
  didYouMean,
  parseUnit,
  type BrickRegistry,
  type SourcePlace,
} from '@mars/brick-core';
import type { Problems } from '../problems.js';
import type { SourceDocument } from '../source/documents.js';
import { findType, planParams } from './members.js';
import { providersFirst } from './order.js';
import type { Scope } from './scope.js';
import { wireName, type ParamValue, type PlannedBrick, type PlannedWire, type StackPlan } from './types.js';

/** Filters to put on wires of a stack; plain data. Source: architecture.md 9. */
export interface Overlay {
  name: string;
  inserts: Insertion[];
}

export interface Insertion {
  /** `consumer.input`, or `consumer` when it has one input; a family name means each of its members. */
  wire: string;
  name: string;
  type: string;
  /** Names of the filter's own input and output. */
  input: string;
  output: string;
  params: Record<string, ParamValue>;
  adapt: 'auto' | 'never';
  ioTimeoutMs: number;
  place: SourcePlace | null;
}

interface InsertDeclaration {
  wire: string;
  name?: string;
  brick: { type: string; params?: Record<string, unknown>; adapt?: 'auto' | 'never'; ioTimeout?: string };
}

/** Reads an overlay document that fits its schema. */
export function readOverlay(doc: SourceDocument, scope: Scope, registry: BrickRegistry, problems: Problems): Overlay {
  const { overlay, insert } = doc.value as { overlay: string; insert: InsertDeclaration | InsertDeclaration[] };
  const isList = Array.isArray(insert);
  const inserts = [insert].flat().map((declared, nr): Insertion => {
    const path = isList ? ['insert', nr] : ['insert'];
    const fallback = overlay.replaceAll('-', '_') + (nr > 0 ? `_${nr + 1}` : '');
    const type = findType(declared.brick.type, [...path, 'brick', 'type'], doc.places, registry, problems);
    const name = declared.name ?? fallback;
    if (type !== undefined && !isFilterType(registry, type.meta.type)) {
      problems.add(ErrorCode.BAD_OVERLAY, `brick type "${type.meta.type}" is no filter`, {
        hint: 'Only a brick with one input and one output fits on a wire.',
        place: doc.places.value([...path, 'brick', 'type']),
      });
    }
    return {
      wire: declared.wire,
      name,
      type: type?.meta.type ?? declared.brick.type,
      input: Object.keys(type?.meta.inputs ?? {})[0] ?? 'next',
      output: type?.meta.outputs[0] ?? 'out',
      params: planParams(
        declared.brick.params,
        [...path, 'brick', 'params'],
        { base: name, type },
        scope,
        doc.places,
        problems,
      ),
      adapt: declared.brick.adapt ?? 'auto',
      ioTimeoutMs: parseUnit(declared.brick.ioTimeout ?? 0, 'ms') ?? 0,
      place: doc.places.value([...path, 'wire']),
    };
  });
  return { name: overlay, inserts };
}

/**
 * The plan with the overlay's bricks on its wires; the plan itself is not changed.
 * @throws MarsError BAD_OVERLAY when a wire does not exist or a name is taken
 */
export function applyOverlay(plan: StackPlan, overlay: Overlay): StackPlan {
  return overlay.inserts.reduce((at, insertion) => insertOne(at, insertion, overlay.name), plan);
}

/** The plan without a filter (all members of a family); its consumers are wired to what lies below it. */
export function withoutFilter(plan: StackPlan, base: string, registry: BrickRegistry): StackPlan {
  const gone = plan.bricks.filter((brick) => brick.base === base || brick.name === base);
  if (gone.length === 0) {
    throw new MarsError(ErrorCode.NO_SUCH_BRICK, `there is no brick "${base}" in stack "${plan.stack}"`, {
      hint: didYouMean(base, [...new Set(plan.bricks.map((brick) => brick.base))]),
    });
  }
  return gone.reduce((at, brick) => bypass(at, brick, registry), plan);
}

/** One input, one output, made to sit on a wire. */
export function isFilterType(registry: BrickRegistry, type: string): boolean {
  const found = registry.find(type);
  return (
    found !== undefined && found.cls.prototype instanceof FilterBrick && Object.keys(found.meta.inputs).length === 1
  );
}

function bypass(plan: StackPlan, brick: PlannedBrick, registry: BrickRegistry): StackPlan {
  const below = plan.wires.find((wire) => wire.consumer === brick.name);
  const consumers = plan.wires.filter((wire) => wire.provider === brick.name);
  if (!isFilterType(registry, brick.type) || below === undefined || consumers.length === 0) {
    throw new MarsError(ErrorCode.BAD_WIRE, `"${brick.name}" (${brick.type}) is no filter on a wire`, {
      hint: 'Only filters with a consumer can be taken out.',
    });
  }
  const wires = plan.wires
    .filter((wire) => wire !== below)
    .map((wire) => (wire.provider === brick.name ? { ...wire, provider: below.provider, port: below.port } : wire));
  const exports = Object.fromEntries(
    Object.entries(plan.exports).map(([name, to]) => [
      name,
      to.brick === brick.name ? { brick: below.provider, port: below.port } : to,
    ]),
  );
  return { ...plan, bricks: plan.bricks.filter((other) => other !== brick), wires, exports };
}

function insertOne(plan: StackPlan, insertion: Insertion, overlay: string): StackPlan {
  if (plan.bricks.some((brick) => brick.base === insertion.name)) {
    throw overlayError(insertion, `there is a brick "${insertion.name}" already`, 'Give the new one its own "name:".');
  }
  const wires = matchingWires(plan, insertion);
  const isSingle = wires.length === 1 && keyOf(plan, wires[0]!) === null;
  const names = wires.map((wire) => (isSingle ? insertion.name : `${insertion.name}:${keyOf(plan, wire)}`));
  const bricks = wires.map((wire, nr) => filterBrick(insertion, names[nr]!, keyOf(plan, wire), overlay));
  const moved = plan.wires.map((wire) => {
    const nr = wires.indexOf(wire);
    return nr < 0 ? wire : { ...wire, provider: names[nr]!, port: insertion.output };
  });
  const added = wires.map((wire, nr): PlannedWire => ({
    consumer: names[nr]!,
    input: insertion.input,
    nr: 0,
    provider: wire.provider,
    port: wire.port,
  }));
  const all = [...moved, ...added];
  return { ...plan, bricks: providersFirst([...plan.bricks, ...bricks], all), wires: all };
}

function matchingWires(plan: StackPlan, insertion: Insertion): PlannedWire[] {
  const baseOf = new Map(plan.bricks.map((brick) => [brick.name, brick.base]));
  const nameOf = (wire: PlannedWire): string => wireName({ consumer: baseOf.get(wire.consumer)!, input: wire.input });
  const names = [...new Set(plan.wires.map(nameOf))];
  const wanted = insertion.wire.includes('.')
    ? [insertion.wire]
    : names.filter((name) => name.startsWith(`${insertion.wire}.`));
  if (wanted.length > 1)
    throw overlayError(insertion, `"${insertion.wire}" has several inputs`, `Say which: ${wanted.join(', ')}.`);
  // One member of a family may be meant: `log:000000001.next`.
  const found = plan.wires.filter((wire) => nameOf(wire) === wanted[0] || wireName(wire) === insertion.wire);
  if (found.length > 0) return found;
  throw overlayError(
    insertion,
    `stack "${plan.stack}" has no wire "${insertion.wire}"`,
    didYouMean(insertion.wire, names),
  );
}

/** Members keep their key, so that a filter on a family's wires is a family, too. */
function keyOf(plan: StackPlan, wire: PlannedWire): string | null {
  const key = (name: string): string | null => plan.bricks.find((brick) => brick.name === name)!.key;
  return key(wire.provider) ?? key(wire.consumer);
}

function filterBrick(
  { name: base, type, params, adapt, ioTimeoutMs, place }: Insertion,
  name: string,
  key: string | null,
  overlay: string,
): PlannedBrick {
  return {
    name,
    base,
    key,
    type,
    params,
    on: { kind: 'default' },
    after: [],
    adapt,
    keep: false,
    ioTimeoutMs,
    overlay,
    place,
  };
}

function overlayError(insertion: Insertion, text: string, hint: string): MarsError {
  return new MarsError(ErrorCode.BAD_OVERLAY, text, {
    hint,
    ...(insertion.place === null ? {} : { place: insertion.place }),
  });
}

/** What a person asks for at the control socket. */
export interface InsertRequest {
  wire: string;
  type: string;
  /** Default: the type, with a number when that is taken. */
  name?: string;
  params?: Record<string, ParamValue>;
}

/**
 * An overlay of one filter, checked as if it stood in a file.
 * @throws MarsError UNKNOWN_BRICK_TYPE, BAD_OVERLAY, BAD_PARAMETER
 */
export function overlayOf(request: InsertRequest, taken: readonly string[], registry: BrickRegistry): Overlay {
  const { meta } = registry.get(request.type);
  if (!isFilterType(registry, meta.type)) {
    throw new MarsError(ErrorCode.BAD_OVERLAY, `brick type "${meta.type}" is no filter`, {
      hint: 'Only a brick with one input and one output fits on a wire.',
    });
  }
  const name = request.name ?? freeName(meta.type.replaceAll(/[^a-z0-9]/g, '_'), taken);
  const params = request.params ?? {};
  const checked = checkParams(meta.params, params);
  if (!checked.ok) {
    const { message, hint } = checked.problems[0]!;
    throw new MarsError(
      ErrorCode.BAD_PARAMETER,
      `brick "${name}" (${meta.type}): ${message}`,
      hint === undefined ? {} : { hint },
    );
  }
  const [input, output] = [Object.keys(meta.inputs)[0]!, meta.outputs[0]!];
  return {
    name,
    inserts: [
      { wire: request.wire, name, type: meta.type, input, output, params, adapt: 'auto', ioTimeoutMs: 0, place: null },
    ],
  };
}

function freeName(type: string, taken: readonly string[]): string {
  for (let nr = 1; ; nr++) {
    const name = nr === 1 ? type : `${type}_${nr}`;
    if (!taken.includes(name)) return name;
  }
}
