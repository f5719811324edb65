import { ErrorCode, MarsError, type Clock, type Files, type Logger } from '@mars/brick-core';
import { MOUNT_WAITS_MS } from './limits.js';
import { SYSTEM_TREE, type Settings } from './settings.js';

export interface MachineFacts {
  isRoot: boolean;
  /** The kernel module of the original is loaded. */
  isKernelModuleLoaded(): boolean;
  isMountPoint(path: string): boolean;
}

/**
 * What must hold before the tree is touched.
 * @throws MarsError DAEMON_CANNOT_START. Source: symlink-tree.md 2 and 7, decided.md *Paths and environment*
 */
export async function checkMachine(
  settings: Settings,
  { files, clock, log, machine }: { files: Files; clock: Clock; log: Logger; machine: MachineFacts },
): Promise<void> {
  const { mars } = settings;
  const isSystemTree = mars === SYSTEM_TREE;
  if (isSystemTree && !machine.isRoot) {
    throw cannot(
      'only root may serve the tree of the system',
      'Run it as root, or give it a tree of your own: --mars=DIR.',
    );
  }
  if (isSystemTree && machine.isKernelModuleLoaded()) {
    throw cannot('the kernel module of the original MARS is loaded', 'Unload it first: "rmmod mars".');
  }
  await waitForMount(settings, { files, clock, log, machine });
  if (files.stat(mars)?.kind !== 'directory') {
    throw cannot(`${mars} is no directory`, 'Make and mount it, or name another one: --mars=DIR.');
  }
}

async function waitForMount(
  { mars, checkMountpoint }: Settings,
  { clock, log, machine }: { files: Files; clock: Clock; log: Logger; machine: MachineFacts },
): Promise<void> {
  if (!checkMountpoint) return;
  for (const waitMs of MOUNT_WAITS_MS) {
    if (machine.isMountPoint(mars)) return;
    log.warn({ path: mars, waitMs }, 'the tree is not mounted yet');
    await clock.sleep(waitMs);
  }
  if (machine.isMountPoint(mars)) return;
  throw cannot(
    `${mars} is not a mount point`,
    'Mount its file system first: a daemon that writes into the empty directory below would make a second tree. ' +
      'Where the tree really is an ordinary directory (demo, tests): --no-mountpoint-check.',
  );
}

export function cannot(message: string, hint: string): MarsError {
  return new MarsError(ErrorCode.DAEMON_CANNOT_START, message, { hint });
}
