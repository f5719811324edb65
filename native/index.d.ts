/**
 * `@mars/native`: one io_uring per data-path thread, digests, and the system calls Node does not offer.
 * Rules and pitfalls: README.md. Design: data-path.md sections 4 and 5.
 *
 * Errors: functions that can fail because of the world answer a negative errno (a `number`), and never throw for it.
 * They throw `TypeError`/`RangeError` for arguments that make no sense, which is a mistake of the caller.
 * When `available` is false every function throws an `Error` with code `ERR_MARS_NATIVE_UNAVAILABLE`.
 */

/** The addon was found and loaded. */
export const available: boolean;
/** The addon contains the ring (it may have been built without liburing). Whether the *kernel* has one: `kernelFeatures()`. */
export const hasRing: boolean;
/** Why `available` is false; empty otherwise. */
export const reason: string;
/** Absolute path of the loaded binary; empty when there is none. */
export const loadedFrom: string;

/** 0 or a negative errno, e.g. -28 for ENOSPC. */
export type Status = number;
/** A descriptor (>= 0) or a negative errno. */
export type FdOrErrno = number;

/**
 * Operation codes: `sq[8 * i]`. The other seven ints by operation; what is not listed is ignored. `off` is the 64-bit number
 * (offset hi, offset lo), `tag` comes back with the completion. Results are the system call's, negative = -errno.
 *
 * | code | fd | buf | len | off | flags | result |
 * |---|---|---|---|---|---|---|
 * | NOP | | | | | | 0 |
 * | READ, WRITE | fd | arena offset | bytes | position, -1 = current | RWF_*, INLINE (writes) | bytes, may be short |
 * | READV, WRITEV | fd | iov index | iov count | position | RWF_*, INLINE (writes) | bytes, may be short |
 * | FSYNC | fd | | | | DATASYNC | 0 |
 * | FALLOCATE | fd | length, upper half | length, lower half | position | FALLOC_* | 0 |
 * | SYNC_RANGE | fd | | bytes (unsigned), 0 = to the end | position | SYNC_RANGE_* | 0 |
 * | SENDMSG | fd | iov index | iov count | | MSG_*; NOSIGNAL is implied | bytes; all of them with MSG_WAITALL |
 * | RECV | fd | arena offset | bytes | | MSG_* | bytes, 0 = end |
 * | ACCEPT | fd | | | | | new descriptor (close-on-exec, blocking: keep it so) |
 * | CONNECT | fd | arena offset of an address (`socketAddress`) | its bytes | | | 0 |
 * | CLOSE | fd | | | | | 0 |
 * | SHUTDOWN | fd | | | | SHUT_* | 0 |
 * | TIMEOUT | | | | nanoseconds | TIMEOUT_ABS = CLOCK_MONOTONIC | -62 (ETIME) when it fires |
 * | CANCEL | fd with CANCEL_FD | else tag to cancel | | | CANCEL_* | 0, -2 none found, -114 already running; with CANCEL_ALL how many |
 * | POLL | fd | | | | POLL_* | ready events |
 * | HASH | | arena offset | bytes | arena offset of the digest | kind, QUIET | 0 |
 * | COPY | | from | bytes | to | QUIET | 0; ranges may overlap |
 * | ZERO | | arena offset | bytes | | QUIET | 0 |
 * | COMPARE | | one | bytes | other | QUIET (when equal) | 0 = equal, else 1 + index of the first difference |
 *
 * A range outside the arena or the iov table completes with -14 (EFAULT), an unknown code or a negative position with -22 (EINVAL),
 * more than 65536 operations in flight with -16 (EBUSY). HASH, COPY, ZERO and COMPARE run in descriptor order while the tick is
 * translated, that is *before* the kernel sees the I/O of the same tick: copy-then-write works, read-then-hash needs two ticks.
 */
export const OP: {
  readonly NOP: 0;
  readonly READ: 1;
  readonly WRITE: 2;
  readonly READV: 3;
  readonly WRITEV: 4;
  readonly FSYNC: 5;
  readonly FALLOCATE: 6;
  readonly SYNC_RANGE: 7;
  readonly SENDMSG: 8;
  readonly RECV: 9;
  readonly ACCEPT: 10;
  readonly CONNECT: 11;
  readonly CLOSE: 12;
  readonly SHUTDOWN: 13;
  readonly TIMEOUT: 14;
  readonly CANCEL: 15;
  readonly POLL: 16;
  readonly HASH: 32;
  readonly COPY: 33;
  readonly ZERO: 34;
  readonly COMPARE: 35;
};

