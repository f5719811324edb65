import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { closest } from 'fastest-levenshtein';
import { ERRNO_NAMES } from '../errno.js';
import { UNIT_HELP, formatUnit, parseUnit, type Unit } from './units.js';

/**
 * JSON schema (draft 2020-12 vocabulary as far as ajv's core has it) of one parameter. `unit` marks numbers that people
 * write with a unit; the brick gets the plain number.
 */
export interface ParamSchema {
  type?: 'number' | 'integer' | 'string' | 'boolean' | 'object' | 'array';
  about?: string;
  unit?: Unit;
  default?: unknown;
  enum?: readonly unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: 'errno';
  properties?: Record<string, ParamSchema>;
  required?: readonly string[];
  additionalProperties?: boolean | ParamSchema;
  items?: ParamSchema;
  minItems?: number;
  maxItems?: number;
}

/** The schema of all parameters of one brick type. */
export interface ParamsSchema extends ParamSchema {
  type?: 'object';
}

/** One thing that is wrong; `path` leads to it from the top of the parameters. */
export interface ParamProblem {
  path: readonly (string | number)[];
  message: string;
  hint?: string;
}

export type ParamsResult = { ok: true; values: Record<string, unknown> } | { ok: false; problems: ParamProblem[] };

/**
 * Checks parameters against a schema, fills in defaults and turns values with units into plain numbers.
 * The input is not changed.
 */
export function checkParams(schema: ParamsSchema, raw: Readonly<Record<string, unknown>>): ParamsResult {
  const problems: ParamProblem[] = [];
  const values = convert(schema, structuredClone(raw), [], problems) as Record<string, unknown>;
  const validate = compiled(schema);
  const isValid = validate(values);
  if (isValid && problems.length === 0) return { ok: true, values };
  // A value that is not of its unit has been named already, with a better hint than the validator has.
  const named = new Set(problems.map((problem) => problem.path.join('/')));
  const others = (isValid ? [] : (validate.errors ?? [])).map((error) => explain(error, schema));
  problems.push(...others.filter((other) => !named.has(other.path.join('/'))));
  return { ok: false, problems };
}

/** The first parameter whose default cannot be read as its unit, as a dotted path; `undefined` when all can. */
export function badDefault(schema: ParamSchema, path: readonly string[] = []): string | undefined {
  if (
    schema.unit !== undefined &&
    schema.default !== undefined &&
    parseUnit(schema.default, schema.unit) === undefined
  ) {
    return path.join('.');
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    const found = badDefault(inner, [...path, name]);
    if (found !== undefined) return found;
  }
  return schema.items === undefined ? undefined : badDefault(schema.items, path);
}

/** A default as a person would write it, for `mars-stack show`; `undefined` when there is none. */
export function formatDefault(schema: ParamSchema): string | undefined {
  if (schema.default === undefined) return undefined;
  if (schema.unit !== undefined && typeof schema.default === 'number') return formatUnit(schema.default, schema.unit);
  return typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default);
}

// One validator per schema object, i.e. per brick type.
const validators = new WeakMap<object, ValidateFunction>();

function compiled(schema: ParamsSchema): ValidateFunction {
  let validate = validators.get(schema);
  if (validate === undefined) {
    const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: false, keywords: ['about', 'unit'] });
    ajv.addFormat('errno', (name: string) => ERRNO_NAMES.includes(name));
    validate = ajv.compile(withoutUnitTypes(schema));
    validators.set(schema, validate);
  }
  return validate;
}

/** Defaults with units are written like values with units; ajv must see the plain number. */
function withoutUnitTypes(schema: ParamSchema): ParamSchema {
  const copy: ParamSchema = { additionalProperties: schema.properties ? false : true, ...schema };
  if (schema.unit !== undefined) {
    copy.type = 'number';
    if (schema.default !== undefined) copy.default = parseUnit(schema.default, schema.unit);
  }
  if (schema.properties) {
    copy.properties = Object.fromEntries(Object.entries(schema.properties).map(([k, v]) => [k, withoutUnitTypes(v)]));
  }
  if (schema.items) copy.items = withoutUnitTypes(schema.items);
  if (typeof schema.additionalProperties === 'object')
    copy.additionalProperties = withoutUnitTypes(schema.additionalProperties);
  return copy;
}

function convert(schema: ParamSchema, value: unknown, path: (string | number)[], problems: ParamProblem[]): unknown {
  if (schema.unit !== undefined && value !== undefined) {
    const plain = parseUnit(value, schema.unit);
    if (plain !== undefined) return plain;
    problems.push({
      path,
      message: `${nameOf(path)} is ${JSON.stringify(value)}`,
      hint: `Write ${UNIT_HELP[schema.unit]}.`,
    });
    return value;
  }
  if (Array.isArray(value) && schema.items)
    return value.map((item, i) => convert(schema.items!, item, [...path, i], problems));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const inner =
        schema.properties?.[key] ??
        (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {});
      return [key, convert(inner, item, [...path, key], problems)];
    }),
  );
}

function explain(error: ErrorObject, schema: ParamsSchema): ParamProblem {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step.replaceAll('~1', '/').replaceAll('~0', '~')));
  if (error.keyword === 'additionalProperties')
    return unknownKey([...path, String(error.params.additionalProperty)], schema);
  if (error.keyword === 'required') {
    const missing = [...path, String(error.params.missingProperty)];
    return { path, message: `parameter ${nameOf(missing)} is missing`, hint: aboutHint(schema, missing) };
  }
  if (error.keyword === 'enum') {
    return {
      path,
      message: `${nameOf(path)} has a value that does not exist`,
      hint: `Choose one of ${(error.params.allowedValues as unknown[]).join(', ')}.`,
    };
  }
  if (error.keyword === 'format')
    return { path, message: `${nameOf(path)} is no error name`, hint: 'Write one like EIO, ENOSPC or ETIME.' };
  return { path, message: `${nameOf(path)} ${error.message ?? 'is wrong'}`, hint: aboutHint(schema, path) };
}

function unknownKey(path: (string | number)[], schema: ParamsSchema): ParamProblem {
  const known = Object.keys(schemaAt(schema, path.slice(0, -1))?.properties ?? {});
  return { path, message: `there is no parameter ${nameOf(path)}`, hint: didYouMean(String(path.at(-1)), known) };
}

/** "Did you mean": the nearest known name, or the list of them. */
export function didYouMean(word: string, known: readonly string[]): string {
  if (known.length === 0) return 'Nothing can be set here.';
  const near = closest(word, known);
  const others = known.length > 12 ? '' : ` Known: ${known.join(', ')}.`;
  return `Did you mean "${near}"?${others}`;
}

function schemaAt(schema: ParamSchema, path: readonly (string | number)[]): ParamSchema | undefined {
  let at: ParamSchema | undefined = schema;
  for (const step of path) {
    if (at === undefined) return undefined;
    if (typeof step === 'number') at = at.items;
    else
      at = at.properties?.[step] ?? (typeof at.additionalProperties === 'object' ? at.additionalProperties : undefined);
  }
  return at;
}

function aboutHint(schema: ParamsSchema, path: readonly (string | number)[]): string | undefined {
  const at = schemaAt(schema, path);
  if (at?.unit !== undefined) return `Write ${UNIT_HELP[at.unit]}.`;
  return at?.about === undefined ? undefined : `${nameOf(path)}: ${at.about}`;
}

function nameOf(path: readonly (string | number)[]): string {
  return `"${path.join('.')}"`;
}
