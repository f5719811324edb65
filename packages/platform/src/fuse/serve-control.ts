import { mkdirSync, rmdirSync } from 'node:fs';
import { isMarsError } from '@mars/brick-core';
import { ControlFs } from './control-fs.js';
import type { ControlFiles, ControlServer } from './control-files.js';
import { clearControlDirectory, isMountedOn, mountFuse } from './mount.js';
import { PlainControlFiles } from './plain-files.js';

export interface ServeControlOptions {
  /** Name of the file system, as `mount` shows it. */
  name: string;
  /** `plain` does without FUSE; `auto` (default) only where it cannot be had. */
  kind?: 'auto' | 'fuse' | 'plain';
  /** Somebody has unmounted the directory: nobody is served any more. */
  onLost?: (reason: string) => void;
}

/**
 * Serves control files in a directory, which is made, and which is gone after `close`. What a dead server has left there is cleared.
 *
 * This thread must never touch anything below the directory while it is served.
 * @throws MarsError FILE_IO, NATIVE_MISSING (with `kind: 'fuse'`)
 */
export async function serveControlFiles(
  dir: string,
  files: ControlFiles,
  options: ServeControlOptions,
): Promise<ControlServer> {
  const { kind = 'auto', name, onLost = () => {} } = options;
  await clearControlDirectory(dir);
  mkdirSync(dir, { mode: 0o700, recursive: true });
  if (kind === 'plain') return servePlain(dir, files, 'FUSE is switched off');
  try {
    const fs = new ControlFs(await mountFuse(dir, { name }), files, onLost);
    fs.start();
    return { kind: 'fuse', reason: '', close: () => closeMount(fs, dir) };
  } catch (error) {
    if (kind === 'fuse' || !isMarsError(error)) throw error;
    return servePlain(dir, files, error.message);
  }
}

function servePlain(dir: string, files: ControlFiles, reason: string): ControlServer {
  const plain = new PlainControlFiles(dir, files);
  plain.start();
  return { kind: 'plain', reason, close: async () => plain.close() };
}

async function closeMount(fs: ControlFs, dir: string): Promise<void> {
  await fs.close();
  // Its existence means "daemon loaded". Another mount there is not ours to remove.
  if (!isMountedOn(dir)) rmdirSync(dir);
}
