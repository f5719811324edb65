import { ErrorCode, MarsError, isMarsError } from '@mars/brick-core';
import { spawnLoopThread, type LogLevel } from '@mars/platform';
import type { Facts, StackHandle, StackPlan } from '@mars/stack';
import { DEFAULT_SPIN_US } from './limits.js';
import type { DataThreadStart, FromStack } from './messages.js';
import { RemoteStack } from './remote-stack.js';

export interface ThreadStackOptions {
  secrets?: Readonly<Record<string, string>>;
  facts?: Facts;
  /** Log lines of the thread (JSON, with newline), for the logger of the process. */
  onLog?: (line: string) => void;
  level?: LogLevel;
  ring?: 'auto' | 'io_uring' | 'threads';
  /** Longest spin before the thread sleeps, µs; adaptive below that, 0 = never. */
  spinUs?: number;
  /** Keep its payload memory from being swapped out, for block servers. */
  lockArena?: boolean;
  /**
   * URLs of modules with further bricks (`export const source: string, bricks: BrickClass[]`). Installed packages need not be
   * named: the thread loads them as its owner does.
   */
  brickModules?: readonly string[];
}

/** A stack in a thread of its own. */
export interface ThreadStack extends StackHandle {
  readonly ringKind: string;
  /**
   * Ends the thread whatever it does; after `close()` there is nothing left to do. What is under way then is lost, as in a crash.
   * @throws MarsError STOP_FAILED when it had to be killed
   */
  end(): Promise<void>;
}

const ENTRY = new URL('./worker.js', import.meta.url);

/**
 * Builds and starts a stack in a thread of its own, which blocks in its ring (data-path.md 5). Subscribe at once, before
 * anything is awaited, and no event is missed. When the thread dies there is one last event, `died`.
 * @throws MarsError DATA_THREAD_DIED when it could not even start; otherwise what `openStack` throws
 */
export async function openStackInThread(plan: StackPlan, options: ThreadStackOptions = {}): Promise<ThreadStack> {
  const name = plan.stack;
  const {
    secrets = {},
    facts = {},
    onLog,
    level = 'info',
    ring = 'auto',
    spinUs = DEFAULT_SPIN_US,
    lockArena = false,
    brickModules = [],
  } = options;
  const data: DataThreadStart = { level, ring, spinUs, lockArena, brickModules };
  let stack: RemoteStack | null = null;
  const thread = await spawnLoopThread(ENTRY, {
    name: `stack ${name}`,
    data,
    onMessage: (message) => stack?.heard(message as FromStack),
    ...(onLog === undefined ? {} : { onLog }),
  }).catch((cause: unknown) => {
    throw isMarsError(cause) ? cause : notStarted(name, cause);
  });
  const remote = new RemoteStack(name, thread.post, thread.stop);
  stack = remote;
  let isOver = false;
  const over = (cause: unknown): void => {
    isOver = true;
    remote.ended(cause);
  };
  thread.ended.then(() => over('it ended by itself'), over);
  const end = async (): Promise<void> => {
    remote.ended('it was told to end');
    if (!isOver) await thread.stop();
  };
  try {
    await remote.open({ plan, secrets, facts });
  } catch (error) {
    await end();
    throw error;
  }
  return Object.assign(remote, { ringKind: thread.ringKind, end });
}

function notStarted(name: string, cause: unknown): MarsError {
  return new MarsError(ErrorCode.DATA_THREAD_DIED, `the thread of stack "${name}" could not start`, {
    cause,
    hint: 'Run it with --in-process to see whether the stack itself is at fault.',
  });
}
