/** Version of the brick API; a plugin names it as `"mars": { "api": 1 }` in its package.json. */
export const CORE_API_VERSION = 1;

// Symbol.for: visible to every copy of this package in the process.
const COPIES = Symbol.for('mars.brick-core.copies');

/** Remembers that this copy of the package was loaded. */
export function noteCoreCopy(url: string): void {
  const known = coreCopies();
  if (!known.includes(url)) (globalThis as Record<symbol, unknown>)[COPIES] = [...known, url];
}

/**
 * Where the copies of this package were loaded from. More than one means trouble: two copies have two registries, two
 * error classes and two ideas of what a brick is, so the plugin loader refuses to go on.
 */
export function coreCopies(): readonly string[] {
  return ((globalThis as Record<symbol, unknown>)[COPIES] as string[] | undefined) ?? [];
}
