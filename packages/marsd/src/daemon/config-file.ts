import { ErrorCode, MarsError, type Files } from '@mars/brick-core';
import { LineCounter, isMap, isScalar, parseDocument, type Node, type Pair } from 'yaml';
import { MAX_CONFIG_BYTES } from './limits.js';
import type { GivenSettings } from './settings.js';

type Check = { expected: string; fits: (value: unknown) => boolean };

const text: Check = { expected: 'a text', fits: (v) => typeof v === 'string' && v !== '' };
const bool: Check = { expected: 'true or false', fits: (v) => typeof v === 'boolean' };
const oneOf = (...words: string[]): Check => ({
  expected: words.join(', '),
  fits: (v) => words.includes(v as string),
});

/** Keys of `marsd.yaml`, and where each value goes. */
const KEYS: Readonly<Record<string, Check & { to: keyof GivenSettings }>> = {
  mars: { ...text, to: 'mars' },
  run: { ...text, to: 'run' },
  host: { ...text, to: 'host' },
  ip: { ...text, to: 'ip' },
  port: { expected: 'a number', fits: Number.isInteger, to: 'port' },
  insecure: { ...bool, to: 'insecure' },
  mountpointCheck: { ...bool, to: 'mountpointCheck' },
  logLevel: { ...oneOf('error', 'warn', 'info', 'debug'), to: 'logLevel' },
  controlFiles: { ...oneOf('auto', 'fuse', 'plain'), to: 'controlFiles' },
  tunables: { expected: 'control files and numbers', fits: isTunables, to: 'tunables' },
};

function isTunables(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((v) => Number.isInteger(v));
}

/**
 * Reads `marsd.yaml`. Nobody needs to have one: without an explicit name, a missing file is an empty one.
 * @param explicit name from `--config` or MARS_CONFIG
 * @throws MarsError BAD_PARAMETER with file, line and column; FILE_OPEN
 */
export function readConfig(files: Files, explicit: string | undefined, fallback: string): GivenSettings {
  const path = explicit ?? fallback;
  const bytes = files.readFile(path);
  if (bytes === null && explicit === undefined) return {};
  if (bytes === null) {
    throw new MarsError(ErrorCode.FILE_OPEN, `there is no file ${path}`, { hint: 'See --config and MARS_CONFIG.' });
  }
  if (bytes.length > MAX_CONFIG_BYTES) throw wrong(path, 1, 1, 'it is too large', 'Is this the right file?');
  return parseConfig(path, new TextDecoder().decode(bytes));
}

export function parseConfig(path: string, source: string): GivenSettings {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const at = (node: Node | null | undefined): [number, number] => {
    const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
    return [line, col];
  };
  const error = document.errors[0];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw wrong(path, line, col, error.message.split('\n')[0]!, 'This is no YAML.');
  }
  const { contents } = document;
  if (contents === null) return {};
  if (!isMap(contents)) throw wrong(path, ...at(contents), 'it must consist of "key: value" lines', keysHint());
  const found: Record<string, unknown> = {};
  for (const pair of contents.items as Pair<Node, Node | null>[]) {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const key = KEYS[name];
    if (key === undefined) throw wrong(path, ...at(pair.key), `there is no key "${name}"`, keysHint());
    const value: unknown = pair.value?.toJSON();
    if (!key.fits(value))
      throw wrong(path, ...at(pair.value ?? pair.key), `"${name}" must be ${key.expected}`, keysHint());
    found[key.to] = value;
  }
  return found;
}

function keysHint(): string {
  return `Keys: ${Object.keys(KEYS).join(', ')}; see docs/marsd.md.`;
}

function wrong(file: string, line: number, column: number, what: string, hint: string): MarsError {
  return new MarsError(ErrorCode.BAD_PARAMETER, what, { hint, place: { file, line, column } });
}
