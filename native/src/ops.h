// Operation codes and flags of the descriptors. constants.cjs repeats them; a test compares the two.
#pragma once

#include <cstdint>

namespace mars {

enum Op : int32_t {
  kNop = 0, kRead = 1, kWrite = 2, kReadv = 3, kWritev = 4, kFsync = 5, kFallocate = 6, kSyncRange = 7,
  kSendmsg = 8, kRecv = 9, kAccept = 10, kConnect = 11, kClose = 12, kShutdown = 13, kTimeout = 14, kCancel = 15, kPoll = 16,
  kHash = 32, kCopy = 33, kZero = 34, kCompare = 35,  // executed inline, never seen by the kernel
};

enum HashKind : int32_t { kCrc32c = 0, kCrc32 = 1, kCrc32c8 = 2, kCrc32_8 = 3, kXxh3_64 = 4, kXxh3_128 = 5 };

constexpr int32_t kHashKindMask = 0xff;
constexpr int32_t kQuiet = 0x100;     // inline ops: no completion when all went well
constexpr int32_t kInline = 0x10000;   // WRITE, WRITEV: may be done by this thread, before the kernel sees the tick
constexpr int32_t kDatasync = 1;      // FSYNC
constexpr int32_t kTimeoutAbs = 1;    // TIMEOUT: CLOCK_MONOTONIC instead of "from now"
constexpr int32_t kCancelAll = 1;     // CANCEL: every match, result = how many
constexpr int32_t kCancelFd = 2;      // CANCEL: by descriptor instead of by tag

/** One descriptor as JavaScript fills it: eight int32. */
struct Descriptor {
  int32_t code, fd, buf, len;
  uint32_t offsetLo;
  int32_t offsetHi, flags, tag;

  int64_t offset() const { return static_cast<int64_t>((static_cast<uint64_t>(static_cast<uint32_t>(offsetHi)) << 32) | offsetLo); }
};
static_assert(sizeof(Descriptor) == 32, "eight int32 per operation");

/** One iovec element as JavaScript fills it. */
struct Span {
  int32_t offset, length;
};

struct Completion {
  int32_t tag, result;
};

}  // namespace mars
