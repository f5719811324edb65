import { spawn } from 'node:child_process';
import { closeSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { EACCES, EINVAL, ENOTCONN, EPERM, ErrorCode } from '@mars/brick-core';
import { errnoOf, machineError } from '../errors.js';
import { native, nativeReason } from '../native.js';
import { FUSERMOUNT_TIMEOUT_MS } from './limits.js';

/** A FUSE file system that this process serves. Issue 9's front end takes the descriptor to its ring, the control files to the event loop. */
export interface FuseMount {
  /** Non-blocking. One read(2) brings one request, one write(2) takes one answer. Closing it ends the file system. */
  readonly fd: number;
  readonly dir: string;
  /** Takes it out of the tree, whoever still uses it. Not harmful when somebody else did that before. */
  unmount(): Promise<void>;
}

export interface MountOptions {
  /** Shown by `mount` and `df`; the type is `fuse.NAME`. */
  name: string;
  /** Other users than the one who mounts may enter (then the answers decide). Needs root, or `user_allow_other` in /etc/fuse.conf. */
  allowOther?: boolean;
}

/**
 * Mounts on an existing directory: by mount(2), or by `fusermount3` where that is not permitted.
 *
 * The thread that serves the mount must never touch anything below `dir`: it would wait for itself.
 * @throws MarsError NATIVE_MISSING, FILE_IO
 */
export async function mountFuse(dir: string, options: MountOptions): Promise<FuseMount> {
  if (native === null) {
    throw machineError(ErrorCode.NATIVE_MISSING, { action: `mount ${dir}: ${nativeReason}`, errno: EPERM, path: dir });
  }
  const other = options.allowOther ? ',allow_other' : '';
  const ids = `user_id=${process.getuid!()},group_id=${process.getgid!()}`;
  const fd = native.mountFuse(dir, `fuse.${options.name}`, options.name, `rootmode=40000,${ids}${other}`);
  if (fd >= 0) return { fd, dir, unmount: () => unmountDirectly(dir) };
  if (fd !== -EPERM && fd !== -EACCES) throw mountError(dir, fd);
  return { fd: await mountWithHelper(dir, options), dir, unmount: () => unmountWithHelper(dir) };
}

/** True when a mount stands there whose server is gone: every look at it fails with ENOTCONN. */
export function isDeadMount(dir: string): boolean {
  try {
    lstatSync(dir);
    return false;
  } catch (error) {
    return errnoOf(error) === ENOTCONN;
  }
}

/** Takes a dead mount away. @returns whether there was one */
export async function clearDeadMount(dir: string): Promise<boolean> {
  if (!isDeadMount(dir)) return false;
  if (native === null || native.unmountNow(dir) < 0) await unmountWithHelper(dir);
  return true;
}

/** Is anything mounted on exactly this directory? Looks at the kernel's list only, not at the directory. */
export function isMountedOn(dir: string): boolean {
  const escaped = dir.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return lines.some((line) => line.split(' ')[1] === escaped);
}

/** Removes what an earlier server has left: a dead mount, and the plain directory below it. */
export async function clearControlDirectory(dir: string): Promise<'dead mount' | 'left-over directory' | 'nothing'> {
  const wasDead = await clearDeadMount(dir);
  if (isMountedOn(dir)) return wasDead ? 'dead mount' : 'nothing';
  const isThere = lstatSync(dir, { throwIfNoEntry: false }) !== undefined;
  if (isThere) rmSync(dir, { recursive: true, force: true });
  return wasDead ? 'dead mount' : isThere ? 'left-over directory' : 'nothing';
}

async function unmountDirectly(dir: string): Promise<void> {
  const status = native!.unmountNow(dir);
  if (status < 0 && status !== -EINVAL)
    throw machineError(ErrorCode.FILE_IO, { action: `unmount ${dir}`, errno: status, path: dir });
}

function mountError(dir: string, errno: number): Error {
  return machineError(ErrorCode.FILE_IO, {
    action: `mount a FUSE file system on ${dir}`,
    errno,
    path: dir,
    hint: 'Load the kernel module "fuse", and see that /dev/fuse can be opened; containers often forbid both.',
  });
}

/** `fusermount3` is installed with root's rights; it mounts for us and sends the descriptor over a socket. */
async function mountWithHelper(dir: string, options: MountOptions): Promise<number> {
  const pair = native!.socketpair();
  if (typeof pair === 'number') throw mountError(dir, pair);
  const [ours, theirs] = pair;
  const wanted = ['nosuid', 'nodev', 'noexec', `fsname=${options.name}`, `subtype=${options.name}`];
  if (options.allowOther) wanted.push('allow_other');
  try {
    await helper(['-o', wanted.join(','), '--', dir], dir, theirs);
    const fd = native!.receiveFd(ours);
    if (fd < 0) throw mountError(dir, fd);
    return fd;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

async function unmountWithHelper(dir: string): Promise<void> {
  if (!isMountedOn(dir)) return;
  await helper(['-u', '-z', '--', dir], dir);
}

/** Not `spawnSync`: the helper may look at the mount, and it is this thread that answers. */
function helper(args: readonly string[], dir: string, socket?: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('fusermount3', args, {
      stdio: ['ignore', 'ignore', 'pipe', ...(socket === undefined ? [] : [socket])],
      env: { ...process.env, _FUSE_COMMFD: '3' },
      timeout: FUSERMOUNT_TIMEOUT_MS,
    });
    let said = '';
    child.stderr!.on('data', (text: Buffer) => (said += text.toString()));
    const refuse = (why: string, cause?: unknown): void =>
      reject(
        machineError(ErrorCode.FILE_IO, {
          action: `run fusermount3 for ${dir}: ${why}`,
          errno: cause === undefined ? EPERM : errnoOf(cause),
          path: dir,
          hint: 'Install fuse3, or run as root.',
          ...(cause === undefined ? {} : { cause }),
        }),
      );
    child.on('error', (error) => refuse(error.message, error));
    child.on('close', (code) => (code === 0 ? resolve() : refuse(said.trim() || `exit ${code}`)));
  });
}
