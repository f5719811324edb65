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
/** buf = upper half of the length, len = lower half; flags: RING_FALLOC_* mode. */
export const RING_FALLOCATE = 6;
/** flags: RING_SYNC_RANGE_*; len = 0 means to the end. */
export const RING_SYNC_RANGE = 7;
/** buf = iov index, len = iov count; flags: with RING_MSG_WAITALL everything is sent before it completes. */
export const RING_SENDMSG = 8;
export const RING_RECV = 9;
/** Result: the new descriptor. */
export const RING_ACCEPT = 10;
/** buf, len = the address in the arena, as the platform encodes it. */
export const RING_CONNECT = 11;
export const RING_CLOSE = 12;
/** flags: RING_SHUT_*. */
export const RING_SHUTDOWN = 13;
/** offset = nanoseconds from now; completes with -ETIME. */
export const RING_TIMEOUT = 14;
/** buf = tag to cancel, or fd with RING_CANCEL_FD. Result 0, -ENOENT, -EALREADY; with RING_CANCEL_ALL how many. */
export const RING_CANCEL = 15;
/** flags: RING_POLL_IN …; result: the ready events. */
export const RING_POLL = 16;
// Executed inline during translation, in descriptor order, before the kernel sees the I/O of the same tick.
/** Digest of buf, len, written to the arena at offset; flags: RING_HASH_* kind. */
export const RING_HASH = 32;
/** From buf to offset, len bytes; ranges may overlap. */
export const RING_COPY = 33;
export const RING_ZERO = 34;
/** buf against offset; result 0 = equal, else 1 + index of the first difference. */
export const RING_COMPARE = 35;

export const RING_DATASYNC = 1;
/** WRITE and WRITEV: durable when it completes (RWF_DSYNC). */
export const RING_DSYNC = 2;
/**
 * WRITE and WRITEV: the thread of the ring may do it itself, before the kernel sees the rest of the tick, as long as such writes do not
 * make it sleep. For short buffered writes of files and devices: ext4 has no way to take those without waiting, so each would cost
 * a change to a thread of the kernel. A hint: rings may ignore it.
 */
export const RING_INLINE = 0x10000;
/** HASH, COPY, ZERO, COMPARE: no completion when the result is 0. */
export const RING_QUIET = 0x100;
export const RING_CANCEL_ALL = 1;
export const RING_CANCEL_FD = 2;
export const RING_MSG_WAITALL = 0x100;
export const RING_SHUT_RD = 0;
export const RING_SHUT_WR = 1;
export const RING_SHUT_RDWR = 2;
export const RING_POLL_IN = 1;
export const RING_POLL_OUT = 4;
export const RING_POLL_ERR = 8;
export const RING_POLL_HUP = 16;
export const RING_FALLOC_KEEP_SIZE = 1;
/** Only together with RING_FALLOC_KEEP_SIZE. */
export const RING_FALLOC_PUNCH_HOLE = 2;
export const RING_FALLOC_ZERO_RANGE = 16;
export const RING_SYNC_RANGE_WAIT_BEFORE = 1;
export const RING_SYNC_RANGE_WRITE = 2;
export const RING_SYNC_RANGE_WAIT_AFTER = 4;

/** Digest kinds and their bytes: CRC32C 4, CRC32 4 (both little-endian), CRC32C8 32, CRC32_8 32, XXH3_64 8, XXH3_128 16. */
export const RING_HASH_CRC32C = 0;
export const RING_HASH_CRC32 = 1;
export const RING_HASH_CRC32C8 = 2;
export const RING_HASH_CRC32_8 = 3;
export const RING_HASH_XXH3_64 = 4;
export const RING_HASH_XXH3_128 = 5;

export interface Ring {
  /** One mapping, below 2 GiB; every buffer is an offset into it. */
  readonly arena: ArrayBuffer | SharedArrayBuffer;
  readonly sq: Int32Array;
  readonly cq: Int32Array;
  readonly iov: Int32Array;
  /**
   * Submits the first `nOps` descriptors of `sq`, then returns the number of completions now in `cq`.
   * @param waitUs 0 = do not wait; > 0 = at most that many microseconds; -1 = until one completes. A ring may return earlier,
   *   also with 0 completions.
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
