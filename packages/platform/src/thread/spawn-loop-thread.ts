import { Worker } from 'node:worker_threads';
import { ErrorCode, MarsError } from '@mars/brick-core';
import { native } from '../native.js';
import type { FromThread, ThreadStart, ToThread } from './messages.js';

/** A thread that does not stop by itself is ended after this time, ms. */
export const STOP_TIMEOUT_MS = 30_000;

export interface LoopThreadOptions {
  /** For debuggers and `top -H`. */
  name: string;
  /** Plain data for the thread's `serveLoopThread`. */
  data?: unknown;
  onMessage?: (body: unknown) => void;
  /** A log line of the thread (JSON, with newline): give it to the process's logger, which owns the file. */
  onLog?: (line: string) => void;
  stopTimeoutMs?: number;
}

/** A data-path thread as its owner sees it. */
export interface LoopThread {
  readonly ringKind: string;
  /** Plain data; reaches the thread although it may be blocked in its ring. */
  post(body: unknown): void;
  /** Resolves when the thread has ended in good order. @throws MarsError STOP_FAILED when it had to be killed */
  stop(): Promise<void>;
  /** Resolves at its end; rejects when it died of an error. Handle it: an invariant of the data path ends the process. */
  readonly ended: Promise<void>;
}

/**
 * Starts `entry`, a module that calls `serveLoopThread`, as a worker with a loop and a ring of its own.
 * Resolves when that loop turns; rejects with what the thread threw before.
 */
export function spawnLoopThread(entry: URL, options: LoopThreadOptions): Promise<LoopThread> {
  const start: ThreadStart = { loopThread: true, data: options.data };
  const worker = new Worker(entry, { name: options.name, workerData: start });
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`thread ${options.name} ended with ${code}`)),
    );
  });
  ended.catch(() => {}); // seen below until it is ready, by the owner of the handle afterwards
  return new Promise((resolve, reject) => {
    ended.then(() => reject(new Error(`thread ${options.name} ended before it was ready`)), reject);
    worker.on('message', (message: FromThread) => {
      if (message.kind === 'ready') resolve(handleOf(worker, message, ended, options));
      else if (message.kind === 'log') options.onLog?.(message.line);
      else options.onMessage?.(message.body);
    });
  });
}

function handleOf(
  worker: Worker,
  { wakeHandle, ringKind }: Extract<FromThread, { kind: 'ready' }>,
  ended: Promise<void>,
  { name, stopTimeoutMs = STOP_TIMEOUT_MS }: LoopThreadOptions,
): LoopThread {
  const send = (message: ToThread): void => {
    worker.postMessage(message);
    if (wakeHandle > 0) native!.wakeRing(wakeHandle);
  };
  const kill = async (): Promise<void> => {
    await worker.terminate();
    throw new MarsError(
      ErrorCode.STOP_FAILED,
      `the thread ${name} did not stop within ${stopTimeoutMs} ms and was ended`,
      {
        hint: 'Requests were probably stuck: the log of the thread names the brick.',
      },
    );
  };
  return {
    ringKind,
    post: (body) => send({ kind: 'message', body }),
    ended,
    async stop() {
      send({ kind: 'stop' });
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), stopTimeoutMs)));
      const outcome = await Promise.race([ended, late]).finally(() => clearTimeout(timer));
      if (outcome === 'late') await kill();
    },
  };
}
