import { VERSION, paths, type LogName, type TreeSnapshot } from '@mars/mars-tree';

/** Length of a log in the version link that a host has for its number; `null` = there is none, or nobody can read it. */
export function versionBytes(tree: TreeSnapshot, resource: string, sequence: number, host: string): number | null {
  return tree.read(paths.version(resource, sequence, host), VERSION)?.lengthBytes ?? null;
}

export function isSame(a: LogName, b: LogName): boolean {
  return a.sequence === b.sequence && a.host === b.host;
}
