import { join } from 'node:path';
import { ErrorCode } from '@mars/brick-core';
import { makeDirs } from '../files/make-dirs.js';
import { errnoOf, machineError } from '../errors.js';

export const DEFAULT_RUN_DIR = '/run/mars';

/**
 * The directory for sockets and state of the running daemon: `--run=DIR`, else `MARS_RUN`, else `/run/mars`.
 * Made when missing (0700 where it is new), so that no stranger reaches the sockets in it.
 * @param sub a directory below it, made as well
 */
export function runDir(options: { run?: string; sub?: string } = {}): string {
  const base = options.run ?? process.env['MARS_RUN'] ?? DEFAULT_RUN_DIR;
  const path = options.sub === undefined ? base : join(base, options.sub);
  try {
    makeDirs(path, 0o700);
  } catch (cause) {
    throw machineError(ErrorCode.FILE_IO, {
      action: `make the run directory ${path}`,
      errno: errnoOf(cause),
      path,
      cause,
      hint: 'Run as root, or choose a directory of your own with --run=DIR or MARS_RUN.',
    });
  }
  return path;
}
