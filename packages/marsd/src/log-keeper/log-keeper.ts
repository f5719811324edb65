import {
  ErrorCode,
  MarsError,
  causeText,
  invariant,
  type Clock,
  type Files,
  type Logger,
  type Unwatch,
} from '@mars/brick-core';
import type { DigestEngine } from '@mars/bricks-logger/log-format';
import { LOG, type LogName } from '@mars/mars-tree';
import type { FactValue, StackEvent, StackHandle, StackPlan } from '@mars/stack';
import {
  localStepText,
  nextLocalStep,
  stopTexts,
  type LocalLogFacts,
  type LocalLogStep,
  type LogEnd,
} from '@mars/strategy';
import {
  BYPASS_MS,
  LOOK_MS,
  RECOVERY_STEPS,
  RECOVERY_STEPS_PER_LOG,
  ROTATE_BYTES,
  ROTATE_BYTES_MIN,
  ROTATE_SHARE,
} from './limits.js';
import { LogDirectory } from './log-directory.js';
import { lookAtEnd } from './log-end.js';
import { Publisher } from './publisher.js';

/** One element of the list behind a `log-directory` variable. */
export interface LogItem {
  /** The number: brick `log:3` holds log 3. */
  key: string;
  path: string;
  name: string;
  serial: number;
  host: string;
}

export interface LogKeeperOptions {
  files: Files;
  clock: Clock;
  log: Logger;
  /** Directory of the logs; it is made when it is missing. */
  dir: string;
  /** Name of this host in the names of files and links. */
  host: string;
  /** The running stack. Nothing of it needs to be on before the keeper says so. */
  stack: StackHandle;
  /** Name of the `log-directory` variable: facts are called `<name>.mode` … */
  name: string;
  /** The plan of the stack with these logs as value of the variable. */
  planOf: (logs: readonly LogItem[]) => StackPlan;
  /** A new log is begun at this size, bytes; 0 = never. Default: 32 GiB, or 1/32 of the file system, at least 1 GiB. */
  rotateBytes?: number;
  /** So many logs that are completely on the disk are kept; default: all. */
  keepLogs?: number;
  /** Accept damage at the end of a log, and an inconsistent disk: a person has said so. */
  force?: boolean;
  /** The logger's cap on unsynced log bytes; default as the logger's. */
  unsyncedCapBytes?: number;
  engine?: DigestEngine;
}

/** recovering: the device is not there yet. logging: it is. closed: for good. */
export type KeeperState = 'idle' | 'recovering' | 'logging' | 'closed';

/**
 * Keeps the logs of a stack with a `trans-logger`, without any cluster: brings whatever a crash left to an empty log, then keeps the
 * links up to date, rotates, and removes what nobody needs. What is to be done is decided in `@mars/strategy`; this is the hand.
 *
 * ```
 *   directory ──facts──> nextLocalStep ──> look, cut, create, switch: files and links
 *                                     └──> replay, log: list of logs, mode and positions for the stack
 *   stack ──facts `replay`, `log`──> links
 * ```
 * It uses files, a clock and the handle of the stack, so it runs in the simulator as on a machine.
 * Source: transaction-log.md 2.6, 2.7, 3.2, 3.3; symlink-tree.md 5
 */
export class LogKeeper {
  readonly directory: LogDirectory;
  private state_: KeeperState = 'idle';
  private readonly loggerName: string;
  private readonly publisher: Publisher;
  /** Facts of the logger brick, as heard last. */
  private readonly heard = new Map<string, FactValue>();
  private readonly listeners = new Set<() => void>();
  private readonly stopSignal = new AbortController();
  /** Where the log of the replay link ends; forgotten when the log changes. */
  private end: LogEnd | null = null;
  /** Logs that the stack has open: the present one, and during a rotation the next. */
  private open: LogName[] = [];
  private looking: Promise<void> | null = null;
  private mustLookAgain = false;
  /** The empty log behind the hole that an emergency has left; `null` = none, or it is in use. */
  private behindHole: LogName | null = null;
  private bypassSinceUs = 0;
  /** Somebody wants the next log now. */
  private mustRotate = false;
  private unsubscribe: () => void = () => {};
  private unwatch: Unwatch = () => {};
  private death: MarsError | null = null;

