import type { DependencyContainer, InjectionToken } from '../di.js';
import { adaptorBricks } from '../adaptors/index.js';
import type { BrickClass } from '../brick/meta.js';
import type { Loop } from '../loop/loop.js';
import { CLOCK } from '../machine/clock.js';
import { DIGESTS, scriptDigests, type Digests } from '../machine/digests.js';
import { FILES, type Files } from '../machine/files.js';
import { LOGGER, silentLogger, type Logger } from '../machine/logger.js';
import { NET, type Net } from '../machine/net.js';
import { RANDOM, type Random } from '../machine/random.js';
import { SECURE_NET, type SecureNet } from '../machine/secure-net.js';
import { TLS_ENDPOINT, type TlsEndpoint } from '../machine/tls.js';
import { BrickRegistry } from './registry.js';

/** The brick types of a host. */
export const BRICKS: InjectionToken<BrickRegistry> = Symbol('brick-core/BrickRegistry');

/** What a platform (real or simulated) brings for one host and one loop. */
export interface HostServices {
  loop: Loop;
  random: Random;
  files?: Files;
  net?: Net;
  secureNet?: SecureNet;
  tls?: TlsEndpoint;
  log?: Logger;
  /** Default: what TypeScript alone can do. */
  digests?: Digests;
}

/**
 * Registers the services of one host in its own child container: the only wiring, real or simulated (style.md 9).
 * @param host a child container made for this host; never the global one, because a simulation runs many hosts
 */
export function composeServices(host: DependencyContainer, services: HostServices): DependencyContainer {
  host.register(CLOCK, { useValue: services.loop });
  host.register(RANDOM, { useValue: services.random });
  host.register(LOGGER, { useValue: services.log ?? silentLogger });
  host.register(DIGESTS, { useValue: services.digests ?? scriptDigests });
  if (services.files) host.register(FILES, { useValue: services.files });
  if (services.net) host.register(NET, { useValue: services.net });
  if (services.secureNet) host.register(SECURE_NET, { useValue: services.secureNet });
  if (services.tls) host.register(TLS_ENDPOINT, { useValue: services.tls });
  host.register(BRICKS, { useValue: new BrickRegistry().register(adaptorBricks, '@mars/brick-core') });
  return host;
}

/** Makes brick classes known to a host; reads what `@Brick` stored on them. */
export function registerBricks(host: DependencyContainer, classes: readonly BrickClass[], source: string): void {
  host.resolve(BRICKS).register(classes, source);
}
