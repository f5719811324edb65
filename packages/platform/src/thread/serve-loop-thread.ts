import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '@mars/brick-core';
import { createPlatform, type Platform, type PlatformOptions } from '../platform.js';
import type { LogLevel } from '../log.js';
import type { FromThread, ThreadStart, ToThread } from './messages.js';

/** What the module of a loop thread works with. */
export interface LoopThreadContext {
  readonly platform: Platform;
  /** As given to `spawnLoopThread`. */
  readonly data: unknown;
  post(body: unknown): void;
}

/** What it gives back. */
export interface LoopThreadService {
  onMessage?(body: unknown): void;
  /** Before the platform is closed; release the graph here. */
  stop?(): Promise<void>;
}

/** Of the thread's platform; where it logs to and how it turns is not its choice. */
export interface LoopThreadSettings extends Omit<PlatformOptions, 'log' | 'driver'> {
  level?: LogLevel;
}

/**
 * The other side of `spawnLoopThread`: makes a platform that blocks in its ring, lets `serve` build on it, and says that it is
 * ready. Log lines travel to the owner, because two threads must not rotate one file.
 * @param settings may depend on what was given to `spawnLoopThread`
 */
export async function serveLoopThread(
  serve: (context: LoopThreadContext) => LoopThreadService | Promise<LoopThreadService>,
  settings: LoopThreadSettings | ((data: unknown) => LoopThreadSettings) = {},
): Promise<void> {
  const port = parentPort;
  const start = workerData as ThreadStart | undefined;
  invariant(port && start?.loopThread, 'serveLoopThread runs in a thread that spawnLoopThread has started');
  const post = (message: FromThread): void => port.postMessage(message);
  const options = typeof settings === 'function' ? settings(start.data) : settings;
  const log = { level: options.level ?? 'info', destination: { write: (line: string) => post({ kind: 'log', line }) } };
  const platform = createPlatform({ ...options, driver: 'ring-thread', log });
  const service = await serve({ platform, data: start.data, post: (body) => post({ kind: 'message', body }) });
  const stop = async (): Promise<void> => {
    await service.stop?.();
    await platform.close();
    port.close(); // the last thing that kept this thread alive
  };
  port.on('message', (message: ToThread) => {
    if (message.kind === 'message') service.onMessage?.(message.body);
    else void stop();
  });
  post({ kind: 'ready', wakeHandle: platform.wakeHandle, ringKind: platform.ringKind });
}