  constructor(private readonly options: LogKeeperOptions) {
    const { files, dir, host, planOf, log } = options;
    this.directory = new LogDirectory(files, dir, host);
    this.publisher = new Publisher(this.directory, log, () => this.lookAround());
    const logger = planOf([]).bricks.find(({ type }) => type === 'trans-logger');
    if (logger === undefined)
      throw new MarsError(ErrorCode.BAD_STACK_FILE, `no brick of this stack logs into "${options.name}"`, {
        hint: 'A variable of type log-directory is for a stack with a trans-logger; see stacks/primary-local.yaml.',
      });
    this.loggerName = logger.name;
  }

  get state(): KeeperState {
    return this.state_;
  }

  /** The log that is written now; `null` before there is one. */
  get current(): LogName | null {
    return this.state_ === 'logging' ? (this.open.at(-1) ?? null) : null;
  }

  /**
   * Recovers; resolves when the stack logs.
   * @throws MarsError LOGS_NOT_USABLE when a person has to decide, REPLAY_FAILED, or what the machine says
   */
  async start(): Promise<void> {
    invariant(this.state_ === 'idle', 'a log keeper is started once');
    const { files, dir, stack } = this.options;
    this.state_ = 'recovering';
    this.unsubscribe = stack.subscribe((event) => this.hear(event));
    files.makeDir(dir, { recursive: true, mode: 0o700 });
    this.directory.removeStaleTemporaries();
    const log = await this.recover();
    await this.beginToLog(log);
    this.checkAlive();
    this.state_ = 'logging';
    this.unwatch = files.watch(dir, () => this.lookAround());
    void this.lookNowAndThen();
  }

  /**
   * Makes the next log appear; the stack goes over to it under load. While a rotation is under way it is the rotation that is asked for.
   * Resolves when the stack has been told.
   */
  async rotate(): Promise<void> {
    invariant(this.state_ === 'logging', 'only a log that is written can be followed by another one');
    this.mustRotate = true;
    await this.lookAround();
  }

  /**
   * Closes the stack, and puts what its logger says last into the links: then a restart finds nothing to replay. May be called at
   * any time, also while a recovery is under way (whose promise then rejects).
   */
  async close(closeStack: () => Promise<void>): Promise<void> {
    this.state_ = 'closed';
    this.stopSignal.abort();
    this.unwatch();
    await this.looking;
    try {
      await closeStack();
    } finally {
      await this.publisher.idle();
      this.unsubscribe();
    }
  }

  // --------------------------------------------------------------------------------------------------------- recovery

  private async recover(): Promise<LogName> {
    const limit = RECOVERY_STEPS + RECOVERY_STEPS_PER_LOG * this.directory.logs().length;
    for (let steps = 0; steps < limit; steps++) {
      const step = nextLocalStep(this.facts());
      this.options.log.info({ dir: this.options.dir, step: localStepText(step) }, 'recovery of the logs');
      if (step.do === 'stop') throw this.refusal(step);
      if (step.do === 'log') return step.log;
      await this.perform(step);
    }
    invariant(false, 'the recovery of the logs goes round in circles');
  }

  private facts(): LocalLogFacts {
    const { host: me, force = false } = this.options;
    const { directory, end } = this;
    const replay = directory.replay();
    if (replay === 'unreadable')
      throw new MarsError(ErrorCode.LOGS_NOT_USABLE, `the link replay-${me} in ${directory.path} cannot be read`, {
        hint: 'It should be like "log-000000001-HOST,POSITION,LENGTH"; put it right, or bring it back from a backup.',
      });
    const versionBytes = replay === null ? null : directory.versionBytes(replay.log.sequence);
    return { me, replay, versionBytes, logs: directory.logs(), end, force };
  }

