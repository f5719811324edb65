import type { ParamSchema } from '@mars/brick-core';
import type { Path } from '../source/places.js';

/** Does the schema know a parameter at this path? */
export function knowsParam(schema: ParamSchema, path: Path): boolean {
  let at: ParamSchema | undefined = schema;
  for (const step of path) {
    if (at === undefined) return false;
    const others: ParamSchema | undefined =
      typeof at.additionalProperties === 'object' ? at.additionalProperties : undefined;
    at = typeof step === 'number' ? at.items : (at.properties?.[step] ?? others);
  }
  return at !== undefined;
}

/** Validators are kept per schema object and cost some 20 ms to make, so the same question gets the same object. */
const relaxed = new WeakMap<ParamSchema, Map<string, ParamSchema>>();
/** Sets of late parameters that are remembered per brick type; a stack file has a handful. */
const MAX_RELAXED = 64;

/** The schema without the demand that these parameters are present: they are, but their values come later. */
export function withoutRequired(schema: ParamSchema, late: readonly Path[]): ParamSchema {
  if (late.length === 0) return schema;
  let known = relaxed.get(schema);
  if (known === undefined || known.size >= MAX_RELAXED) relaxed.set(schema, (known = new Map()));
  const key = JSON.stringify(late);
  let found = known.get(key);
  if (found === undefined) known.set(key, (found = relax(schema, late)));
  return found;
}

function relax(schema: ParamSchema, late: readonly Path[]): ParamSchema {
  const firsts = new Set(late.filter((path) => path.length === 1).map((path) => path[0]));
  const inner = (key: string, of: ParamSchema): ParamSchema =>
    withoutRequired(
      of,
      late.filter((path) => path.length > 1 && path[0] === key).map((path) => path.slice(1)),
    );
  return {
    ...schema,
    ...(schema.required && { required: schema.required.filter((name) => !firsts.has(name)) }),
    ...(schema.properties && {
      properties: Object.fromEntries(Object.entries(schema.properties).map(([key, of]) => [key, inner(key, of)])),
    }),
  };
}
