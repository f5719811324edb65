import {
  BRICKS,
  DEFAULT_ARENA_BYTES,
  DEFAULT_POOL_OBJECTS,
  container,
  silentLogger,
  type BrickRegistry,
  type DependencyContainer,
  type Logger,
  type Loop,
} from '@mars/brick-core';
import { createPlatform, type Platform } from '@mars/platform';
import { World } from '@mars/sim';
import { composeHost, type BrickPackage } from '../compose.js';

/** Where a stack runs: this machine, or a seeded world with its own clock and files. */
export interface Stage {
  readonly kind: 'real' | 'sim';
  readonly loop: Loop;
  readonly host: DependencyContainer;
  readonly registry: BrickRegistry;
  readonly log: Logger;
  /** This machine, for the control socket; the seeded world has none, because nobody outside may disturb it. */
  readonly platform: Platform | null;
  /** Milliseconds of the stage's own clock since it was made. */
  elapsedMs(): number;
  /** Hash over everything that happened; only in the seeded world. */
  traceHash(): string | null;
  /** Waits for the promise; in the seeded world that makes time go on. */
  drive<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface StageOptions {
  kind: 'real' | 'sim';
  seed: number;
  /** Where log lines go; they must not tear the live view. */
  logTo: { write(line: string): void };
  verbose: boolean;
  /** Brick packages beside our own. */
  plugins: readonly BrickPackage[];
}

export function openStage(options: StageOptions): Stage {
  return options.kind === 'sim' ? simStage(options) : realStage(options);
}

function realStage({ logTo, verbose, plugins }: StageOptions): Stage {
  const platform = createPlatform({ log: { level: verbose ? 'debug' : 'error', destination: logTo } });
  const host = composeHost(container.createChildContainer(), platform, plugins);
  const startUs = platform.loop.nowUs;
  return {
    kind: 'real',
    ...{ loop: platform.loop, host, registry: host.resolve(BRICKS), log: platform.log, platform },
    elapsedMs: () => (platform.loop.nowUs - startUs) / 1000,
    traceHash: () => null,
    drive: (promise) => promise,
    close: () => platform.close(),
  };
}

/** A simulated run may take as long as it takes; whoever wants a limit gives `--duration`. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

function simStage({ seed, plugins }: StageOptions): Stage {
  const world = new World({ seed });
  // As much memory as the real stage has: what a stack needs does not depend on the world it runs in.
  const sim = world.addHost('stack', { arenaBytes: DEFAULT_ARENA_BYTES, poolObjects: DEFAULT_POOL_OBJECTS });
  const host = composeHost(sim.container, sim, plugins);
  return {
    kind: 'sim',
    ...{ loop: sim.loop, host, registry: host.resolve(BRICKS), log: silentLogger, platform: null },
    elapsedMs: () => world.nowMs,
    traceHash: () => world.traceHash,
    drive: (promise) => world.drive(promise, { maxEvents: NO_LIMIT }),

    close: async () => world.close(),
  };
}
