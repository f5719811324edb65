import { ErrorCode, MarsError } from '@mars/brick-core';
import { LockFile } from '@mars/platform';
import { ThisHost } from '@mars/platform/command-line';
import type { LoadedStack, LogDirectoryValue, StackHandle, VarValues } from '@mars/stack';
import { digestEngine } from '../digest-engine.js';
import { LogKeeper } from '../log-keeper/index.js';
import type { Stage } from './stage.js';

/** Keeps the directory of logs that a stack names in a variable, if it does. */
export class KeptLogs {
  private lock: LockFile | null = null;
  private keeper: LogKeeper | null = null;

  private constructor(
    private readonly stage: Stage,
    private readonly stack: StackHandle,
    private readonly name: string,
    private readonly value: LogDirectoryValue,
    private readonly reload: (vars: VarValues) => LoadedStack,
  ) {}

  /**
   * @param reload reads the stack again, with other values for some of its variables
   * @throws MarsError BAD_VARIABLE when there are several directories
   */
  static of(
    { logDirectories }: LoadedStack,
    stage: Stage,
    stack: StackHandle,
    reload: (vars: VarValues) => LoadedStack,
  ): KeptLogs | null {
    const [first, second] = Object.entries(logDirectories);
    if (first === undefined) return null;
    if (second === undefined) return new KeptLogs(stage, stack, first[0], first[1], reload);
    throw new MarsError(ErrorCode.BAD_VARIABLE, `"${first[0]}" and "${second[0]}" are both directories of logs`, {
      hint: 'A stack has one of them; run two stacks.',
    });
  }

  /** Recovers; resolves when the stack logs. */
  async start(): Promise<void> {
    const { stack, name } = this;
    const { path: dir, host = thisHost(), rotate, keep, force } = this.value;
    const { files, clock, log } = this.stage.machine;
    files.makeDir(dir, { recursive: true, mode: 0o700 });
    if (this.stage.kind === 'real') this.lock = lockOf(dir);
    this.keeper = new LogKeeper({
      ...{ files, clock, log, dir, host, stack, name, engine: digestEngine },
      planOf: (logs) => this.reload({ [name]: logs }).plan,
      ...(rotate === undefined ? {} : { rotateBytes: rotate }),
      ...(keep === undefined ? {} : { keepLogs: keep }),
      ...(force === undefined ? {} : { force }),
    });
    await this.keeper.start();
  }

  /** Closes the stack; what its logger says last is in the links when this resolves. */
  async close(closeStack: () => Promise<void>): Promise<void> {
    if (this.keeper === null) await closeStack();
    else await this.keeper.close(closeStack);
    this.lock?.release();
  }
}

/** The name in file names; letters that a log name cannot hold do not occur in host names. */
function thisHost(): string {
  return process.env['MARS_HOST'] ?? new ThisHost().nodeName().split('.')[0]!;
}

/** Two processes that log into one directory would destroy each other's logs, and the disk. */
function lockOf(dir: string): LockFile {
  const lock = LockFile.take(`${dir}/.lock`);
  if (lock instanceof LockFile) return lock;
  const who = lock.holder === null ? 'another process' : `process ${lock.holder.pid}`;
  throw new MarsError(ErrorCode.DEVICE_IN_USE, `the logs in ${dir} are in use by ${who}`, {
    hint: 'One stack at a time can use a directory of logs; stop the other one, or name another directory.',
  });
}
