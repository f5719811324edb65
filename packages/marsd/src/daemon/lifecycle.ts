import { ErrorCode, MarsError, type Clock, type ErrorCodeName } from '@mars/brick-core';
import { LockFile, RealNet, runDir, startDetached } from '@mars/platform';
import { SystemClock } from '@mars/platform/command-line';
import { EXIT_GOOD, type ExitCode } from '../mars-stack/exit.js';
import { DaemonClient, mute, type DaemonStatus } from './control-socket.js';
import { START_TIMEOUT_MS, STOP_POLL_MS, STOP_TIMEOUT_MS } from './limits.js';
import type { Settings } from './settings.js';

/** `marsd status`: exit status 0 = running, 3 = not. Source: decided.md, *Paths and environment* */
export const EXIT_NOT_RUNNING = 3;

export interface CommandOutput {
  json: boolean;
  out(text: string): void;
}

/** `marsd start`: 0 when a daemon runs, whoever started it. @throws MarsError why it did not come up */
export async function start(
  settings: Settings,
  { script, args }: { script: string; args: readonly string[] },
  output: CommandOutput,
): Promise<ExitCode> {
  const running = holder(settings);
  if (running !== null) {
    const status = await waitForAnswer(settings);
    return say(output, { ok: true, started: false, status }, `marsd runs already (process ${status.pid})`);
  }
  runDir({ run: settings.run });
  const result = await startDetached({
    script,
    args: ['run', '--detached', ...args],
    stderrPath: `${settings.run}/marsd.log`,
    timeoutMs: START_TIMEOUT_MS,
  });
  if (result.kind === 'timeout')
    throw mute(`process ${result.pid} did not come up within ${START_TIMEOUT_MS / 1000} s`);
  if (result.kind === 'ended') throw mute(`it ended at once (${result.signal ?? `exit ${result.code}`})`);
  const report = JSON.parse(result.report) as Report;
  if (!report.ok) throw errorOf(report.error);
  return say(output, { ok: true, started: true, status: report.status }, `marsd runs (process ${result.pid})`);
}

/** `marsd stop`: 0 when no daemon runs any more. @throws MarsError DEVICE_IN_USE: it goes on */
export async function stop(settings: Settings, output: CommandOutput): Promise<ExitCode> {
  const clock = new SystemClock();
  if (holder(settings) === null) return say(output, { ok: true, stopped: false }, 'marsd does not run');
  const net = new RealNet();
  const client = await DaemonClient.connect(net, settings.run);
  if (client === null) throw mute('it holds its lock, but its control socket is closed');
  try {
    await client.ask('stop');
    await client.closed;
  } finally {
    client.close();
    net.shutDown();
  }
  await untilGone(settings, clock);
  return say(output, { ok: true, stopped: true }, 'marsd has stopped');
}

/** `marsd status`. */
export async function status(settings: Settings, output: CommandOutput): Promise<ExitCode | typeof EXIT_NOT_RUNNING> {
  const lock = holder(settings);
  if (lock === null) {
    say(output, { ok: true, running: false }, 'marsd does not run');
    return EXIT_NOT_RUNNING;
  }
  const found = await ask(settings);
  if (found === null) {
    return say(
      output,
      { ok: true, running: true, status: null },
      `marsd runs (process ${lock.holder?.pid ?? '?'}), and does not answer yet`,
    );
  }
  return say(output, { ok: true, running: true, status: found }, statusText(found));
}

function statusText(s: DaemonStatus): string {
  const open = s.openDevices.length === 0 ? 'none' : s.openDevices.join(', ');
  return [
    `marsd ${s.version} runs (process ${s.pid}) since ${s.uptimeS} s`,
    `host           ${s.host}`,
    `tree           ${s.mars}`,
    `run directory  ${s.run}`,
    `network        ${s.network}`,
    `control files  ${s.run}/sys (${s.controlFiles})`,
    `open devices   ${open}`,
  ].join('\n');
}

type Report =
  { ok: true; status: DaemonStatus } | { ok: false; error: { code: string; message: string; hint?: string } };

function errorOf({ code, message, hint }: { code: string; message: string; hint?: string }): MarsError {
  const known = code in ErrorCode ? (code as ErrorCodeName) : ErrorCode.DAEMON_CANNOT_START;
  return new MarsError(known, message, hint === undefined ? {} : { hint });
}

function holder({ run }: Settings): ReturnType<typeof LockFile.holder> {
  return LockFile.holder(`${run}/marsd.lock`);
}

async function ask({ run }: Settings): Promise<DaemonStatus | null> {
  const net = new RealNet();
  const client = await DaemonClient.connect(net, run);
  try {
    return client === null ? null : ((await client.ask('status')) as DaemonStatus);
  } finally {
    client?.close();
    net.shutDown();
  }
}

/** A daemon that somebody else has just started may not answer yet. */
async function waitForAnswer(settings: Settings): Promise<DaemonStatus> {
  const clock = new SystemClock();
  const endUs = clock.nowUs + START_TIMEOUT_MS * 1000;
  for (;;) {
    const found = await ask(settings);
    if (found !== null) return found;
    if (clock.nowUs > endUs || holder(settings) === null) throw mute('it holds its lock, but does not come up');
    await clock.sleep(STOP_POLL_MS);
  }
}

async function untilGone(settings: Settings, clock: Pick<Clock, 'nowUs' | 'sleep'>): Promise<void> {
  const endUs = clock.nowUs + STOP_TIMEOUT_MS * 1000;
  while (holder(settings) !== null) {
    if (clock.nowUs > endUs) throw mute('it has agreed to stop, but does not end');
    await clock.sleep(STOP_POLL_MS);
  }
}

function say({ json, out }: CommandOutput, data: object, text: string): ExitCode {
  out(json ? `${JSON.stringify(data)}\n` : `${text}\n`);
  return EXIT_GOOD;
}
