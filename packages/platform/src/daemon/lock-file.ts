import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { EAGAIN, ErrorCode } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { native } from '../native.js';

/** Who holds a lock, as it has written itself into the file; null = somebody who has not said so yet. */
export interface LockHolder {
  pid: number;
}

/**
 * A file that one process at a time can hold. The kernel gives it back when that process ends, however it ends, so no lock is ever stale.
 *
 * Without the addon there is no flock: then the file counts as held while the process that it names lives (same number, same start).
 */
export class LockFile {
  private constructor(private fd: number) {}

  /**
   * @returns the lock, or who holds it
   * @throws MarsError FILE_IO when the file cannot be made
   */
  static take(path: string): LockFile | { holder: LockHolder | null } {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    } catch (cause) {
      throw machineError(ErrorCode.FILE_IO, {
        action: `open the lock file ${path}`,
        errno: errnoOf(cause),
        path,
        cause,
      });
    }
    const status = native === null ? lockByName(path) : native.lockFile(fd);
    if (status === 0) return LockFile.taken(fd);
    closeSync(fd);
    if (status !== -EAGAIN) throw machineError(ErrorCode.FILE_IO, { action: `lock ${path}`, errno: status, path });
    return { holder: holderOf(path) };
  }

  /** Somebody's lock, without taking it; null = nobody's. */
  static holder(path: string): { holder: LockHolder | null } | null {
    try {
      readFileSync(path);
    } catch {
      return null;
    }
    const lock = LockFile.take(path);
    if (!(lock instanceof LockFile)) return lock;
    lock.release();
    return null;
  }

  /** The file stays: removing it would let two processes lock two files of one name. */
  release(): void {
    if (this.fd < 0) return;
    ftruncateSync(this.fd, 0);
    closeSync(this.fd);
    this.fd = -1;
  }

  private static taken(fd: number): LockFile {
    ftruncateSync(fd, 0);
    writeSync(fd, `${process.pid} ${startOf(process.pid) ?? ''}\n`, 0);
    return new LockFile(fd);
  }
}

function readLock(path: string): { pid: number; start: string } | null {
  try {
    const [, pid, start] = /^(\d+) (\S*)\n/.exec(readFileSync(path, 'utf8')) ?? [];
    return pid === undefined ? null : { pid: Number(pid), start: start! };
  } catch {
    return null;
  }
}

function holderOf(path: string): LockHolder | null {
  const written = readLock(path);
  return written === null ? null : { pid: written.pid };
}

function lockByName(path: string): number {
  const written = readLock(path);
  return written !== null && startOf(written.pid) === written.start ? -EAGAIN : 0;
}

/** When a process was started, in the kernel's own unit; null = there is none. Two processes with one number differ in it. */
function startOf(pid: number): string | null {
  try {
    // Field 22; the second one is the name of the program, in parentheses, and may contain anything.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
