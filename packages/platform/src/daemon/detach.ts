import { spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { ErrorCode } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';

/** In the environment of a detached process: the descriptor over which it reports, once, how its start went. */
const REPORT_FD_VARIABLE = 'MARS_REPORT_FD';
const REPORT_FD = 3;
/** Longest report, bytes. */
const MAX_REPORT_BYTES = 64 * 1024;

export interface DetachOptions {
  /** Script to run with this Node, and its arguments. */
  script: string;
  args: readonly string[];
  /** What reaches stderr before the process has a log, or when it dies badly, is appended here. */
  stderrPath: string;
  timeoutMs: number;
}

/** How a detached process came up: what it reported, or that it ended or said nothing. */
export type DetachResult =
  | { kind: 'reported'; report: string; pid: number }
  | { kind: 'ended'; code: number | null; signal: string | null }
  | { kind: 'timeout'; pid: number };

/**
 * Starts a process that has nothing of ours: a session of its own, no inherited input or output, `/` as working directory. It reports
 * once, with {@link reportStart}, and the pipe for that is closed then.
 * @throws MarsError FILE_IO when it cannot have a log
 */
export function startDetached({ script, args, stderrPath, timeoutMs }: DetachOptions): Promise<DetachResult> {
  const stderr = openLog(stderrPath);
  const child = spawn(process.execPath, [script, ...args], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', stderr, 'pipe'],
    env: { ...process.env, [REPORT_FD_VARIABLE]: String(REPORT_FD) },
  });
  closeSync(stderr);
  return new Promise((resolve, reject) => {
    let report = '';
    let isReported = false;
    const done = (result: DetachResult): void => {
      clearTimeout(timer);
      pipe.destroy();
      child.removeAllListeners();
      child.unref();
      resolve(result);
    };
    const timer = setTimeout(() => done({ kind: 'timeout', pid: child.pid! }), timeoutMs);
    const pipe = child.stdio[REPORT_FD] as NodeJS.ReadableStream & { destroy(): void };
    pipe.on('data', (bytes: Buffer) => {
      if (report.length < MAX_REPORT_BYTES) report += bytes.toString();
    });
    pipe.on('end', () => {
      isReported = report.endsWith('\n');
      if (isReported) done({ kind: 'reported', report: report.trimEnd(), pid: child.pid! });
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('exit', (code, signal) => {
      // What it had reported before it ended is still on its way through the pipe.
      setImmediate(() => setImmediate(() => !isReported && done({ kind: 'ended', code, signal })));
    });
  });
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (cause) {
    throw machineError(ErrorCode.FILE_IO, { action: `open the log ${path}`, errno: errnoOf(cause), path, cause });
  }
}

/** Tells the process that has detached us how the start went. Harmless when nobody has. */
export function reportStart(report: string): void {
  const fd = Number(process.env[REPORT_FD_VARIABLE] ?? NaN);
  if (!Number.isInteger(fd)) return;
  delete process.env[REPORT_FD_VARIABLE];
  try {
    writeSync(fd, `${report}\n`);
    closeSync(fd);
  } catch {
    // Whoever started us did not wait.
  }
}