  private refusal({ reason, log }: LocalLogStep & { do: 'stop' }): MarsError {
    const { what, remedy } = stopTexts(reason, log);
    const { dir } = this.options;
    return new MarsError(ErrorCode.LOGS_NOT_USABLE, `${dir}: ${what}`, { hint: remedy, details: { dir, reason } });
  }

  private async perform(step: Exclude<LocalLogStep, { do: 'stop' } | { do: 'log' }>): Promise<void> {
    const { directory } = this;
    switch (step.do) {
      case 'begin':
        await directory.create(step.log);
        return directory.begin(step.log);
      case 'look':
        return this.look(step.log, step.fromPos);
      case 'replay':
        return this.replay(step);
      case 'cut':
        await directory.cut(step.log, step.atPos);
        this.end = null;
        return;
      case 'create':
        return directory.create(step.log);
      case 'switch':
        directory.writeVersion(step.from, step.lengthBytes);
        await directory.publish({ log: step.to, posBytes: 0, dirtyBytes: 0, lengthBytes: 0 });
        this.end = null;
        return;
    }
  }

  private async look(log: LogName, fromPos: number): Promise<void> {
    const { files, unsyncedCapBytes, engine } = this.options;
    await this.directory.makeDurable(log);
    const { replay } = this.facts();
    const dirtyEnd = replay === null ? 0 : replay.posBytes + replay.dirtyBytes;
    const path = this.directory.pathOf(log);
    this.end = await lookAtEnd(files, path, { fromPos, dirtyEnd, unsyncedCapBytes, engine });
  }

  /** Lets the logger replay, and waits for its code. */
  private async replay({ log, fromPos, toPos }: LocalLogStep & { do: 'replay' }): Promise<void> {
    await this.hand([log], { mode: 'replay', start: fromPos, end: toPos, serial: log.sequence });
    await this.until(() => this.heard.get('replay-code') !== undefined && this.heard.get('replay-code') !== '0');
    await this.publisher.idle();
    const code = String(this.heard.get('replay-code'));
    if (code !== '1') throw this.replayFailed(log, code);
    // The last publication of the run, in case its facts were merged with older ones on the way.
    await this.directory.publish({ log, posBytes: toPos, dirtyBytes: 0, lengthBytes: toPos });
  }

  private replayFailed(log: LogName, code: string): MarsError {
    return new MarsError(ErrorCode.REPLAY_FAILED, `the replay of ${LOG.format(log)} stopped with code ${code}`, {
      hint: 'Look at the disk below the logger, and at the log of this process; "mars-log verify" checks the logfile. Starting again goes on where it stopped.',
      details: { dir: this.options.dir, code },
    });
  }

  private async beginToLog(log: LogName): Promise<void> {
    await this.hand([log], { mode: 'logging', start: 0, end: 0, serial: log.sequence });
  }

  // -------------------------------------------------------------------------------------------------- dealing with a stack

  /** Takes the logger off its present work, gives it other logs and other orders, and waits until everybody is at rest. */
  private async hand(logs: LogName[], orders: Record<'mode' | 'start' | 'end' | 'serial', FactValue>): Promise<void> {
    const { stack, planOf } = this.options;
    // Orders and logs must never be mixed with older ones, so nothing is on while they change.
    await this.setOrders(null);
    await this.settled();
    this.heard.clear();
    this.open = logs;
    await stack.apply(planOf(logs.map((log) => this.itemOf(log))));
    await this.settled();
    await this.setOrders(orders);
    await this.settled();
  }

  private async setOrders(orders: Record<string, FactValue> | null): Promise<void> {
    const { stack, name } = this.options;
    const { facts } = await stack.status();
    const others = Object.entries(facts).filter(([fact]) => !fact.startsWith(`${name}.`));
    const ours = Object.entries(orders ?? {}).map(([fact, value]) => [`${name}.${fact}`, value] as const);
    await stack.setFacts(Object.fromEntries([...others, ...ours]));
  }