/**
 * Kinds of digest and the bytes they write: CRC32C 4, CRC32 4 (both little-endian), CRC32C8 32, CRC32_8 32 (the eight-piece
 * variants, Source: transaction-log.md 1.4), XXH3_64 8 (little-endian), XXH3_128 16 (lower half first, both little-endian).
 */
export const HASH: {
  readonly CRC32C: 0;
  readonly CRC32: 1;
  readonly CRC32C8: 2;
  readonly CRC32_8: 3;
  readonly XXH3_64: 4;
  readonly XXH3_128: 5;
};
export type HashKind = 0 | 1 | 2 | 3 | 4 | 5;

/** Flags of the operations, see `OP`. */
export const FLAG: {
  /** HASH, COPY, ZERO, COMPARE: no completion when the result is 0. */
  readonly QUIET: 0x100;
  /**
   * WRITE, WRITEV: the thread of the ring may do it itself, before the kernel sees the other operations of the tick. For short buffered
   * writes: see "Inline writes" in README.md.
   */
  readonly INLINE: 0x10000;
  readonly DATASYNC: 1;
  readonly TIMEOUT_ABS: 1;
  readonly CANCEL_ALL: 1;
  readonly CANCEL_FD: 2;
  readonly RWF_HIPRI: 1;
  /** WRITE, WRITEV: durable when complete, like O_DSYNC for this one write. */
  readonly RWF_DSYNC: 2;
  readonly RWF_SYNC: 4;
  readonly RWF_NOWAIT: 8;
  readonly RWF_APPEND: 16;
  readonly MSG_WAITALL: 0x100;
  readonly MSG_PEEK: 2;
  readonly MSG_MORE: 0x8000;
  readonly SHUT_RD: 0;
  readonly SHUT_WR: 1;
  readonly SHUT_RDWR: 2;
  readonly POLL_IN: 1;
  readonly POLL_OUT: 4;
  readonly POLL_ERR: 8;
  readonly POLL_HUP: 16;
  readonly FALLOC_KEEP_SIZE: 1;
  readonly FALLOC_PUNCH_HOLE: 2;
  readonly FALLOC_ZERO_RANGE: 16;
  readonly SYNC_RANGE_WAIT_BEFORE: 1;
  readonly SYNC_RANGE_WRITE: 2;
  readonly SYNC_RANGE_WAIT_AFTER: 4;
};

export interface RingOptions {
  /** Operations per tick, 8 to 8192; default 256. */
  entries?: number;
  /** Bytes of payload memory, 4096 to 2 GiB - 4096, rounded up to whole pages; default 64 MiB. */
  arenaBytes?: number;
  /** Longest spin before sleeping, in microseconds, 0 (default, never) to 10000; see `setSpinUs`. */
  spinUs?: number;
  /** Register the arena with the kernel. An option only: when it is refused the ring works without, see `Ring.fixedBuffers`. */
  fixedBuffers?: boolean;
  /** Lock the arena in memory, page by page as it is touched (for block servers, see `lockMemory`); ENOMEM: raise LimitMEMLOCK. */
  lockArena?: boolean;
}

export interface RingStats {
  ticks: number;
  /** Waits that went to sleep in the kernel. */
  sleeps: number;
  /** Operations handed to the kernel. */
  submitted: number;
  /** Spins that met a completion, and spins that did not. */
  spinHits: number;
  spinMisses: number;
  /** Spins during which the processor was taken away. */
  spinPreempted: number;
  /** Operations whose completion was not returned yet. */
  inFlight: number;
  /** Writes done by this thread (FLAG.INLINE), and how many of them slept. */
  inlineWrites: number;
  inlineSleeps: number;
}

/**
 * One io_uring and its memory. Belongs to the thread that opened it. An open ring that is not attached may be collected: its
 * operations are then cancelled or awaited before its memory goes, but nobody hears their results; so keep it, and `close()` it.
 */
