import {
  Arena,
  DebugArena,
  DEFAULT_ARENA_BYTES,
  Loop,
  RingQueue,
  type HostServices,
  type LoopDriver,
} from '@mars/brick-core';
import { realDigests } from './digests.js';
import { RealFiles } from './files/real-files.js';
import { createLogger, type ClosableLogger, type LoggerOptions } from './log.js';
import { AttachDriver } from './loop/event-loop-driver.js';
import { RingThreadDriver } from './loop/ring-thread-driver.js';
import { RealNet } from './net/real-net.js';
import { RealSecureNet } from './net/real-secure-net.js';
import { RealRandom } from './random.js';
import { openRing, type OpenedRing, type RingKind, type RingOptions } from './ring/open-ring.js';

export interface PlatformOptions extends Partial<RingOptions> {
  poolObjects?: number;
  /** Poison and leak reports; slow, for tests. */
  debugArena?: boolean;
  /**
   * `event-loop`: beside timers, sockets and promises of this thread. `ring-thread`: this thread (a worker of its own) blocks in
   * its ring; falls back to `event-loop` where there is no io_uring.
   */
  driver?: 'event-loop' | 'ring-thread';
  /** Settings of a new logger, or one of the caller's own (who then closes it). */
  log?: LoggerOptions | { logger: ClosableLogger };
}

/** This machine, for one loop: the real twin of the simulated world. */
export interface Platform extends HostServices {
  readonly files: RealFiles;
  readonly net: RealNet;
  readonly secureNet: RealSecureNet;
  readonly log: ClosableLogger;
  /** The same as `loop.ring`. */
  readonly ring: RingQueue;
  readonly ringKind: RingKind;
  /** Why this kind, for people. */
  readonly ringReason: string;
  /** For `wakeRing` on other threads; 0 where the ring lives in an event loop of its own accord. */
  readonly wakeHandle: number;
  /** Changes the longest spin before a sleep, µs; without effect on the fallback. */
  setSpinUs(us: number): void;
  /** Ends the loop, connections, watches and the ring. What a graph has under way is lost: destroy it first. */
  close(): Promise<void>;
}

interface ClosableDriver extends LoopDriver {
  close(): void;
}

/**
 * The services of this machine for one loop, ready for `composeServices`.
 * @throws MarsError NO_IO_URING or NATIVE_MISSING when `ring: 'io_uring'` is asked for and cannot be had
 */
export function createPlatform(options: PlatformOptions = {}): Platform {
  const opened = openRing({ ...options, arenaBytes: options.arenaBytes ?? DEFAULT_ARENA_BYTES });
  const ownLog = !(options.log && 'logger' in options.log);
  const log = options.log && 'logger' in options.log ? options.log.logger : createLogger(options.log);
  sayWhichRing(log, opened, options.ring);
  if (opened.lockRefused !== null)
    log.warn({ reason: opened.lockRefused }, 'the payload memory is not locked: it may be swapped out');
  const { ring, sockets } = opened;
  const arena = options.debugArena ? new DebugArena(ring.arena) : new Arena(ring.arena);
  const queue = new RingQueue(ring, sockets);
  const driver = chooseDriver(options, opened);
  const loop = new Loop(driver, arena, options.poolObjects);
  loop.useRing(queue);
  const spinUs = options.spinUs ?? 0;
  if (driver instanceof RingThreadDriver)
    driver.start(queue, spinUs > 0 ? { us: spinUs, set: opened.setSpinUs } : null);
  const files = new RealFiles();
  const net = new RealNet();
  const secureNet = new RealSecureNet();
  return {
    loop,
    random: new RealRandom(),
    files,
    net,
    secureNet,
    tls: opened.tls,
    digests: realDigests,
    log,
    ring: queue,
    ringKind: opened.kind,
    ringReason: opened.reason,
    wakeHandle: opened.wakeHandle,
    setSpinUs: (us) => opened.setSpinUs(us),
    async close() {
      driver.close();
      files.shutDown();
      net.shutDown();
      secureNet.shutDown();
      await opened.tls.close();
      ring.close();
      if (ownLog) log.close();
    },
  };
}

function chooseDriver(options: PlatformOptions, opened: OpenedRing): ClosableDriver {
  const mayBlock = options.driver === 'ring-thread' && opened.kind === 'io_uring';
  return mayBlock ? new RingThreadDriver() : new AttachDriver(opened.ring);
}

function sayWhichRing(log: ClosableLogger, { kind, reason }: OpenedRing, wanted: PlatformOptions['ring']): void {
  const facts = { ring: kind, reason };
  if (kind === 'threads' && wanted !== 'threads') log.warn(facts, 'no io_uring: the slower thread pool does the I/O');
  else log.info(facts, 'ring opened');
}
