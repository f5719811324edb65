import { Arena, DebugArena, DEFAULT_ARENA_BYTES, Loop, type HostServices, type Ring } from '@mars/brick-core';
import { RealFiles } from './files/real-files.js';
import { createLogger, type ClosableLogger, type LoggerOptions } from './log.js';
import { AttachDriver, ImmediateDriver } from './loop/event-loop-driver.js';
import { RealNet } from './net/real-net.js';
import { RealRandom } from './random.js';

export interface PlatformOptions {
  /** Payload memory, bytes. */
  arenaBytes?: number;
  poolObjects?: number;
  /** Poison and leak reports; slow, for tests. */
  debugArena?: boolean;
  /** A logger of the caller's own (it also closes it), or the settings of a new one. */
  log?: LoggerOptions | { logger: ClosableLogger };
}

/** This machine, for one loop: the real twin of the simulated world. */
export interface Platform extends HostServices {
  readonly files: RealFiles;
  readonly net: RealNet;
  readonly log: ClosableLogger;
  readonly ring: Ring | null;
  /** Ends the loop, connections and watches; what the graph still does is lost, so destroy the graph first. */
  close(): Promise<void>;
}
export function createPlatform(options: PlatformOptions = {}): Platform {
  const log = options.log && 'logger' in options.log ? options.log.logger : createLogger(options.log);
  const memory = new ArrayBuffer(options.arenaBytes ?? DEFAULT_ARENA_BYTES);
  const arena = options.debugArena ? new DebugArena(memory) : new Arena(memory);
  const driver = new ImmediateDriver();
  const loop = new Loop(driver, arena, options.poolObjects);
  const files = new RealFiles();
  const net = new RealNet();
  const close = async (): Promise<void> => {
    driver.close();
    files.shutDown();
    net.shutDown();
    if (!(options.log && 'logger' in options.log)) log.close();
  };
  return { loop, random: new RealRandom(), files, net, log, ring: null, close };
}
void AttachDriver;
