'use strict';
// Numbers of the ring's interface. They live in JavaScript so that the thread-pool fallback has them without the addon;
// src/ops.h repeats them, and a test compares the two.

/** Operation codes, the first int of a descriptor. */
exports.OP = Object.freeze({
  NOP: 0,
  READ: 1,
  WRITE: 2,
  READV: 3,
  WRITEV: 4,
  FSYNC: 5,
  FALLOCATE: 6,
  SYNC_RANGE: 7,
  SENDMSG: 8,
  RECV: 9,
  ACCEPT: 10,
  CONNECT: 11,
  CLOSE: 12,
  SHUTDOWN: 13,
  TIMEOUT: 14,
  CANCEL: 15,
  POLL: 16,
  HASH: 32,
  COPY: 33,
  ZERO: 34,
  COMPARE: 35,
});

/** Kinds of digest, for HASH and digest(). */
exports.HASH = Object.freeze({ CRC32C: 0, CRC32: 1, CRC32C8: 2, CRC32_8: 3, XXH3_64: 4, XXH3_128: 5 });

/** Flags, by operation. */
exports.FLAG = Object.freeze({
  QUIET: 0x100,
  INLINE: 0x10000,
  DATASYNC: 1,
  TIMEOUT_ABS: 1,
  CANCEL_ALL: 1,
  CANCEL_FD: 2,
  RWF_HIPRI: 1,
  RWF_DSYNC: 2,
  RWF_SYNC: 4,
  RWF_NOWAIT: 8,
  RWF_APPEND: 16,
  MSG_WAITALL: 0x100,
  MSG_PEEK: 2,
  MSG_MORE: 0x8000,
  SHUT_RD: 0,
  SHUT_WR: 1,
  SHUT_RDWR: 2,
  POLL_IN: 1,
  POLL_OUT: 4,
  POLL_ERR: 8,
  POLL_HUP: 16,
  FALLOC_KEEP_SIZE: 1,
  FALLOC_PUNCH_HOLE: 2,
  FALLOC_ZERO_RANGE: 16,
  SYNC_RANGE_WAIT_BEFORE: 1,
  SYNC_RANGE_WRITE: 2,
  SYNC_RANGE_WAIT_AFTER: 4,
});
