import { belowMars, whyNoPath } from '@mars/mars-tree';
import type { Session } from '../execute/session.js';
import { Dying } from '../exit.js';
import { canonical } from '../tree/tree.js';

/**
 * A path that somebody has written, `/mars/…` or below the directory of `--mars`, as a key.
 * @throws Dying when it leads elsewhere. Source: decided.md
 */
export function keyOfPath({ places }: Session, path: string): string {
  const key = path.startsWith(`${places.mars}/`) ? path.slice(places.mars.length + 1) : belowMars(path);
  if (key === null)
    throw new Dying(`path '${path}' is not below /mars/`, ['Write it from the root: /mars/userspace/NAME']);
  const wrong = whyNoPath(key);
  if (wrong !== null) throw new Dying(`path '${path}' cannot be used: ${wrong}`);
  return key;
}

/** Only `userspace` is free for everybody. @throws Dying unless `--force` is given. Source: marsadm.md 12, set-link */
export function requireUserspace(session: Session, key: string): void {
  const path = canonical(key);
  const dir = key.slice(0, key.lastIndexOf('/'));
  if (!key.includes('/') || session.snapshot.directory(dir) === null) {
    throw new Dying(`the directory of '${path}' does not exist`);
  }
  if (path.includes('/userspace/')) return;
  if (!session.force) {
    throw new Dying(`path '${path}' does not contain '/userspace/'`, [
      'All other links belong to MARS itself. Use --force only if you know exactly what reads them.',
    ]);
  }
}
