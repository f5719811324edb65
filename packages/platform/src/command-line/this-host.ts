import { execFile, spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import * as fs from 'node:fs';
import { homedir, hostname, networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { ErrorCode } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';

export interface ProgramResult {
  /** Exit status; null = it could not be started, or was killed. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A program that reads lines from us until `end`. */
export interface LineSink {
  write(line: string): void;
  end(): Promise<void>;
}

/** Longest output of a program that is kept, bytes. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

/** What a command-line tool asks the machine for, beside files and time. */
export class ThisHost {
  readonly pid = process.pid;
  /** Effective user; 0 = root. */
  readonly uid = process.geteuid?.() ?? -1;
  readonly home = homedir();

  /** What `uname -n` says. */
  nodeName(): string {
    return hostname();
  }

  /** IPv4 addresses that are not of the loopback, in the order of the interfaces. */
  addresses(): { device: string; address: string }[] {
    return Object.entries(networkInterfaces()).flatMap(([device, list]) =>
      (list ?? [])
        .filter(({ family, internal }) => family === 'IPv4' && !internal)
        .map(({ address }) => ({ device, address })),
    );
  }

  /** IPv4 address by name service; null = unknown. */
  async lookup(name: string): Promise<string | null> {
    try {
      return (await lookup(name, { family: 4 })).address;
    } catch {
      // Every reason (no such name, no server, no network) means the same here: it has no address for us.
      return null;
    }
  }

  /** Owner of a file or directory; null = it is not there. */
  ownerOf(path: string): number | null {
    return fs.lstatSync(path, { throwIfNoEntry: false })?.uid ?? null;
  }

  chown(path: string, uid: number): void {
    refused(`give ${path} to user ${uid}`, path, () => fs.lchownSync(path, uid, uid));
  }

  chmod(path: string, mode: number): void {
    refused(`set the mode of ${path}`, path, () => fs.chmodSync(path, mode));
  }

  /** Exactly one write(2), to something that takes a whole command at a time: a control file, or a FIFO. Never waits for a reader. */
  writeOnce(path: string, text: string): void {
    refused(`write to ${path}`, path, () => {
      const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
      try {
        fs.writeSync(fd, text);
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  /** Runs a program to its end; its stdin is empty. Never throws. */
  run(program: string, args: readonly string[], { timeoutMs }: { timeoutMs: number }): Promise<ProgramResult> {
    return new Promise((resolve) => {
      const options = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, encoding: 'utf8' } as const;
      const child = execFile(program, [...args], options, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
        resolve({ status, stdout, stderr });
      });
      child.stdin?.end();
    });
  }

  /** Starts a program that eats lines (`logger`); one that cannot be started eats them all the same. */
  lineSink(program: string, args: readonly string[]): LineSink {
    const child = spawn(program, [...args], { stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = new Promise<void>((resolve) => {
      child.on('error', () => resolve());
      child.on('close', () => resolve());
    });
    // It may end before we do; then the rest of the lines is lost, which is no reason to stop.
    child.stdin.on('error', () => {});
    return {
      write: (line) => void child.stdin.write(`${line}\n`),
      async end() {
        child.stdin.end();
        await ended;
      },
    };
  }

  /** Whether a person sits at both ends. */
  get isInteractive(): boolean {
    return process.stdin.isTTY && process.stderr.isTTY;
  }

  /** Asks on the terminal; the question goes to stderr, so that stdout stays for results. */
  async ask(question: string): Promise<string> {
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await lines.question(question);
    } finally {
      lines.close();
    }
  }
}

function refused(action: string, path: string, run: () => void): void {
  try {
    run();
  } catch (cause) {
    throw machineError(ErrorCode.FILE_IO, { action, errno: errnoOf(cause), path, cause });
  }
}
