import { checkParams, type ParamProblem, type ParamsSchema } from '@mars/brick-core';
import type { FactValue } from '../expression/types.js';
import type { Path } from '../source/places.js';
import { withoutRequired } from './param-schema.js';
import { isLate, type LatePart, type ParamValue } from './types.js';

type Params = Record<string, ParamValue>;

/** Names of the facts that these parameters wait for. */
export function factsIn(value: ParamValue): string[] {
  if (isLate(value)) return value.$late.flatMap((part) => ('fact' in part ? [part.fact] : []));
  if (Array.isArray(value)) return value.flatMap(factsIn);
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(factsIn) : [];
}

export type Completed = { ok: true; params: Record<string, unknown> } | { ok: false; waitsFor: string[] };

/** Fills in facts and secrets, when all that are needed are known. */
export function completeParams(
  params: Params,
  factOf: (name: string) => FactValue | undefined,
  secrets: Readonly<Record<string, string>>,
): Completed {
  const waitsFor: string[] = [];
  const part = (p: LatePart): unknown => {
    if ('text' in p) return p.text;
    const value =
      'fact' in p ? factOf(p.fact) : 'secret' in p && Object.hasOwn(secrets, p.secret) ? secrets[p.secret] : undefined;
    if (value === undefined) waitsFor.push('fact' in p ? p.fact : 'secret' in p ? p.secret : p.missing);
    return value;
  };
  const complete = (value: ParamValue): unknown => {
    if (isLate(value))
      return value.$late.length === 1 ? part(value.$late[0]!) : value.$late.map((p) => String(part(p))).join('');
    if (Array.isArray(value)) return value.map(complete);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, complete(inner)]));
  };
  const done = complete(params) as Record<string, unknown>;
  return waitsFor.length > 0 ? { ok: false, waitsFor: [...new Set(waitsFor)] } : { ok: true, params: done };
}

/** Checks what can be checked now: whatever waits for a fact or a secret is checked when the brick is built. */
export function checkKnownParams(schema: ParamsSchema, params: Params): ParamProblem[] {
  const late: Path[] = [];
  const known = withoutLate(params, [], late) as Record<string, unknown>;
  const result = checkParams(withoutRequired(schema, late) as ParamsSchema, known);
  if (result.ok) return [];
  return result.problems.filter((problem) => !late.some((path) => path.every((step, i) => problem.path[i] === step)));
}

function withoutLate(value: ParamValue, path: Path, late: Path[]): unknown {
  if (isLate(value)) {
    late.push(path);
    return undefined;
  }
  if (Array.isArray(value)) return value.map((item, nr) => withoutLate(item, [...path, nr], late) ?? '');
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, withoutLate(inner, [...path, key], late)] as const);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

/** Parameters for people: facts as `${name}`, secrets as `***`. */
export function showParam(value: ParamValue): unknown {
  if (isLate(value)) {
    return value.$late
      .map((p) => ('text' in p ? p.text : 'secret' in p ? '***' : `\${${'fact' in p ? p.fact : p.missing}}`))
      .join('');
  }
  if (Array.isArray(value)) return value.map(showParam);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, showParam(inner)]));
}
