import type { Clock, Files } from '@mars/brick-core';
import type { Trust } from './trust.js';
import type { LineSink, ThisHost } from '@mars/platform/command-line';

/** Everything outside of this program; tests bring one of their own. */
export interface World {
  readonly files: Files;
  readonly clock: Clock;
  readonly host: Pick<
    ThisHost,
    | 'pid'
    | 'uid'
    | 'home'
    | 'isInteractive'
    | 'nodeName'
    | 'addresses'
    | 'lookup'
    | 'ownerOf'
    | 'chown'
    | 'chmod'
    | 'writeOnce'
    | 'run'
    | 'ask'
  > & { lineSink(program: string, args: readonly string[]): LineSink };
  /** The files of trust below a tree. */
  openTrust(marsDir: string): Promise<Trust>;
  readonly env: Readonly<Record<string, string | undefined>>;
  out(text: string): void;
  err(text: string): void;
}

/** Text of a small file; null = it is not there. */
export function readText(files: Files, path: string): string | null {
  const bytes = files.readFile(path);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}