export interface Ring {
  /** Payload memory, page aligned; `buf` counts bytes from its start. After close() it reads as zero. */
  readonly arena: ArrayBuffer;
  /** 8 ints per operation: code, fd, buf, len, offset lo, offset hi, flags, tag (see `OP`). Yours between two ticks. */
  readonly sq: Int32Array;
  /** 2 ints per completion: tag, result. Valid until the next tick. */
  readonly cq: Int32Array;
  /** 2 ints per element: arena offset, bytes. Read by the tick that submits; free afterwards. */
  readonly iov: Int32Array;
  /** Operations `sq` has room for. */
  readonly entries: number;
  /** Completions one tick returns at most; more stay queued, none is lost. */
  readonly cqEntries: number;
  /** Elements `iov` has room for. */
  readonly iovEntries: number;
  /** The arena is registered with the kernel. */
  readonly fixedBuffers: boolean;
  /** For `wakeRing` on another thread; never reused in this process. */
  readonly wakeHandle: number;
  /**
   * Submits the first `nOps` descriptors and returns the number of completions now in `cq`.
   *
   * @param waitUs 0: do not wait; > 0: at most that many microseconds; -1: until something completes. No wait is longer than
   *   100 ms, so that a worker can be terminated: 0 is a legal answer to every wait (also after `wake()` or a signal).
   * @throws Error ERR_MARS_RING_STATE on a closed ring, inside run(), or with nOps outside 0..entries
   */
  tick(nOps: number, waitUs: number): number;
  /**
   * Blocks this thread and calls `callback(completions)` after every batch; it returns how many descriptors it filled, or -1 to
   * stop. `completions` may be 0: after `wake()`, and at least ten times a second. Meanwhile this thread runs no timer, promise,
   * signal handler or message event: use a worker, `wake()`, and `receiveMessageOnPort` inside the callback.
   * An exception of the callback leaves run().
   */
  run(callback: (completions: number) => number, nOps?: number): void;
  /**
   * For a thread with an ordinary event loop: calls `callback` when completions (or a wake-up) are there; it collects them with
   * `tick(n, 0)`, and is called again while more remain. Keeps process and ring alive until detach() or close(), see `keepAlive`.
   * Operations are submitted by tick() only, also outside of the callback; whoever calls tick() gets the completions it brings,
   * and the callback is not called for those again.
   */
  attach(callback: () => void): void;
  /** Ends attach(); operations in flight stay in flight. Harmless otherwise. */
  detach(): void;
  /** While attached: does the ring keep the process alive? (true after attach) */
  keepAlive(keep: boolean): void;
  /** Ends a wait of tick() or run(), or causes a call of the attached callback. Several wakes may become one. From other threads: `wakeRing`. */
  wake(): boolean;
  /** Changes the longest spin, in microseconds (0 = off, at most 10000); takes effect with the next wait. */
  setSpinUs(us: number): void;
  stats(): RingStats;
  /**
   * Cancels what can be cancelled, waits for the rest (5 s at most; then the memory is never reused) and frees everything.
   * Returns how many operations ended without anybody having seen their completion. A second close() returns 0.
   * @throws Error ERR_MARS_RING_STATE inside run()
   */
  close(): number;
}

/** Thrown by `open` when there is no io_uring here. */
export interface RingError extends Error {
  /** 'EPERM': forbidden (sysctl, container); 'ENOSYS': kernel or build without it; 'ENOMEM', 'EMFILE' … : limits. */
  code: string;
  /** Negative. */
  errno: number;
  /** What the reader of the log can do about it. */
  hint: string;
}

/**
 * Opens a ring on this thread.
 * @throws RingError when io_uring is forbidden or absent: fall back to the thread pool
 * @throws RangeError for options outside their limits
 */
export function open(options: RingOptions): Ring;

/** Wakes a ring of any thread of this process by its `wakeHandle`; false when that ring is closed. */
export function wakeRing(wakeHandle: number): boolean;

export interface KernelFeatures {
  /** io_uring can be set up here, now. */
  available: boolean;
  /** Release of the running kernel. */
  kernel: string;
  /** Why not, when not available. */
  error?: RingError;
  /** Which operations of `OP` work. */
  ops: Record<keyof typeof OP, boolean>;
  setup: { singleIssuer: boolean; deferTaskrun: boolean; coopTaskrun: boolean };
}
export function kernelFeatures(): KernelFeatures;

// --------------------------------------------------------------------------------------------------------- digests

/** Bytes for the digest functions. Offsets and lengths are checked: RangeError. */
export type Bytes = Uint8Array | ArrayBuffer;

