import { EIO, MarsError, errnoByName, errnoName, type ErrorCodeName } from '@mars/brick-core';

/** The positive errno of a Node error, by its name; EIO for errors that have none. */
export function errnoOf(error: unknown): number {
  const { code, errno } = error as NodeJS.ErrnoException;
  return errnoByName(code ?? '') ?? (typeof errno === 'number' && errno !== 0 ? Math.abs(errno) : EIO);
}

export interface MachineErrorFacts {
  /** What was tried, as a phrase: `open /dev/vg/disk`. */
  action: string;
  errno: number;
  path?: string;
  hint?: string | undefined;
  cause?: unknown;
}

/** A MarsError for something the machine refused: errno and path in `details`, a hint that fits the errno. */
export function machineError(code: ErrorCodeName, facts: MachineErrorFacts): MarsError {
  const errno = Math.abs(facts.errno);
  const hint = facts.hint ?? hintFor(errno, facts.path);
  return new MarsError(code, `cannot ${facts.action}: ${errnoName(errno)}, ${meaning(errno)}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(facts.cause === undefined ? {} : { cause: facts.cause }),
    details: { errno, ...(facts.path === undefined ? {} : { path: facts.path }) },
  });
}

const MEANINGS: Readonly<Record<string, [meaning: string, hint?: string]>> = {
  EPERM: ['not permitted', 'Run as root, or give the service the capability it needs.'],
  EACCES: ['permission denied', 'Run as root, or give this user the rights on the path and every directory above it.'],
  ENOENT: ['it does not exist', 'Check the spelling, and whether the device or file system is there and mounted.'],
  EBUSY: ['somebody else uses it', 'Find the user with "lsof PATH" or "lsblk PATH", and stop it first.'],
  EROFS: ['the file system is read-only', 'Look into the kernel log for why, repair, and remount it writable.'],
  ENOSPC: ['no space left', 'Free some space (old logs, "df -h"), or make the file system larger.'],
  EDQUOT: ['the quota is used up', 'Raise the quota of this user.'],
  EEXIST: ['it exists already', 'Choose another name, or remove what is there.'],
  EISDIR: ['it is a directory'],
  ENOTDIR: ['a part of the path is not a directory'],
  ENOTEMPTY: ['the directory is not empty'],
  EINVAL: ['the arguments do not fit'],
  EIO: ['input/output error', 'The device is probably defective: look into the kernel log.'],
  ENXIO: ['no such device', 'The driver or the medium behind this path is missing.'],
  ENODEV: ['no such device', 'The driver or the medium behind this path is missing.'],
  ENOTBLK: ['not a block device'],
  EMFILE: ['this process has too many open files', 'Raise LimitNOFILE of the service ("ulimit -n").'],
  ENFILE: ['the system has too many open files', 'Raise the sysctl fs.file-max.'],
  ENOMEM: ['out of memory', 'Raise LimitMEMLOCK of the service, or use less memory.'],
  ELOOP: ['a symbolic link where none is allowed, or too many of them'],
  ETXTBSY: ['it is being executed'],
  EFBIG: ['larger than the file system or a limit allows', 'Check "ulimit -f" and the limits of the file system.'],
  EXDEV: ['the two paths are on different file systems'],
  EOPNOTSUPP: ['not supported here'],
  ENOSYS: ['this kernel cannot do it'],
  ESTALE: ['the file was removed on the server it comes from', 'Mount the network file system again.'],
  ECONNREFUSED: ['nobody listens there', 'Start the daemon on the other side, and check address and port.'],
  ECONNRESET: ['the other side broke the connection'],
  EPIPE: ['the other side has closed the connection'],
  ETIMEDOUT: ['no answer in time', 'Check that the other host is up, and that no firewall drops the packets.'],
  EHOSTUNREACH: ['the host cannot be reached', 'Check routes and firewalls ("ip route get ADDRESS").'],
  ENETUNREACH: ['the network cannot be reached', 'Check routes and interfaces ("ip route get ADDRESS").'],
  EADDRINUSE: ['the address is in use', 'Stop the other listener, or choose another address.'],
  EADDRNOTAVAIL: ['this host does not have that address', 'Use one of the addresses that "ip address" shows.'],
};

function meaning(errno: number): string {
  return MEANINGS[errnoName(errno)]?.[0] ?? 'the system refused';
}

function hintFor(errno: number, path: string | undefined): string | undefined {
  return MEANINGS[errnoName(errno)]?.[1]?.replaceAll('PATH', path ?? 'PATH');
}
