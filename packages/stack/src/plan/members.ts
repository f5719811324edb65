import { ErrorCode, didYouMean, parseUnit, type BrickRegistry, type BrickType } from '@mars/brick-core';
import { checkKnownParams } from './late.js';
import { knowsParam } from './param-schema.js';
import type { Problems } from '../problems.js';
import type { SourceDocument } from '../source/documents.js';
import type { Path, Places } from '../source/places.js';
import type { Item, Scope } from './scope.js';
import type { ParamValue, PlannedBrick } from './types.js';
import type { Variables } from './vars.js';

/** A brick as the stack file declares it (after the schema check). */
export interface Declaration {
  type: string;
  in?: string | Record<string, string>;
  params?: Record<string, unknown>;
  on?: string | boolean;
  each?: string;
  after?: string[];
  adapt?: 'auto' | 'never';
  keep?: boolean;
  ioTimeout?: string;
}

/** One declared brick with everything that later steps need. */
export interface Declared {
  base: string;
  declaration: Declaration;
  path: Path;
  /** `undefined` = unknown type, reported. */
  type: BrickType | undefined;
  /** List variable of the family; `null` for a single brick. */
  list: string | null;
  members: Member[];
}

export interface Member {
  name: string;
  item: Item | null;
}

/** Finds type and members of every declared brick. */
export function declareBricks(
  doc: SourceDocument,
  registry: BrickRegistry,
  vars: Variables,
  problems: Problems,
): Declared[] {
  const { bricks } = doc.value as { bricks: Record<string, Declaration> };
  return Object.entries(bricks).map(([base, declaration]) => {
    const path = ['bricks', base];
    const items = itemsOf(declaration.each, [...path, 'each'], doc, vars, problems);
    return {
      base,
      declaration,
      path,
      type: findType(declaration.type, [...path, 'type'], doc.places, registry, problems),
      list: declaration.each === undefined ? null : listName(declaration.each),
      members:
        items === null ? [{ name: base, item: null }] : items.map((item) => ({ name: `${base}:${item.key}`, item })),
    };
  });
}

export function findType(
  type: string,
  path: Path,
  places: Places,
  registry: BrickRegistry,
  problems: Problems,
): BrickType | undefined {
  const found = registry.find(type);
  if (found !== undefined) return found;
  problems.add(ErrorCode.UNKNOWN_BRICK_TYPE, `there is no brick type "${type}"`, {
    hint: `${didYouMean(type, registry.names())} "mars-stack list" shows all.`,
    place: places.value(path),
  });
  return undefined;
}

/** The planned brick of one member: parameters filled in and checked, condition parsed. */
export function planMember(
  declared: Declared,
  member: Member,
  scope: Scope,
  doc: SourceDocument,
  problems: Problems,
): PlannedBrick {
  const { declaration, path, base } = declared;
  const inner = scope.forItem(member.item);
  const params = planParams(declaration.params, [...path, 'params'], declared, inner, doc.places, problems);
  return {
    name: member.name,
    base,
    key: member.item?.key ?? null,
    type: declared.type?.meta.type ?? declaration.type,
    params,
    on: inner.condition(declaration.on, [...path, 'on'], doc.places, problems) ?? { kind: 'default' },
    after: declaration.after ?? [],
    adapt: declaration.adapt ?? 'auto',
    keep: declaration.keep ?? false,
    ioTimeoutMs: parseUnit(declaration.ioTimeout ?? 0, 'ms') ?? 0,
    overlay: null,
    place: doc.places.key(path),
  };
}

/** Fills in and checks parameters; what is wrong is reported at the very value (or key) that is wrong. */
export function planParams(
  raw: Record<string, unknown> | undefined,
  path: Path,
  { base, type }: Pick<Declared, 'base' | 'type'>,
  scope: Scope,
  places: Places,
  problems: Problems,
): Record<string, ParamValue> {
  const params = scope.interpolate(raw ?? {}, path, places, problems) as Record<string, ParamValue>;
  if (type === undefined) return params;
  for (const problem of checkKnownParams(type.meta.params, params)) {
    const at = [...path, ...problem.path];
    const isUnknownKey = !knowsParam(type.meta.params, problem.path);
    problems.add(ErrorCode.BAD_PARAMETER, `brick "${base}" (${type.meta.type}): ${problem.message}`, {
      hint: problem.hint,
      place: isUnknownKey ? places.key(at) : raw === undefined ? places.key(path.slice(0, -1)) : places.value(at),
    });
  }
  return params;
}

function listName(each: string): string {
  return each.slice(2, -1);
}

function itemsOf(
  each: string | undefined,
  path: Path,
  doc: SourceDocument,
  vars: Variables,
  problems: Problems,
): Item[] | null {
  if (each === undefined) return null;
  const list = listName(each);
  const place = doc.places.value(path);
  const type = vars.types.get(list);
  if (type !== 'list' && type !== 'log-directory') {
    const lists = [...vars.types].filter(([, t]) => t === 'list' || t === 'log-directory').map(([name]) => name);
    const text = type === undefined ? `there is no variable "${list}"` : `"${list}" is no list, it is a ${type}`;
    problems.add(ErrorCode.BAD_VARIABLE, text, {
      hint: lists.length > 0 ? didYouMean(list, lists) : 'Declare it under "vars:" with "type: list".',
      place,
    });
    return [];
  }
  if (vars.missing.has(list)) return [{ list, key: 'KEY', element: undefined, isKnown: false }];
  const items = (vars.values.get(list) as unknown[]).map((element, nr) => ({
    list,
    key: keyOf(element, nr),
    element,
    isKnown: true,
  }));
  for (const [nr, { key }] of items.entries()) {
    if (items.findIndex((other) => other.key === key) === nr) continue;
    problems.add(ErrorCode.BAD_VARIABLE, `two elements of "${list}" have the key "${key}"`, {
      hint: 'Give each element its own "key".',
      place,
    });
  }
  return items;
}

/** What joins members of families over one list: the element's `key`, else its `name` or `path`, else itself. */
function keyOf(element: unknown, nr: number): string {
  const isWord = (value: unknown): value is string | number => typeof value === 'string' || typeof value === 'number';
  if (isWord(element)) return String(element);
  const { key, name, path } = Object(element) as Record<string, unknown>;
  return String([key, name, path].find(isWord) ?? nr);
}