/** CRC-32C; `seed` is the result for the bytes before (default 0). "123456789" gives 0xE3069283. */
export function crc32c(bytes: Bytes, offset: number, length: number, seed?: number): number;
/** The same without special instructions, for tests. */
export function crc32cSoftware(bytes: Bytes, offset: number, length: number, seed?: number): number;
/** CRC-32 of the log format: no initial value, no final inversion; not zlib's. Source: transaction-log.md 1.4 */
export function crc32(bytes: Bytes, offset: number, length: number, seed?: number): number;
/** Eight CRC-32C of eight pieces, 32 bytes at `out[outOffset]`; returns 32. Source: transaction-log.md 1.4 */
export function crc32c8(bytes: Bytes, offset: number, length: number, out: Bytes, outOffset?: number): number;
/** Eight CRC-32 of eight pieces, 32 bytes at `out[outOffset]`; returns 32. Source: transaction-log.md 1.4 */
export function crc32_8(bytes: Bytes, offset: number, length: number, out: Bytes, outOffset?: number): number;
/** XXH3, 64 bits, seed 0. */
export function xxh3_64(bytes: Bytes, offset: number, length: number): bigint;
/** XXH3, 128 bits, seed 0: 16 bytes at `out[outOffset]`, lower half first, little-endian; returns 16. */
export function xxh3_128(bytes: Bytes, offset: number, length: number, out: Bytes, outOffset?: number): number;
/** Any kind of `HASH`; returns the bytes written at `out[outOffset]`. */
export function digest(
  kind: HashKind,
  bytes: Bytes,
  offset: number,
  length: number,
  out: Bytes,
  outOffset?: number,
): number;

// ----------------------------------------------------------------------------------------------------------- files

/**
 * open(2) with the flags as they are (`fs.constants.O_*`, also O_DIRECT; O_EXCL without O_CREAT claims a block device), plus
 * close-on-exec. `mode` only for O_CREAT, default 0o600. Synchronous.
 */
export function openFile(path: string, flags: number, mode?: number): FdOrErrno;
export function closeFd(fd: number): Status;

/** Alignment direct I/O needs, in bytes; both 0: the file cannot do direct I/O. */
export interface DioAlign {
  memoryBytes: number;
  offsetBytes: number;
}
/** statx STATX_DIOALIGN. -95 (ENOTSUP): kernel or file system does not tell. */
export function dioAlign(fd: number): DioAlign | Status;

/** fallocate(2); `mode` of FLAG.FALLOC_*; positions and lengths in bytes. */
export function fallocate(fd: number, mode: number, pos: number, len: number): Status;
/** Frees the range; it reads as zero, the file's size stays. */
export function punch(fd: number, pos: number, len: number): Status;
/** The range reads as zero and stays allocated; grows the file when it reaches beyond the end. */
export function zeroRange(fd: number, pos: number, len: number): Status;

export interface StatFs {
  totalBytes: number;
  freeBytes: number;
  /** Free for callers without privileges. */
  availableBytes: number;
  blockBytes: number;
  files: number;
  filesFree: number;
  /** Magic of the file system, e.g. 0xef53 for ext4. */
  type: number;
}
export function statfs(path: string): StatFs | Status;

/**
 * Data and holes of [pos, pos + len): triples (pos, len, 1 = data | 0 = hole), in order and without gaps; behind the end of the file
 * counts as hole, and files that cannot tell count as data. At most `max` (2 to 65536, default 1024) of them: when the last one ends
 * early, go on there. Moves the file position of `fd`, so not for descriptors that read or write at the current position.
 */
export function extents(fd: number, pos: number, len: number, max?: number): Float64Array | Status;

export interface BlockDeviceInfo {
  sizeBytes: number;
  logicalBlockBytes: number;
  physicalBlockBytes: number;
  minIoBytes: number;
  /** 0: the device has no preference. */
  optimalIoBytes: number;
  readOnly: boolean;
}
/** -15 (ENOTBLK) for anything that is not a block device. */
export function blockDeviceInfo(fd: number): BlockDeviceInfo | Status;
/** Discards; the contents are undefined afterwards. Blocks until done. Bytes, multiples of the logical block. */
export function blkdiscard(fd: number, pos: number, len: number): Status;
/** Zeroes; with hardware help where there is. Blocks until done. Bytes, multiples of the logical block. */
export function blkzeroout(fd: number, pos: number, len: number): Status;

// ---------------------------------------------------------------------------------------------------------- stamps

/** Modification time: whole seconds since the epoch (may be negative or far away) and nanoseconds, 0 to 999999999. */
export interface StampNs {
  sec: number;
  nsec: number;
}
/** Sets both times of the link itself. -22 (EINVAL) for nanoseconds outside 0..999999999. */
export function lutimesNs(path: string, sec: number, nsec: number): Status;
export interface LstatNs extends StampNs {
  mode: number;
  size: number;
  ino: number;
}
/** lstat(2): the link itself. */
export function lstatNs(path: string): LstatNs | Status;
export interface ReadlinkNs extends StampNs {
  target: string;
}
/** Target and stamp of one and the same link, even while it is being replaced. -22 (EINVAL): not a link. */
export function readlinkNs(path: string): ReadlinkNs | Status;