  /** @throws MarsError START_FAILED with the first reason of the stack */
  private async settled(): Promise<void> {
    await this.options.stack.settled();
    this.checkAlive();
    const { bricks } = await this.options.stack.status();
    const failed = bricks.find(({ failure }) => failure !== null);
    if (failed === undefined) return;
    const { message, hint } = failed.failure!;
    throw new MarsError(ErrorCode.START_FAILED, message, hint === null ? {} : { hint });
  }

  private itemOf(log: LogName): LogItem {
    const { sequence: serial, host } = log;
    return { key: String(serial), path: this.directory.pathOf(log), name: LOG.format(log), serial, host };
  }

  private hear(event: StackEvent): void {
    if (event.kind === 'died')
      this.death = new MarsError(ErrorCode.DATA_THREAD_DIED, event.failure.message, {
        ...(event.failure.hint === null ? {} : { hint: event.failure.hint }),
      });
    if (event.kind === 'closed')
      this.death = new MarsError(ErrorCode.BRICK_BUSY, 'the stack was closed during the recovery of its logs');
    if (event.kind === 'fact' && event.brick === this.loggerName) this.hearFact(event.name, event.value);
    for (const listener of [...this.listeners]) listener();
  }

  private hearFact(name: string, value: FactValue): void {
    this.heard.set(name, value);
    if (name === 'replay') this.publish(String(value));
    if (name === 'state') void this.lookAround();
    if (name === 'log' && this.isFull(Number(String(value).split(',')[2]))) void this.lookAround();
  }

  /** `SERIAL,minPos,dirtyLen` of the logger becomes links. */
  private publish(text: string): void {
    const [sequence, posBytes, dirtyBytes] = numbersOf(text) as [number, number, number];
    const log = this.open.find((one) => one.sequence === sequence);
    if (log === undefined) return;
    const [logSequence, durableEnd] = numbersOf(this.heard.get('log'));
    const lengthBytes = logSequence === sequence ? durableEnd! : posBytes + dirtyBytes;
    this.publisher.push({ log, posBytes, dirtyBytes, lengthBytes: Math.max(lengthBytes, posBytes) });
  }

