import {
  BRICKS,
  DEFAULT_ARENA_BYTES,
  DEFAULT_POOL_OBJECTS,
  container,
  silentLogger,
  type BrickRegistry,
  type Clock,
  type Files,
  type Logger,
} from '@mars/brick-core';
import { createPlatform, type Platform } from '@mars/platform';
import { BRICK_NET } from '@mars/bricks-net';
import { World } from '@mars/sim';
import { openStack, type Facts, type LoadedStack, type StackHandle } from '@mars/stack';
import { openBrickNetwork, type BrickNetwork, type BrickNetworkOptions } from '../brick-network/brick-network.js';
import { allBrickTypes, composeHost, type BrickPackage } from '../compose.js';
import { openStackInThread, type ThreadStack } from '../data-thread/open-stack-in-thread.js';
import { Stopwatch } from './stopwatch.js';

/** Where a stack runs: this machine, or a seeded world with its own clock and files. */
export interface Stage {
  readonly kind: 'real' | 'sim';
  readonly registry: BrickRegistry;
  /** This machine, for the control socket; the seeded world has none, because nobody outside may disturb it. */
  readonly platform: Platform | null;
  /** Files and time of this stage, for what is done beside the stack. */
  readonly machine: { files: Files; clock: Clock; log: Logger };
  /** Builds and starts the one stack of this stage. */
  open(loaded: LoadedStack, facts: Facts): Promise<StackHandle>;
  /** Milliseconds of the stage's own clock since the stack was opened. */
  elapsedMs(): number;
  /** On the stage's own clock. */
  sleep(ms: number): Promise<void>;
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
  /** Without a thread of its own; for debuggers, and to compare. */
  inProcess: boolean;
  /** The kernel of this host uses the device: payload memory stays where it is. */
  blockServer: boolean;
  /** How the stack reaches other hosts; null = not at all. */
  network: BrickNetworkOptions | null;
}

export function openStage(options: StageOptions): Stage {
  if (options.kind === 'sim') return simStage(options);
  // TLS needs an event loop, and a thread that blocks in its ring has none (decided.md, *Data path*).
  return options.inProcess || options.network !== null ? realStage(options) : threadStage(options);
}

/** Payload memory of a loop that never sees a request, bytes; the smallest that an arena can have. */
const NO_PAYLOAD_BYTES = 1024 * 1024;

/** The stack has a thread and a ring of its own; here are timers, signals, the live view and the control socket. */
function threadStage({ logTo, verbose, plugins, blockServer }: StageOptions): Stage {
  const level = verbose ? 'debug' : 'error';
  const log = { level, destination: logTo } as const;
  const platform = createPlatform({ log, ring: 'threads', arenaBytes: NO_PAYLOAD_BYTES, poolObjects: 1 });
  const { loop } = platform;
  let watch = new Stopwatch();
  let stack: ThreadStack | null = null;
  return {
    kind: 'real',
    ...{ registry: allBrickTypes(plugins), platform },
    machine: { files: platform.files, clock: loop, log: platform.log },
    open: async ({ plan, secrets }, facts) => {
      const onLog = (line: string): void => logTo.write(line);
      stack = await openStackInThread(plan, { secrets, facts, level, lockArena: blockServer, onLog });
      watch = new Stopwatch();
      return stack;
    },
    elapsedMs: () => watch.elapsedMs,
    sleep: (ms) => loop.sleep(ms),
    traceHash: () => null,
    drive: (promise) => promise,
    close: async () => {
      await stack?.end();
      await platform.close();
    },
  };
}

function realStage({ logTo, verbose, plugins, blockServer, network }: StageOptions): Stage {
  const platform = createPlatform({
    lockArena: blockServer,
    log: { level: verbose ? 'debug' : 'error', destination: logTo },
  });
  const host = composeHost(container.createChildContainer(), platform, plugins);
  const { loop, log } = platform;
  const registry = host.resolve(BRICKS);
  const startUs = loop.nowUs;
  let opened: BrickNetwork | null = null;
  return {
    kind: 'real',
    ...{ registry, platform },
    machine: { files: platform.files, clock: loop, log },
    open: async (loaded, facts) => {
      if (network !== null) {
        opened = await openBrickNetwork(platform, network);
        host.register(BRICK_NET, { useValue: opened.net });
        if (opened.addresses.length > 0) logTo.write(`listening on ${opened.addresses.join(', ')}\n`);
      }
      return openStack({ ...loaded, facts, loop, host, registry, log });
    },
    elapsedMs: () => (loop.nowUs - startUs) / 1000,
    sleep: (ms) => loop.sleep(ms),
    traceHash: () => null,
    drive: (promise) => promise,
    close: async () => {
      await opened?.close();
      await platform.close();
    },
  };
}

/** A simulated run may take as long as it takes; whoever wants a limit gives `--duration`. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

function simStage({ seed, plugins }: StageOptions): Stage {
  const world = new World({ seed });
  // As much memory as the real stage has: what a stack needs does not depend on the world it runs in.
  const sim = world.addHost('stack', { arenaBytes: DEFAULT_ARENA_BYTES, poolObjects: DEFAULT_POOL_OBJECTS });
  const host = composeHost(sim.container, sim, plugins);
  const { loop } = sim;
  const registry = host.resolve(BRICKS);
  return {
    kind: 'sim',
    ...{ registry, platform: null },
    machine: { files: sim.files, clock: loop, log: silentLogger },
    open: async (loaded, facts) => openStack({ ...loaded, facts, loop, host, registry }),
    elapsedMs: () => world.nowMs,
    sleep: (ms) => loop.sleep(ms),
    traceHash: () => world.traceHash,
    drive: (promise) => world.drive(promise, { maxEvents: NO_LIMIT }),
    close: async () => world.close(),
  };
}
