import type { Options } from '../parse/options.js';
import type { World } from '../world.js';

/** Where things of this host are. Source: decided.md, "Paths and environment" */
export interface Places {
  mars: string;
  run: string;
  port: number;
  needsMountPoint: boolean;
  /** `/mars` itself belongs to root; a tree of the caller's own to the caller. */
  isSystemTree: boolean;
}

const DEFAULT_MARS = '/mars';
const DEFAULT_RUN = '/run/mars';
const DEFAULT_PORT = 7777;

export function findPlaces(options: Options, env: World['env']): Places {
  const mars = withoutSlash(options.mars ?? env['MARS_DIR'] ?? DEFAULT_MARS);
  return {
    mars,
    run: withoutSlash(options.run ?? env['MARS_RUN'] ?? DEFAULT_RUN),
    port: Number.parseInt(env['MARS_PORT'] ?? '', 10) || DEFAULT_PORT,
    needsMountPoint: !options.noMountpointCheck && env['MARS_NO_MOUNTPOINT_CHECK'] !== '1',
    isSystemTree: mars === DEFAULT_MARS,
  };
}

function withoutSlash(path: string): string {
  return path.replace(/(.)\/+$/, '$1');
}
