import { close, constants, fstatSync, open, statSync, type BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import {
  EBUSY,
  EINVAL,
  ErrorCode,
  RING_FALLOC_KEEP_SIZE,
  RING_FALLOC_PUNCH_HOLE,
  type MarsError,
  type OpenFile,
  type OpenOptions,
} from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { native } from '../native.js';
import { diskFacts, holdersOf, type DiskFacts } from './sys-block.js';

const openAsync = promisify(open);
const closeAsync = promisify(close);

/** Safe for direct I/O on every disk we know of, where nobody tells the real value. */
const CAUTIOUS_ALIGN_BYTES = 4096;
/** What a file system wants that names no preference, bytes. */
const DEFAULT_PREFERRED_BYTES = 4096;
const MODE = 0o600;

/** Opens in the thread pool, because a device that wakes up or a network file system may take its time. */
export async function openPath(path: string, options: OpenOptions): Promise<OpenFile> {
  const isDevice = statOrNull(path)?.isBlockDevice() ?? false;
  let fd: number;
  try {
    fd = await openAsync(path, openFlags(options, isDevice), MODE);
  } catch (error) {
    throw openError(path, options, isDevice, error);
  }
  try {
    return describe(fd, path, options);
  } catch (error) {
    await closeAsync(fd);
    throw error;
  }
}

function openFlags(o: OpenOptions, isDevice: boolean): number {
  const c = constants;
  // O_NONBLOCK: a FIFO put in place of the file must not hang us; it means nothing for files and devices.
  let flags = (o.write ? c.O_RDWR : c.O_RDONLY) | c.O_NOCTTY | c.O_NONBLOCK;
  if (o.direct) flags |= c.O_DIRECT;
  if (o.noFollow) flags |= c.O_NOFOLLOW;
  // A device is never created or cut; for it O_EXCL alone means "refuse when somebody else holds it".
  if (isDevice) return o.exclusive ? flags | c.O_EXCL : flags;
  if (o.create) flags |= c.O_CREAT | (o.exclusive ? c.O_EXCL : 0);
  if (o.truncate) flags |= c.O_TRUNC;
  return flags;
}

function describe(fd: number, path: string, options: OpenOptions): OpenFile {
  const stat = fstatSync(fd, { bigint: true });
  if (!stat.isFile() && !stat.isBlockDevice()) {
    throw machineError(ErrorCode.FILE_OPEN, {
      action: `open ${path}: it is neither a file nor a block device`,
      errno: EINVAL,
      path,
      hint: 'Name a regular file or a block device.',
    });
  }
  const disk = diskFacts(stat.isBlockDevice() ? stat.rdev : stat.dev);
  const blocks = stat.isBlockDevice() ? deviceInfo(fd) : null;
  return {
    fd,
    path,
    isBlockDevice: stat.isBlockDevice(),
    sizeBytes: sizeOf(fd, stat, disk),
    alignBytes: options.direct ? directAlign(fd, path, stat, disk) : 1,
    preferredBytes: blocks?.optimalIoBytes || Number(stat.blksize) || DEFAULT_PREFERRED_BYTES,
    isRotational: disk?.isRotational ?? false,
    isReadOnly: !options.write || (blocks?.readOnly ?? false),
    canDiscard: Boolean(options.write) && canDiscard(fd, stat, disk),
  };
}

function deviceInfo(
  fd: number,
): { sizeBytes: number; optimalIoBytes: number; logicalBlockBytes: number; readOnly: boolean } | null {
  const info = native?.blockDeviceInfo(fd);
  return typeof info === 'object' ? info : null;
}

/** Current size of an open file or device, bytes. */
export function sizeOfFd(fd: number): number {
  const stat = fstatSync(fd, { bigint: true });
  return sizeOf(fd, stat, stat.isBlockDevice() && !native ? diskFacts(stat.rdev) : null);
}

function sizeOf(fd: number, stat: BigIntStats, disk: DiskFacts | null): number {
  if (!stat.isBlockDevice()) return Number(stat.size);
  return deviceInfo(fd)?.sizeBytes ?? disk?.sizeBytes ?? 0;
}

function directAlign(fd: number, path: string, stat: BigIntStats, disk: DiskFacts | null): number {
  const align = native?.dioAlign(fd);
  if (typeof align === 'object') {
    if (align.offsetBytes > 0) return align.offsetBytes;
    throw machineError(ErrorCode.FILE_OPEN, {
      action: `open ${path} for direct I/O: its file system has none`,
      errno: EINVAL,
      path,
      hint: 'Switch direct I/O off for this file, or put it on a file system that has it.',
    });
  }
  if (!stat.isBlockDevice()) return CAUTIOUS_ALIGN_BYTES;
  return deviceInfo(fd)?.logicalBlockBytes ?? disk?.logicalBlockBytes ?? CAUTIOUS_ALIGN_BYTES;
}

function canDiscard(fd: number, stat: BigIntStats, disk: DiskFacts | null): boolean {
  if (stat.isBlockDevice()) return disk?.canDiscard ?? false;
  // A hole behind the end changes nothing, but a file system without holes says so.
  return native?.fallocate(fd, RING_FALLOC_PUNCH_HOLE | RING_FALLOC_KEEP_SIZE, Number(stat.size), 4096) === 0;
}

function statOrNull(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined; // the open that follows gives the full story
  }
}

function openError(path: string, options: OpenOptions, isDevice: boolean, cause: unknown): MarsError {
  const errno = errnoOf(cause);
  const action = `open ${path} for ${options.write ? 'writing' : 'reading'}${options.exclusive ? ', alone' : ''}`;
  if (errno === EBUSY && isDevice) {
    return machineError(ErrorCode.DEVICE_IN_USE, { action, errno, path, cause, hint: busyHint(path) });
  }
  const hint =
    errno === EINVAL && options.direct ? 'Its file system may have no direct I/O: switch "direct" off.' : undefined;
  return machineError(ErrorCode.FILE_OPEN, { action, errno, path, cause, hint });
}

function busyHint(path: string): string {
  const holders = holdersOf(statOrNull(path)?.rdev ?? 0n);
  if (holders.length === 0) return `A process holds it exclusively: "lsof ${path}" names it.`;
  return `In use: ${holders.join('; ')}. Unmount or stop that first.`;
}
