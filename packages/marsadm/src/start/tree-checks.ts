import { MAJOR_MINOR, paths } from '@mars/mars-tree';
import type { Session } from '../execute/session.js';
import { Dying } from '../exit.js';
import type { Output } from '../output.js';
import { readText, type World } from '../world.js';
import type { Places } from './places.js';

const PRIVATE_MODE = 0o700;

/** `/mars` is a directory of ours, and nobody else's business. @throws Dying. Source: marsadm.md 3, step 10 */
export function checkDirectory({ files, host }: World, places: Places, out: Output): void {
  const stat = files.stat(places.mars);
  if (stat === null || stat.kind !== 'directory') {
    throw new Dying(`'${places.mars}' is not a directory`, [
      'Make a file system for MARS and mount it there: its size decides how long the network may be down.',
    ]);
  }
  const owner = host.ownerOf(places.mars);
  const wanted = places.isSystemTree ? 0 : host.uid;
  if (owner !== wanted && host.uid === 0) {
    out.warn(`'${places.mars}' belonged to user ${owner}, which is corrected`);
    host.chown(places.mars, wanted);
  }
  if (stat.mode !== PRIVATE_MODE && (host.uid === 0 || owner === host.uid)) {
    out.warn(`'${places.mars}' had mode ${stat.mode.toString(8).padStart(4, '0')}, corrected to 0700`);
    host.chmod(places.mars, PRIVATE_MODE);
  }
}

/** True when a directory is the root of a file system. */
export function isMountPoint({ files }: World, dir: string): boolean {
  const mounts = readText(files, '/proc/self/mountinfo') ?? '';
  return mounts.split('\n').some((line) => unescapeMount(line.split(' ')[4] ?? '') === dir);
}

/** Blanks and the like are octal in mountinfo. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Before anything is created. @throws Dying */
export function requireMountPoint(world: World, places: Places): void {
  if (!places.needsMountPoint || isMountPoint(world, places.mars)) return;
  throw new Dying(`'${places.mars}' is not a mount point`, [
    'Mount a file system of its own there: when it is full only replication stops, not the whole host.',
    'For a demo: --no-mountpoint-check.',
  ]);
}

/** A tree of a later version is not ours to change. @throws Dying. Source: marsadm.md 3, step 4 */
export function checkTreeVersion({ snapshot, me, out }: Session, command: string): void {
  if (/cluster|cat/.test(command)) return;
  const version = snapshot.read(paths.node(me, 'tree'), MAJOR_MINOR);
  if (version === null || (version.major === 0 && version.minor === 1)) return;
  const text = `${version.major}.${version.minor}`;
  if (version.major > 0 || version.minor > 1) {
    throw new Dying(`the tree has version ${text}, and this marsadm only knows 0.1`, ['Install the newer release.']);
  }
  out.warn(`the tree has version ${text}, this marsadm writes 0.1`);
}
