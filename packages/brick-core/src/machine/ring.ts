/**
 * The one door to the kernel on the hot path: operation descriptors in, completion descriptors out, one crossing per tick.
 *
 * Three implementations: io_uring (`native/`), a thread-pool fallback (`platform`), the simulated machine (`sim`).
 * Source: data-path.md 4.
 */

/** Int32 words per operation in `sq`: code, fd, buf | iov index, len | iov count, offset lo, offset hi, flags, tag. */
export const SQ_WORDS = 8;
/** Int32 words per completion in `cq`: tag, result. */
export const CQ_WORDS = 2;
/** Int32 words per element in `iov`: arena offset, length. */
export const IOV_WORDS = 2;

export const RING_NOP = 0;
export const RING_READ = 1;
export const RING_WRITE = 2;
export const RING_READV = 3;
export const RING_WRITEV = 4;
/** flags: RING_DATASYNC. */
export const RING_FSYNC = 5;
/** len words carry the length's low half; flags: FALLOC_* mode. See `RingQueue.fallocate`. */
export const RING_FALLOCATE = 6;
export const RING_SYNC_RANGE = 7;
/** buf = iov index, len = iov count; sends everything before it completes (MSG_WAITALL). */
export const RING_SENDMSG = 8;
export const RING_RECV = 9;
export const RING_ACCEPT = 10;
export const RING_CONNECT = 11;
export const RING_CLOSE = 12;
export const RING_SHUTDOWN = 13;
/** offset = microseconds from now. */
export const RING_TIMEOUT = 14;
/** len = tag to cancel. */
export const RING_CANCEL = 15;
export const RING_POLL = 16;
/** Executed inline during translation, in descriptor order. */
export const RING_HASH = 32;
export const RING_COPY = 33;
export const RING_ZERO = 34;
export const RING_COMPARE = 35;

export const RING_DATASYNC = 1;
/** WRITE and WRITEV: durable when it completes (RWF_DSYNC). */
export const RING_DSYNC = 2;

export interface Ring {
  /** One mapping, below 2 GiB; every buffer is an offset into it. */
  readonly arena: ArrayBuffer | SharedArrayBuffer;
  readonly sq: Int32Array;
  readonly cq: Int32Array;
  readonly iov: Int32Array;
  /**
   * Submits the first `nOps` descriptors of `sq`, then returns the number of completions now in `cq`.
   * @param waitUs 0 = do not wait; > 0 = at most that many microseconds; -1 = until one completes
   */
  tick(nOps: number, waitUs: number): number;
  /** Dedicated thread: blocks in the ring, calls `cb` once per batch; `cb` returns the next nOps, or -1 to stop. */
  run(cb: (completions: number) => number, nOps: number): void;
  /** Shared thread: `cb` once per wake-up of the event loop; it must call `tick`. */
  attach(cb: () => void): void;
  detach(): void;
  /** Makes a waiting `tick` or `run` return; thread-safe. */
  wake(): void;
  close(): void;
}
