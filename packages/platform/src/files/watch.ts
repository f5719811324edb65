import { watch as fsWatch, type FSWatcher } from 'node:fs';
import type { Unwatch } from '@mars/brick-core';

/** While a watch cannot be had (the directory is gone, inotify watches are used up) it is tried again this often, ms. */
export const REWATCH_MS = 1000;

/**
 * inotify, made robust: it survives the removal of the directory and the lack of watches, and says "look at everything" (null)
 * whenever something may have been missed. It may still miss changes (network file systems): keep a scan as safety net.
 */
export function watchDirectory(path: string, changed: (name: string | null) => void): Unwatch {
  let watcher: FSWatcher | null = null;
  let retry: NodeJS.Timeout | null = null;
  let ended = false;

  const stop = (): void => {
    watcher?.close();
    watcher = null;
  };
  const tryLater = (): void => {
    stop();
    if (ended || retry !== null) return;
    retry = setTimeout(() => {
      retry = null;
      start();
      if (watcher !== null) changed(null);
    }, REWATCH_MS);
    retry.unref();
  };
  const start = (): void => {
    if (ended) return;
    try {
      watcher = fsWatch(path, { persistent: false });
    } catch {
      return tryLater();
    }
    watcher.on('error', tryLater);
    watcher.on('change', (event, name) => {
      if (ended) return;
      changed(name === null ? null : String(name));
      // Our own directory was renamed or removed: inotify reports its own name, and nothing more will come.
      if (event === 'rename' && name !== null && path.endsWith(`/${String(name)}`)) tryLater();
    });
  };

  start();
  return () => {
    ended = true;
    stop();
    if (retry !== null) clearTimeout(retry);
  };
}
