import { checkBricks, registerCheckServices } from '@mars/bricks-check';
import { copyBricks } from '@mars/bricks-copy';
import { ifBricks } from '@mars/bricks-if';
import { ioBricks } from '@mars/bricks-io';
import { BRICK_NET, netBricks } from '@mars/bricks-net';
import { DIGEST_ENGINE, loggerBricks } from '@mars/bricks-logger';
import {
  BrickRegistry,
  adaptorBricks,
  composeServices,
  registerBricks,
  type BrickClass,
  type DependencyContainer,
  type HostServices,
} from '@mars/brick-core';
import { digestEngine } from './digest-engine.js';
import { noBrickNet } from './brick-network/no-network.js';

/** Brick classes, and where they come from. */
export interface BrickPackage {
  source: string;
  bricks: readonly BrickClass[];
}

/** Our own brick packages. */
const PACKAGES: readonly BrickPackage[] = [
  { source: '@mars/bricks-check', bricks: checkBricks },
  { source: '@mars/bricks-copy', bricks: copyBricks },
  { source: '@mars/bricks-if', bricks: ifBricks },
  { source: '@mars/bricks-io', bricks: ioBricks },
  { source: '@mars/bricks-net', bricks: netBricks },
  { source: '@mars/bricks-logger', bricks: loggerBricks },
];

/**
 * Registers the services of one host and all brick types in its container: the only wiring, real or simulated
 * (style.md 9).
 * @param host a child container of this host; never the global one
 * @param plugins what the plugin loader found; they come in by the same door as ours
 */
export function composeHost(
  host: DependencyContainer,
  services: HostServices,
  plugins: readonly BrickPackage[] = [],
): DependencyContainer {
  composeServices(host, services);
  registerCheckServices(host);
  host.register(DIGEST_ENGINE, { useValue: digestEngine });
  // Whoever has a network registers it afterwards; the last one counts.
  host.register(BRICK_NET, { useValue: noBrickNet });
  for (const { source, bricks } of [...PACKAGES, ...plugins]) registerBricks(host, bricks, source);
  return host;
}

/** The brick types alone, for commands that build nothing (`check`, `graph`, `list`, `show`). */
export function allBrickTypes(plugins: readonly BrickPackage[] = []): BrickRegistry {
  const registry = new BrickRegistry().register(adaptorBricks, '@mars/brick-core');
  for (const { source, bricks } of [...PACKAGES, ...plugins]) registry.register(bricks, source);
  return registry;
}
