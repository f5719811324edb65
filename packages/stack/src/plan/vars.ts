import { ErrorCode, didYouMean, formatUnit, parseUnit } from '@mars/brick-core';
import { MAX_LIST_ITEMS } from '../limits.js';
import type { Problems } from '../problems.js';
import type { SourceDocument } from '../source/documents.js';
import type { VarValues } from './types.js';

export type VarType =
  'string' | 'path' | 'bytes' | 'integer' | 'boolean' | 'secret' | 'peer' | 'list' | 'log-directory';

interface VarDeclaration {
  type: VarType;
  default?: unknown;
  about?: string;
}

/** What a caller may say about a directory of logs; the keys are those of the map that stands for a plain path. */
export interface LogDirectoryValue {
  path: string;
  /** A new log is begun at this size, bytes; 0 = never. */
  rotate?: number;
  /** So many logs that are completely on the disk are kept. */
  keep?: number;
  /** Name of this host in the names of the files. */
  host?: string;
  /** Accept damage at the end of the logs. */
  force?: boolean;
}

/** The variables of one stack with their values. */
export interface Variables {
  types: ReadonlyMap<string, VarType>;
  /** Everything but secrets. */
  values: ReadonlyMap<string, unknown>;
  secrets: ReadonlyMap<string, string>;
  /** Directories of the `log-directory` variables; as values they are lists, filled by whoever keeps the logs. */
  logDirectories: ReadonlyMap<string, LogDirectoryValue>;
  /** Declared, but without a value; empty unless the caller allows it. */
  missing: ReadonlySet<string>;
}

const TYPE_HELP: Readonly<Record<VarType, string>> = {
  string: 'a text',
  path: 'a path',
  bytes: 'a size like 4096, 64K, 16M or 2G',
  integer: 'a whole number',
  boolean: 'true or false',
  secret: 'a text (it is never shown)',
  peer: 'a host, or host:port',
  list: 'a list: [a, b] in YAML or JSON, or a,b on the command line',
  'log-directory':
    'the path of a directory, or {"path":…} with rotate (a size), keep (a number), host, force beside it',
};

/** Gives every declared variable its value: the caller's, else the default. Texts are read as the declared type. */
export function resolveVars(doc: SourceDocument, given: VarValues, mayMiss: boolean, problems: Problems): Variables {
  const declared = (doc.value as { vars?: Record<string, VarDeclaration> }).vars ?? {};
  const values = new Map<string, unknown>();
  const secrets = new Map<string, string>();
  const logDirectories = new Map<string, LogDirectoryValue>();
  const missing = new Set<string>();
  refuseUnknown(declared, given, doc, problems);
  for (const [name, declaration] of Object.entries(declared)) {
    const isGiven = Object.hasOwn(given, name) && given[name] !== undefined;
    const raw = isGiven ? given[name] : declaration.default;
    if (raw === undefined) {
      missing.add(name);
      if (!mayMiss) addMissing(name, declaration, doc, problems);
      continue;
    }
    const value = readAs(declaration.type, raw);
    if (value === undefined) addMisfit(name, declaration, raw, isGiven, doc, problems);
    else if (declaration.type === 'secret') secrets.set(name, value as string);
    else if (declaration.type === 'log-directory' && !Array.isArray(value)) {
      logDirectories.set(name, value as LogDirectoryValue);
      values.set(name, []);
    } else values.set(name, value);
    // A variable with a wrong value counts as missing, so that nothing that uses it is reported a second time.
    if (value === undefined) missing.add(name);
  }
  const types = new Map(Object.entries(declared).map(([name, { type }]) => [name, type]));
  return { types, values, secrets, logDirectories, missing };
}

/** The value as that type, or `undefined`. */
export function readAs(type: VarType, raw: unknown): unknown {
  switch (type) {
    case 'string':
    case 'secret':
      return typeof raw === 'string' || typeof raw === 'number' ? String(raw) : undefined;
    case 'path':
    case 'peer':
      return typeof raw === 'string' && raw !== '' ? raw : undefined;
    case 'bytes':
      return parseUnit(raw, 'bytes');
    case 'integer':
      return readInteger(raw);
    case 'boolean':
      return raw === true || raw === 'true' ? true : raw === false || raw === 'false' ? false : undefined;
    case 'list':
      return readList(raw);
    case 'log-directory':
      return Array.isArray(raw) ? readList(raw) : readLogDirectory(raw);
  }
}

function readLogDirectory(raw: unknown): LogDirectoryValue | undefined {
  const given = typeof raw === 'string' ? (raw.trimStart().startsWith('{') ? parsed(raw) : { path: raw }) : raw;
  if (typeof given !== 'object' || given === null) return undefined;
  const { path, rotate, keep, host, force, ...unknown } = given as Record<string, unknown>;
  const value = {
    path: readAs('path', path),
    ...(rotate === undefined ? {} : { rotate: readAs('bytes', rotate) }),
    ...(keep === undefined ? {} : { keep: readInteger(keep) }),
    ...(host === undefined ? {} : { host: readAs('peer', host) }),
    ...(force === undefined ? {} : { force: readAs('boolean', force) }),
  };
  const isFine = Object.keys(unknown).length === 0 && Object.values(value).every((field) => field !== undefined);
  return isFine ? (value as LogDirectoryValue) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function readInteger(raw: unknown): number | undefined {
  const number = typeof raw === 'string' && /^[+-]?\d+$/.test(raw.trim()) ? Number(raw) : raw;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

function readList(raw: unknown): unknown[] | undefined {
  if (Array.isArray(raw)) return raw.length <= MAX_LIST_ITEMS ? raw : undefined;
  if (typeof raw !== 'string') return undefined;
  if (!raw.trim().startsWith('[')) return raw.trim() === '' ? [] : raw.split(',').map((item) => item.trim());
  try {
    return readList(JSON.parse(raw) as unknown);
  } catch {
    return undefined;
  }
}

function refuseUnknown(declared: object, given: VarValues, doc: SourceDocument, problems: Problems): void {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(declared, name)) continue;
    problems.add(ErrorCode.BAD_VARIABLE, `${doc.file} has no variable "${name}"`, {
      hint: didYouMean(name, Object.keys(declared)),
    });
  }
}

function addMissing(name: string, { type, about }: VarDeclaration, doc: SourceDocument, problems: Problems): void {
  problems.add(ErrorCode.BAD_VARIABLE, `variable "${name}" has no value${about === undefined ? '' : ` (${about})`}`, {
    hint: `Add "--set ${name}=…" with ${TYPE_HELP[type]}, or give it a default.`,
    place: doc.places.key(['vars', name]),
  });
}

function addMisfit(
  name: string,
  { type }: VarDeclaration,
  raw: unknown,
  isGiven: boolean,
  doc: SourceDocument,
  problems: Problems,
): void {
  const shown = type === 'secret' ? 'has a value of the wrong type' : `is ${JSON.stringify(raw)}`;
  problems.add(ErrorCode.BAD_VARIABLE, `variable "${name}" ${shown}, but its type is ${type}`, {
    hint: `Give it ${TYPE_HELP[type]}.`,
    place: isGiven ? doc.places.key(['vars', name]) : doc.places.value(['vars', name, 'default']),
  });
}

/** A value of a variable for people: sizes with a unit. */
export function formatVar(type: VarType, value: unknown): string {
  if (type === 'bytes' && typeof value === 'number') return formatUnit(value, 'bytes');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
