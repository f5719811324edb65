import { ErrorCode, MarsError, type Files } from '@mars/brick-core';
import { LineCounter, parseDocument } from 'yaml';
import { shapes } from './shape.js';

/** One package that the operator lets in. */
export interface AllowedPlugin {
  name: string;
  /** npm version range that is let in; without it any version. */
  version?: string;
}

/**
 * Reads `allow.yaml` of a plugin directory:
 * ```yaml
 * mars: 1
 * allow:
 *   - name: "@acme/mars-brick-latency"
 *     version: ^1.2.0
 * ```
 * Bricks run with the full rights of the daemon, so nothing is loaded that is not named here (bricks.md 5.9).
 * @returns the entries; empty when there is no such file
 * @throws MarsError PLUGIN_BAD_MANIFEST with the place in the file
 */
export function readAllowList(files: Files, path: string): AllowedPlugin[] {
  const bytes = files.readFile(path);
  if (bytes === null) return [];
  const lines = new LineCounter();
  const document = parseDocument(new TextDecoder().decode(bytes), { lineCounter: lines });
  const syntax = document.errors[0];
  if (syntax) {
    const { line, col } = lines.linePos(syntax.pos[0]);
    throw bad(path, line, col, syntax.message.split('\n')[0]!);
  }
  const content: unknown = document.toJS();
  const problem = shapes.allowList(content);
  if (problem === null) return (content as { allow?: AllowedPlugin[] }).allow ?? [];
  const node = document.getIn(problem.path, true) as { range?: [number, number, number] } | undefined;
  const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
  throw bad(path, line, col, problem.message);
}

function bad(file: string, line: number, column: number, message: string): MarsError {
  return new MarsError(ErrorCode.PLUGIN_BAD_MANIFEST, `the allow list is not valid: ${message}`, {
    hint: 'Write "mars: 1" and under "allow:" a list of entries with "name" and, if you like, "version".',
    place: { file, line, column },
  });
}
