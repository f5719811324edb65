import { RealFiles, SystemClock, ThisHost } from '@mars/platform/command-line';
import { Dying } from './exit.js';
import type { World } from './world.js';

/** This machine. */
export function realWorld(): World {
  return {
    files: new RealFiles(),
    clock: new SystemClock(),
    host: new ThisHost(),
    openTrust: async () => {
      throw new Dying('certificates are not available in this build');
    },
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  };
}