  private async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      this.checkAlive();
      await new Promise<void>((resolve) => {
        const once = (): void => {
          this.listeners.delete(once);
          resolve();
        };
        this.listeners.add(once);
      });
    }
  }

  private checkAlive(): void {
    if (this.death !== null) throw this.death;
  }

  // --------------------------------------------------------------------------------------------- rotation and housekeeping

  private async lookNowAndThen(): Promise<void> {
    const { clock } = this.options;
    const { signal } = this.stopSignal;
    while (!signal.aborted) {
      await this.lookAround();
      await clock.sleep(LOOK_MS, { signal }).catch(() => {});
    }
  }

  /** Never two at a time; a call meanwhile makes it look once more. */
  private lookAround(): Promise<void> {
    if (this.state_ !== 'logging') return Promise.resolve();
    this.mustLookAgain = true;
    this.looking ??= this.lookUntilQuiet().finally(() => (this.looking = null));
    return this.looking;
  }

  private async lookUntilQuiet(): Promise<void> {
    try {
      while (this.mustLookAgain && this.state_ === 'logging') {
        this.mustLookAgain = false;
        await this.closeOldLog();
        await this.allowBypass();
        await this.endBypass();
        await this.openNextLog();
        await this.removeOldLogs();
      }
    } catch (error) {
      const { dir, log } = this.options;
      log.error(
        { dir, reason: causeText(error), hint: 'Look at the directory of the logs.' },
        'looking after the logs failed',
      );
    }
  }

  /** The log whose position is published: everything of the ones before is on the disk. */
  private get publishedSequence(): number {
    return Number(String(this.heard.get('replay') ?? '0').split(',')[0]);
  }

  private async closeOldLog(): Promise<void> {
    const [old, current] = this.open;
    if (current === undefined || this.publishedSequence < current.sequence) return;
    invariant(old !== undefined && old.sequence < current.sequence, 'two logs are open, and none is older');
    this.open = [current];
    if (this.behindHole?.sequence === current.sequence) this.behindHole = null;
    await this.applyLogs();
  }

  private async openNextLog(): Promise<void> {
    const [current, next] = this.open;
    if (next !== undefined) this.mustRotate = false;
    if (current === undefined || next !== undefined || this.behindHole !== null) return;
    const wanted = { sequence: current.sequence + 1, host: this.options.host };
    const logs = this.directory.logs();
    const isThere = logs.some(({ sequence, sizeBytes }) => sequence === wanted.sequence && sizeBytes === 0);
    const present = logs.find(({ sequence }) => sequence === current.sequence);
    if (!isThere && !this.mustRotate && !this.isFull(present?.sizeBytes ?? 0)) return;
    this.mustRotate = false;
    if (!isThere) await this.directory.create(wanted);
    else await this.directory.makeDurable(wanted);
    this.options.log.info({ dir: this.options.dir, log: LOG.format(wanted) }, 'the next log is opened');
    this.open = [current, wanted];
    await this.applyLogs();
  }

  /**
   * The log cannot be written, and writes are to go on without one: that needs a hole in the serials first (INV-18), and in front of it nothing
   * that recovery would have to bring to the disk.
   */
  private async allowBypass(): Promise<void> {
    const hasHole = this.behindHole !== null && this.behindHole.sequence !== this.open.at(-1)!.sequence;
    if (this.heard.get('state') !== 'bypass-waiting' || hasHole) return;
    const [sequence, posBytes, dirtyBytes] = numbersOf(this.heard.get('replay'));
    const [logSequence, durableEnd] = numbersOf(this.heard.get('log'));
    // What was durable in the log must be durable on the disk; the logger says so soon.
    if (sequence !== logSequence || posBytes !== durableEnd || dirtyBytes !== 0) return;
    const { stack, clock, dir, log } = this.options;
    const highest = Math.max(...this.directory.logs().map((one) => one.sequence), this.open.at(-1)!.sequence);
    this.behindHole = await this.directory.leaveHole(highest);
    this.bypassSinceUs = clock.nowUs;
    log.error(
      { dir, next: LOG.format(this.behindHole), hint: 'Make space for the logs, or repair their volume.' },
      'the log cannot be written: writes go to the disk without one, and replicas would need a full sync',
    );
    await stack.setParam(this.loggerName, 'bypass-allowed', true);
  }

  /** The permission was for this one time; a fresh log is offered after a while, and the logger goes back to it if that works. */
  private async endBypass(): Promise<void> {
    const { clock, stack } = this.options;
    const [current, next] = this.open;
    if (this.heard.get('state') !== 'bypass' || this.behindHole === null || next !== undefined) return;
    if (clock.nowUs - this.bypassSinceUs < BYPASS_MS * 1000) return;
    await stack.setParam(this.loggerName, 'bypass-allowed', false);
    this.open = [current!, this.behindHole];
    await this.applyLogs();
  }

  /** Is a log of that length to be followed by another one? */
  private isFull(sizeBytes: number): boolean {
    const limit = this.rotateBytes;
    return limit > 0 && sizeBytes >= limit;
  }

  private get rotateBytes(): number {
    const { rotateBytes, files, dir } = this.options;
    if (rotateBytes !== undefined) return rotateBytes;
    return Math.min(ROTATE_BYTES, Math.max(ROTATE_BYTES_MIN, files.space(dir).totalBytes / ROTATE_SHARE));
  }

  private async removeOldLogs(): Promise<void> {
    const { keepLogs, dir, log } = this.options;
    if (keepLogs === undefined) return;
    for (const gone of await this.directory.removeLogs(this.publishedSequence, keepLogs))
      log.info({ dir, log: LOG.format(gone) }, 'a log that nobody needs any more is removed');
  }

  private async applyLogs(): Promise<void> {
    await this.options.stack.apply(this.options.planOf(this.open.map((log) => this.itemOf(log))));
  }
}

/** `3,8192,4096` → three numbers; nothing of a fact that was not heard yet. */
function numbersOf(fact: FactValue | undefined): number[] {
  return fact === undefined ? [] : String(fact).split(',').map(Number);
}
