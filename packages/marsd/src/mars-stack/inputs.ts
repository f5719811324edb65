import { ErrorCode, MarsError, isMarsError, type Files, type ParamsSchema } from '@mars/brick-core';
import type { FactValue, ParamValue, StackSource } from '@mars/stack';

/** Reads stack files and overlays. @throws MarsError BAD_STACK_FILE */
export function readSources(files: Files, paths: readonly string[]): StackSource[] {
  return paths.map((file) => ({ file, text: readText(files, file) }));
}

export function readText(files: Files, file: string): string {
  const refuse = (why: string): never => {
    throw new MarsError(ErrorCode.BAD_STACK_FILE, `${file} cannot be read: ${why}`, { hint: 'Check the path.' });
  };
  try {
    const bytes = files.readFile(file);
    return bytes === null ? refuse('there is no such file') : new TextDecoder().decode(bytes);
  } catch (error) {
    if (isMarsError(error) && error.code !== ErrorCode.BAD_STACK_FILE) return refuse(error.message);
    throw error;
  }
}

/** `['seed=7', 'disk=/dev/x']` → `{ seed: '7', disk: '/dev/x' }`. @throws MarsError USAGE */
export function parsePairs(pairs: readonly string[], option: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)] as const;
      throw new MarsError(ErrorCode.USAGE, `"${pair}" is no NAME=VALUE`, { hint: `Write it like ${option}.` });
    }),
  );
}

/** Facts are numbers, true, false, or texts. */
export function parseFacts(pairs: readonly string[]): Record<string, FactValue> {
  return Object.fromEntries(
    Object.entries(parsePairs(pairs, '--fact allow.attach=true')).map(([name, text]) => [name, factOf(text)]),
  );
}

/**
 * Parameters from the command line: `write=5ms`, `write.rate=0.1` for a map, JSON for lists. What the schema calls a
 * string stays one.
 */
export function parseParams(pairs: readonly string[], schema: ParamsSchema): Record<string, ParamValue> {
  const params: Record<string, ParamValue> = {};
  for (const [path, text] of Object.entries(parsePairs(pairs, 'write=5ms'))) {
    const steps = path.split('.');
    const isText = steps.length === 1 && schema.properties?.[path]?.type === 'string';
    place(params, steps, isText ? text : valueOf(text));
  }
  return params;
}

function place(into: Record<string, ParamValue>, steps: readonly string[], value: ParamValue): void {
  const [first, ...rest] = steps;
  if (rest.length === 0) into[first!] = value;
  else {
    const inner = into[first!];
    const map =
      typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? (inner as Record<string, ParamValue>) : {};
    into[first!] = map;
    place(map, rest, value);
  }
}

function valueOf(text: string): ParamValue {
  if (!/^[[{"]/.test(text)) return factOf(text);
  try {
    return JSON.parse(text) as ParamValue;
  } catch {
    return text;
  }
}

function factOf(text: string): FactValue {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}
