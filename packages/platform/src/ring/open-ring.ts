import { ErrorCode, MarsError, type Ring, type RingSockets, type TlsEndpoint } from '@mars/brick-core';
import { native, nativeReason } from '../native.js';
import { LocalTls } from '../tls/local-tls.js';
import { ThreadedTls } from '../tls/threaded-tls.js';
import { DEFAULT_RING_ENTRIES } from './limits.js';
import { NativeSockets } from './native-sockets.js';
import { ThreadRing } from './thread-ring.js';
import { ThreadSocketDoor } from './thread-socket-door.js';

/** What mlock answers when the limit is too low. */
const LOCK_REFUSALS = ['ENOMEM', 'EPERM', 'EAGAIN'];

export type RingKind = 'io_uring' | 'threads';

export interface RingOptions {
  /** `auto`: io_uring where it is built, present and permitted. */
  ring?: 'auto' | RingKind;
  arenaBytes: number;
  entries?: number;
  /** Longest spin before a blocked thread sleeps, µs; adaptive below that. 0 = never. Source: data-path.md 5 */
  spinUs?: number;
  /** Register the arena with the kernel. */
  fixedBuffers?: boolean;
  /** Keep touched pages of the arena in memory, for block servers; where that is refused the ring works without. */
  lockArena?: boolean;
}

export interface OpenedRing {
  ring: Ring;
  kind: RingKind;
  /** Why this kind, for people. */
  reason: string;
  sockets: RingSockets;
  /** TLS for these sockets. */
  tls: TlsEndpoint & { close(): Promise<void> };
  /** Why the arena is not locked although that was asked for; null = it is, or nobody asked. */
  lockRefused: string | null;
  /** For `wakeRing` of other threads; 0 for the fallback. */
  wakeHandle: number;
  setSpinUs(us: number): void;
}

/** Opens the best ring there is, on this thread. @throws MarsError when io_uring is demanded and cannot be had */
export function openRing(options: RingOptions): OpenedRing {
  const wanted = options.ring ?? 'auto';
  if (wanted === 'threads') return openThreads(options, 'asked for');
  if (!native)
    return fallBack(options, ErrorCode.NATIVE_MISSING, nativeReason, 'Build it with "npm run build:native".');
  if (!native.hasRing) {
    const hint = 'Install the headers of liburing, and build the addon again.';
    return fallBack(options, ErrorCode.NO_IO_URING, 'the addon was built without liburing', hint);
  }
  try {
    return openIoUring(native, options);
  } catch (error) {
    const { code, hint, message } = error as Error & { code?: string; hint?: string };
    if (hint === undefined) throw error; // an option outside its limits is our mistake, no reason to fall back
    return fallBack(options, ErrorCode.NO_IO_URING, `the kernel refuses io_uring (${code ?? message})`, hint, error);
  }
}

function openIoUring(addon: NonNullable<typeof native>, options: RingOptions): OpenedRing {
  const { arenaBytes, entries = DEFAULT_RING_ENTRIES, spinUs = 0, fixedBuffers = false } = options;
  const { ring, lockRefused } = openLocked(options.lockArena === true, (lockArena) =>
    addon.open({ arenaBytes, entries, spinUs, fixedBuffers, lockArena }),
  );
  const reason = options.ring === 'io_uring' ? 'asked for' : 'the kernel has it and permits it';
  const setSpinUs = (us: number): void => ring.setSpinUs(us);
  const { wakeHandle } = ring;
  const sockets = new NativeSockets(addon);
  const tls = new ThreadedTls(addon, wakeHandle);
  return { ring, kind: 'io_uring', reason, sockets, tls, lockRefused, wakeHandle, setSpinUs };
}

/** A ring that cannot lock its memory is better than the fallback, which cannot either. */
function openLocked<T>(wanted: boolean, open: (lockArena: boolean) => T): { ring: T; lockRefused: string | null } {
  try {
    return { ring: open(wanted), lockRefused: null };
  } catch (error) {
    const { code = '' } = error as { code?: string };
    if (!wanted || !LOCK_REFUSALS.includes(code)) throw error;
    return { ring: open(false), lockRefused: `${code}: raise LimitMEMLOCK, or run as root` };
  }
}

function openThreads(options: RingOptions, reason: string): OpenedRing {
  const { arenaBytes, entries = DEFAULT_RING_ENTRIES } = options;
  const ring = new ThreadRing({ arenaBytes, entries });
  const sockets = new ThreadSocketDoor(ring.handles);
  const tls = new LocalTls(ring.handles);
  const lockRefused = options.lockArena === true ? 'the fallback has no memory of its own' : null;
  return { ring, kind: 'threads', reason, sockets, tls, lockRefused, wakeHandle: 0, setSpinUs: () => {} };
}

function fallBack(
  options: RingOptions,
  code: 'NO_IO_URING' | 'NATIVE_MISSING',
  why: string,
  hint: string,
  cause?: unknown,
): OpenedRing {
  if (options.ring !== 'io_uring') return openThreads(options, `${why}. ${hint}`);
  throw new MarsError(code, `io_uring was asked for: ${why}`, { hint, ...(cause === undefined ? {} : { cause }) });
}
