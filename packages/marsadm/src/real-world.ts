import { RealFiles, RealRandom, SystemClock, ThisHost } from '@mars/platform/command-line';
import { interruptible } from './interrupt.js';
import type { World } from './world.js';

/** This machine. @param stop ends all waits */
export function realWorld(stop: AbortSignal): World {
  const files = new RealFiles();
  const clock = interruptible(new SystemClock(), stop);
  return {
    files,
    clock,
    host: new ThisHost(),
    openTrust: async (marsDir) => {
      // Loaded when it is needed: certificates bring much code along, and most commands have nothing to do with them.
      const { TrustStore, decodeToken } = await import('@mars/wire');
      const store = new TrustStore({ files, clock, random: new RealRandom(), marsDir });
      return Object.assign(store, { readToken: decodeToken });
    },
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  };
}
