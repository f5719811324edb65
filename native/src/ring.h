// The ring itself: descriptors in, completions out. Knows io_uring and the arena, nothing about JavaScript.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "inline_write.h"
#include "ops.h"
#include "region.h"
#include "spin.h"

namespace mars {

constexpr uint32_t kEntriesMin = 8, kEntriesMax = 8192;       // operations per tick
constexpr int64_t kArenaBytesMax = (1LL << 31) - 4096;        // offsets are int32, and one past the end must fit too
constexpr uint32_t kInFlightMax = 65536;                      // beyond it an operation completes with -EBUSY
constexpr int64_t kWaitSliceUs = 100'000;                     // longest single sleep: worker.terminate() waits for it
constexpr int64_t kCloseDrainMs = 5000;                       // close(): then the memory is leaked rather than reused

struct RingOptions {
  uint32_t entries = 256;
  int64_t arenaBytes = 0;
  uint32_t spinUs = 0;
  bool fixedBuffers = false;
  bool lockArena = false;
};

struct RingStats {
  uint64_t ticks = 0, sleeps = 0, submitted = 0;
};

/**
 * I1: an accepted operation yields exactly one completion (quiet inline operations that succeed: none).
 * I2: no completion is overwritten: what does not fit into `cq` waits in the kernel's queue or in `stash_`.
 * I3: nothing the kernel may still read or write is unmapped: regions are released when `inFlight()` is 0, or leaked.
 */
class Ring {
 public:
  /** Returns null and sets `*err` to a positive errno when memory or io_uring cannot be had. */
  static Ring* open(const RingOptions& options, int* err);
  ~Ring();

  /** See index.d.ts: tick(). At most kWaitSliceUs passes when `waitUs` is negative. */
  uint32_t tick(uint32_t nOps, int64_t waitUs);
  /** Completions are there that the last tick had no room for. */
  bool hasMore() const;

  /** Cancels what can be cancelled and reaps what is there, without waiting. */
  void cancelAndReap();
  /** Cancels and waits until nothing is in flight. False: the time was not enough, the memory must never be reused. */
  bool drain(int64_t timeoutMs);

  /** Registers the eventfd that is signalled on completions; needed to wait in libuv instead of here. -errno on failure. */
  int enableEventFd();
  int eventFd() const { return eventFd_; }
  void signalEventFd();

  uint32_t inFlight() const { return inFlight_; }
  uint32_t entries() const { return entries_; }
  uint32_t cqEntries() const { return cqEntries_; }
  uint32_t iovEntries() const { return iovEntries_; }
  uint32_t wakeHandle() const { return wakeHandle_; }
  uint32_t setupFlags() const { return uring_.flags; }
  bool fixedBuffers() const { return fixedChunks_ > 0; }
  uint64_t discarded() const { return discarded_; }
  Region* arena() const { return arena_; }
  Region* tables() const { return tables_; }
  size_t sqOffset() const { return 0; }
  size_t cqOffset() const { return entries_ * sizeof(Descriptor); }
  size_t iovOffset() const { return cqOffset() + cqEntries_ * sizeof(Completion); }

  Spinner spinner;
  InlineWrites inlineWrites;
  RingStats stats;

 private:
  Ring() = default;

  // translate.cc
  void translate(const Descriptor& d);
  int prepare(const Descriptor& d);
  int prepareRw(const Descriptor& d, bool write);
  int prepareVector(const Descriptor& d, bool write);
  int prepareFallocate(const Descriptor& d);
  int prepareSendmsg(const Descriptor& d);
  int prepareCancel(const Descriptor& d);
  int spans(const Descriptor& d, iovec** out);
  io_uring_sqe* sqe();
  bool inside(int64_t offset, int64_t length) const { return offset >= 0 && length >= 0 && offset + length <= arenaBytes_; }

  // inline_write.cc
  int writeNow(const Descriptor& d);

  // inline_ops.cc
  int runInline(const Descriptor& d);

  // ring.cc
  int setUp(const RingOptions& options);
  int setUpQueue();
  void registerArena();
  void armWake();
  void onWake();
  void complete(int32_t tag, int32_t result);
  void takeStash();
  void enter(int64_t waitUs);
  void submitNow();
  void flushQueue();
  void failQueued(int err);
  bool maySpin(int64_t now) { return !inlineWrites.isPaying(now) && spinner.wanted(now); }
  bool spin();
  void sleep(int64_t waitUs);
  void reap();
  bool kernelHasWork() const;

  /** Kernel-side copies of what an SQE points to, one per SQE: stable until submission (IORING_FEAT_SUBMIT_STABLE). */
  union Side {
    msghdr message;
    __kernel_timespec time;
  };

  io_uring uring_{};
  bool uringOpen_ = false;
  Region* arena_ = nullptr;
  Region* tables_ = nullptr;
  int64_t arenaBytes_ = 0;
  uint32_t entries_ = 0, cqEntries_ = 0, iovEntries_ = 0;
  Descriptor* sq_ = nullptr;
  Completion* cq_ = nullptr;
  Span* iov_ = nullptr;
  std::vector<iovec> vectors_;
  std::vector<Side> sides_;
  std::vector<Completion> stash_;  // bounded by kInFlightMax + entries
  uint32_t count_ = 0;             // completions in cq_ so far
  uint32_t inFlight_ = 0;
  uint32_t fixedChunks_ = 0;
  int wakeFd_ = -1;
  uint32_t wakeHandle_ = 0;
  bool wakeDue_ = false, wakeArmed_ = false, woken_ = false;
  bool closing_ = false;
  int eventFd_ = -1;
  uint64_t discarded_ = 0;
};

}  // namespace mars
