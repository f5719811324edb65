import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const MODE = 0o777;

/**
 * mkdir -p. Not Node's own `recursive`, which never returns where a file system answers ENOENT although the parent is there
 * (below /proc, with Node 20). Throws as Node does.
 */
export function makeDirs(path: string, mode = MODE): void {
  try {
    return mkdirSync(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
  }
  makeDirs(dirname(path), mode);
  mkdirSync(path, { mode });
}
