import { createRequire } from 'node:module';
import { ErrorCode, didYouMean } from '@mars/brick-core';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Problems } from '../problems.js';
import type { SourceDocument } from './documents.js';
import type { Path } from './places.js';

const load = createRequire(import.meta.url);
/** The published schemas, as editors use them. */
export const STACK_SCHEMA = load('../../schema/mars-stack-1.json') as JsonSchema;
export const OVERLAY_SCHEMA = load('../../schema/mars-overlay-1.json') as JsonSchema;

export interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema;
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  if?: JsonSchema;
  then?: JsonSchema;
  else?: JsonSchema;
  description?: string;
}

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true, strictTypes: false });
const validators = new Map<JsonSchema, ValidateFunction>();

/**
 * Checks a document against its schema; every misfit goes to `problems`.
 * @returns true when its shape can be trusted (it fits, or has nothing worse than keys that do not exist), so that the
 * later checks can go on and find more
 */
export function hasShape(doc: SourceDocument, schema: JsonSchema, problems: Problems): boolean {
  let validate = validators.get(schema);
  if (validate === undefined) validators.set(schema, (validate = ajv.compile(schema)));
  if (validate(doc.value)) return true;
  const errors = validate.errors ?? [];
  for (const error of errors) explain(error, doc, schema, problems);
  return errors.every((error) => error.keyword === 'additionalProperties');
}

function explain(error: ErrorObject, doc: SourceDocument, schema: JsonSchema, problems: Problems): void {
  const path = pathOf(error.instancePath);
  const params = error.params as Record<string, unknown>;
  const at = path.length === 0 ? 'the document' : `"${path.join('.')}"`;
  const report = (text: string, hint: string | undefined, place = doc.places.value(path)): void =>
    problems.add(ErrorCode.BAD_STACK_FILE, text, { hint, place });
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty);
      const known = Object.keys(schemaAt(schema, path)?.properties ?? {});
      return report(
        `there is no key "${key}" ${path.length === 0 ? 'at the top' : `in ${at}`}`,
        didYouMean(key, known),
        doc.places.key([...path, key]),
      );
    }
    case 'required':
      return report(
        `${at} has no "${String(params.missingProperty)}"`,
        aboutKey(schema, path, String(params.missingProperty)),
        doc.places.key(path),
      );
    case 'propertyNames':
      return report(
        `"${String(params.propertyName)}" is no name that can be used here`,
        'Use lower case letters, digits and underscores; begin with a letter.',
        doc.places.key([...path, String(params.propertyName)]),
      );
    case 'enum':
      return report(
        `${at} is ${show(doc, path)}`,
        didYouMean(String(valueAt(doc.value, path)), (params.allowedValues as unknown[]).map(String)),
      );
    case 'const':
      if (error.propertyName !== undefined) return;
      return report(`${at} is ${show(doc, path)}`, `It must be ${JSON.stringify(params.allowedValue)}.`);
    case 'type':
      return report(
        `${at} is ${show(doc, path)}, which is no ${[params.type].flat().map(typeName).join(' or ')}`,
        aboutValue(schema, path),
      );
    case 'minProperties':
    case 'minItems':
      return report(`${at} is empty`, aboutValue(schema, path));
    case 'maxLength':
      return report(`${at} is longer than ${String(params.limit)} characters`, undefined);
    case 'pattern':
      // A bad *name* is reported by `propertyNames` already.
      if (error.propertyName !== undefined) return;
      return report(`${at} cannot be ${show(doc, path)}`, aboutValue(schema, path));
    case 'if':
    case 'not':
      return;
    default:
      return report(`${at} ${error.message ?? 'is wrong'}`, aboutValue(schema, path));
  }
}

function pathOf(pointer: string): Path {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step.replaceAll('~1', '/').replaceAll('~0', '~')));
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<string | number, unknown> | null)?.[step], value);
}

function show(doc: SourceDocument, path: Path): string {
  const text = JSON.stringify(valueAt(doc.value, path)) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function typeName(type: unknown): string {
  return { object: 'map ("key: value")', array: 'list ("[a, b]")', string: 'text' }[String(type)] ?? String(type);
}

/** The part of the schema that describes the value at `path`. */
function schemaAt(root: JsonSchema, path: Path): JsonSchema | undefined {
  const resolve = (schema: JsonSchema | undefined, isList: boolean): JsonSchema | undefined => {
    if (schema?.$ref !== undefined) return root.$defs?.[schema.$ref.split('/').at(-1)!];
    if (schema?.then !== undefined) return isList ? schema.else : resolve(schema.then, false);
    return schema;
  };
  let at: JsonSchema | undefined = root;
  for (const step of path) {
    const inside: JsonSchema | undefined = resolve(at, typeof step === 'number');
    if (inside === undefined) return undefined;
    const others = typeof inside.additionalProperties === 'object' ? inside.additionalProperties : undefined;
    at = typeof step === 'number' ? inside.items : (inside.properties?.[step] ?? others);
  }
  return resolve(at, false);
}

function aboutValue(schema: JsonSchema, path: Path): string | undefined {
  return schemaAt(schema, path)?.description;
}

function aboutKey(schema: JsonSchema, path: Path, key: string): string | undefined {
  const text = schemaAt(schema, path)?.properties?.[key]?.description;
  return text === undefined ? `Write "${key}: …" below it.` : `${key}: ${text}`;
}
