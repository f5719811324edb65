import path from 'node:path';
import { formatError } from '@mars/brick-core';
import { RealFiles } from '@mars/platform/files';
import type { BrickPackage } from '../compose.js';
import { loadPlugins, type LoadedPlugins } from './plugins.js';

/** `$MARS_ETC/plugins`; `MARS_ETC` is `/etc/mars` when nobody says otherwise (decided.md, *Paths and environment*). */
export function pluginDirectory(): string {
  return path.join(process.env.MARS_ETC ?? '/etc/mars', 'plugins');
}

/** Everything in the plugin directory of this machine. */
export function inspectPlugins(): Promise<LoadedPlugins> {
  return loadPlugins(new RealFiles(), pluginDirectory());
}

/**
 * The brick packages of this machine's plugin directory. One that is allowed but broken is named on stderr and left out: the stacks
 * that do not need it go on.
 */
export async function installedPackages(warn: (text: string) => void = console.error): Promise<BrickPackage[]> {
  const { reports, packages } = await inspectPlugins();
  for (const { state, error } of reports) if (state === 'refused' && error) warn(`warning: ${formatError(error)}`);
  return packages;
}