// --------------------------------------------------------------------------------------------------------- sockets

export interface SocketName {
  family: 'unix' | 'ipv4' | 'ipv6';
  /** Path or numeric address; empty for an unnamed unix socket. */
  address: string;
  port: number;
}
/** Listens; `mode` (default 0o600) holds before the first connection. -98 (EADDRINUSE): remove a stale socket first. */
export function listenUnix(path: string, backlog?: number, mode?: number): FdOrErrno;
/** Listens on a numeric address; `::` serves IPv4, too. Port 0: see `socketName`. */
export function listenTcp(host: string, port: number, backlog?: number): FdOrErrno;
/** An unconnected stream socket for CONNECT. */
export function streamSocket(family: 'unix' | 'ipv4' | 'ipv6'): FdOrErrno;
/** The address as bytes, to be copied into the arena for CONNECT: a unix path, or a numeric host and a port. */
export function socketAddress(pathOrHost: string, port?: number): Uint8Array | Status;
export function socketName(fd: number): SocketName | Status;
export function peerName(fd: number): SocketName | Status;
export interface SocketBuffers {
  sendBytes: number;
  receiveBytes: number;
}
/** Sets the buffers (0 leaves one as it is) and returns what is in force: the kernel doubles, and caps without CAP_NET_ADMIN. */
export function socketBuffers(fd: number, sendBytes: number, receiveBytes: number): SocketBuffers | Status;
/** TCP_NODELAY, and with `keepAliveSec` > 0 keep-alive probes: a dead peer is noticed after about twice that time. */
export function tcpOptions(fd: number, keepAliveSec?: number): Status;
/** Two connected unix stream sockets. */
export function socketpair(): [number, number] | Status;

// --------------------------------------------------------------------------------------------------------- process

/** PR_SET_IO_FLUSHER for this thread and threads started later: memory reclaim never waits for I/O through ourselves. Needs CAP_SYS_RESOURCE. */
export function setIoFlusher(): Status;
/**
 * Locks program, libraries, C heap and stack in memory, page by page as they are touched. Not V8's heap: V8 aborts when it cannot
 * give pages back, so mlockall is out of the question. -12 (ENOMEM) or -1 (EPERM): raise LimitMEMLOCK. Arenas: `lockArena`.
 */
export function lockMemory(): Status;
/** /proc/self/oom_score_adj, -1000 (never killed) to 1000; lowering needs CAP_SYS_RESOURCE. */
export function setOomScore(score: number): Status;

// ------------------------------------------------------------------------------------------------------------ FUSE

/**
 * Mounts a FUSE file system on a directory. Needs CAP_SYS_ADMIN (others: `fusermount3` and {@link receiveFd}). The descriptor is
 * non-blocking; the file system lives as long as it is open. Never touch the mount from the thread that serves it.
 * @param type e.g. `fuse.marsd`
 * @param source what `/proc/mounts` shows in front
 * @param options for the kernel, e.g. `rootmode=40700,user_id=0,group_id=0`
 */
export function mountFuse(dir: string, type: string, source: string, options: string): FdOrErrno;
/** Takes a mount out of the tree at once; it ends when its last user has gone. -22 (EINVAL): nothing is mounted there. */
export function unmountNow(dir: string): Status;
/** A descriptor sent over a unix socket (SCM_RIGHTS), made non-blocking; -61 (ENODATA) when the message had none. Blocks. */
export function receiveFd(socket: number): FdOrErrno;
/**
 * Calls back whenever the descriptor can be read, until it has been read or the watch is closed; errors count as readable. For
 * pollable descriptors only (-1, EPERM, for regular files). The descriptor stays yours: close the watch before it.
 */
export function watchFd(fd: number, callback: () => void): { close(): void } | Status;

// ---------------------------------------------------------------------------------------------------------- daemons

/** An exclusive lock (flock) that ends when the descriptor is closed or the process dies; -11 (EAGAIN): another process holds it. */
export function lockFile(fd: number): Status;
/** One datagram to a unix socket, for sd_notify; `@` in front stands for an abstract name. Never waits. */
export function sendDatagram(path: string, text: string): Status;
