// Life of a ring: set-up, tick, waiting, reaping, draining.
#include "ring.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "wake.h"

namespace mars {

// The upper half of user_data tells our own operations from the caller's, whose tag is the lower half.
static constexpr uint64_t kUserMark = 1ULL << 32;
static constexpr uint64_t kWakeMark = 2ULL << 32;
static constexpr int kSubmitRetries = 2000;            // with 100 us each: a fifth of a second of -EAGAIN, then give up
static constexpr uint32_t kFixedChunk = 1u << 30;      // the kernel's limit for one registered buffer

Ring* Ring::open(const RingOptions& options, int* err) {
  Ring* ring = new (std::nothrow) Ring;
  *err = ring ? ring->setUp(options) : ENOMEM;
  if (*err == 0) return ring;
  delete ring;
  return nullptr;
}

int Ring::setUp(const RingOptions& o) {
  entries_ = std::clamp(o.entries, kEntriesMin, kEntriesMax);
  cqEntries_ = 2 * entries_;
  iovEntries_ = std::max(8 * entries_, 4096u);
  arenaBytes_ = std::clamp<int64_t>(o.arenaBytes, 4096, kArenaBytesMax);
  arena_ = Region::map(static_cast<size_t>(arenaBytes_), true);
  if (!arena_) return errno;
  arenaBytes_ = std::min<int64_t>(static_cast<int64_t>(arena_->bytes()), kArenaBytesMax);
  tables_ = Region::map(iovOffset() + iovEntries_ * sizeof(Span), false);
  if (!tables_) return errno;
  sq_ = reinterpret_cast<Descriptor*>(tables_->base() + sqOffset());
  cq_ = reinterpret_cast<Completion*>(tables_->base() + cqOffset());
  iov_ = reinterpret_cast<Span*>(tables_->base() + iovOffset());
  if (o.lockArena) {
    if (int err = arena_->lock()) return err;
    if (int err = tables_->lock()) return err;
  }
  if (int err = setUpQueue()) return err;
  vectors_.resize(iovEntries_);
  sides_.resize(uring_.sq.ring_entries);
  if (o.fixedBuffers) registerArena();
  wakeFd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wakeFd_ < 0) return errno;
  wakeHandle_ = registerWake(wakeFd_);
  armWake();
  spinner.setLimitUs(o.spinUs);
  return 0;
}

/** Newest kernel first: each step gives up one optimisation, none of them changes behaviour. */
int Ring::setUpQueue() {
  static const uint32_t tries[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,  // 6.1
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,                                // 5.19
      IORING_SETUP_SUBMIT_ALL,                                                                                        // 5.18
      0,
  };
  int result = -EINVAL;
  for (uint32_t flags : tries) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = std::max(4 * entries_, 1024u);
    result = io_uring_queue_init_params(entries_ + 4, &uring_, &params);  // four more: our own operations
    if (result != -EINVAL) break;
  }
  if (result < 0) return -result;
  uringOpen_ = true;
  // Without these, completions could be dropped or iovecs would have to outlive the tick; every kernel since 5.11 has them.
  const uint32_t needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG;
  return (uring_.features & needed) == needed ? 0 : ENOSYS;
}

/** An optimisation only: when the kernel refuses (RLIMIT_MEMLOCK), plain buffers serve as well. */
void Ring::registerArena() {
  std::vector<iovec> chunks;
  for (int64_t at = 0; at < arenaBytes_; at += kFixedChunk)
    chunks.push_back({arena_->base() + at, static_cast<size_t>(std::min<int64_t>(kFixedChunk, arenaBytes_ - at))});
  if (io_uring_register_buffers(&uring_, chunks.data(), static_cast<unsigned>(chunks.size())) == 0)
    fixedChunks_ = static_cast<uint32_t>(chunks.size());
}

Ring::~Ring() {
  if (wakeHandle_) unregisterWake(wakeHandle_);
  const bool idle = inFlight_ == 0;
  if (uringOpen_) io_uring_queue_exit(&uring_);
  if (wakeFd_ >= 0) ::close(wakeFd_);
  if (eventFd_ >= 0) ::close(eventFd_);
  if (!idle) return;  // I3: leaked on purpose, a stuck operation may still write there
  if (arena_) arena_->release();
  if (tables_) tables_->release();
}

// ---------------------------------------------------------------------------------------------------------- tick

uint32_t Ring::tick(uint32_t nOps, int64_t waitUs) {
  stats.ticks++;
  count_ = 0;
  inlineWrites.newTick();
  takeStash();
  for (uint32_t i = 0; i < nOps; i++) translate(sq_[i]);
  enter(waitUs);
  reap();
  // Newer kernels finish only twenty operations per call; a fuller batch is cheaper for everybody behind us.
  while (count_ > 0 && count_ < cqEntries_ && kernelHasWork()) {
    const uint32_t before = count_;
    io_uring_get_events(&uring_);
    reap();
    if (count_ == before) break;
  }
  if (wakeDue_) {
    armWake();
    if (eventFd_ >= 0) flushQueue();  // in libuv's hands nobody submits before the next callback, so the wake must stand now
  }
  spinner.batch(count_);
  return count_;
}

void Ring::complete(int32_t tag, int32_t result) {
  if (closing_) {
    discarded_++;
  } else if (count_ < cqEntries_) {
    cq_[count_++] = {tag, result};
  } else {
    stash_.push_back({tag, result});
  }
}

void Ring::takeStash() {
  const size_t n = std::min<size_t>(stash_.size(), cqEntries_);
  if (n == 0) return;
  std::copy_n(stash_.begin(), n, cq_);
  stash_.erase(stash_.begin(), stash_.begin() + static_cast<ptrdiff_t>(n));
  count_ = static_cast<uint32_t>(n);
}

bool Ring::kernelHasWork() const {
  return __atomic_load_n(uring_.sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

bool Ring::hasMore() const { return !stash_.empty() || io_uring_cq_ready(&uring_) > 0 || kernelHasWork(); }

void Ring::enter(int64_t waitUs) {
  const bool mayWait = waitUs != 0 && count_ == 0;
  if (!mayWait || io_uring_cq_ready(&uring_) > 0) return submitNow();
  if (spinner.limitNs() > 0 && inFlight_ > 0 && maySpin(nowNs())) {
    submitNow();
    if (spin()) return;
  }
  sleep(waitUs);
}

/** One system call, and none when there is nothing to tell the kernel and nothing it has to tell us. */
void Ring::submitNow() {
  const unsigned queued = io_uring_sq_ready(&uring_);
  if (queued == 0 && !kernelHasWork()) return;
  const int result = io_uring_submit_and_get_events(&uring_);
  if (result > 0) stats.submitted += static_cast<unsigned>(result);
  if (io_uring_sq_ready(&uring_) > 0) flushQueue();
}

/** Waits for room: afterwards every queued operation is with the kernel or completed with an error, never forgotten (I1). */
void Ring::flushQueue() {
  for (int tries = 0; io_uring_sq_ready(&uring_) > 0;) {
    const int result = io_uring_submit(&uring_);
    if (result > 0) {
      stats.submitted += static_cast<unsigned>(result);
      continue;
    }
    const bool temporary = result == -EAGAIN || result == -EBUSY || result == -EINTR || result == 0;
    if (!temporary || ++tries > kSubmitRetries) return failQueued(result < 0 ? -result : EIO);
    reap();  // -EBUSY: the completion queue is full; what finds no room in cq_ goes into the stash
    io_uring_get_events(&uring_);
    if (result != -EINTR) usleep(100);
  }
}

/** The kernel took none of these: take them back out of the queue and answer them ourselves. */
void Ring::failQueued(int err) {
  unsigned head = *uring_.sq.khead;
  for (; head != uring_.sq.sqe_tail; head++) {
    const uint64_t data = uring_.sq.sqes[head & uring_.sq.ring_mask].user_data;
    if (data & kUserMark) {
      inFlight_--;
      complete(static_cast<int32_t>(data), -err);
    } else {
      wakeArmed_ = false;
      wakeDue_ = true;
    }
  }
  head = *uring_.sq.khead;
  uring_.sq.sqe_head = uring_.sq.sqe_tail = head;
  __atomic_store_n(uring_.sq.ktail, head, __ATOMIC_RELEASE);
}

static inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/** Polls the completion ring. Reading the clock costs as much as sixteen looks at the ring, hence the inner loop. */
bool Ring::spin() {
  int64_t now = nowNs();
  const int64_t deadline = now + spinner.limitNs();
  do {
    for (int i = 0; i < 16; i++) {
      if (kernelHasWork()) io_uring_get_events(&uring_);
      if (io_uring_cq_ready(&uring_) > 0) {
        spinner.hit();
        return true;
      }
      relax();
    }
    const int64_t before = now;
    now = nowNs();
    if (spinner.lostProcessor(before, now)) break;
  } while (now < deadline);
  spinner.miss();
  return false;
}

void Ring::sleep(int64_t waitUs) {
  stats.sleeps++;
  const int64_t us = waitUs < 0 ? kWaitSliceUs : std::min(waitUs, kWaitSliceUs);
  __kernel_timespec limit{us / 1'000'000, us % 1'000'000 * 1000};
  io_uring_cqe* first = nullptr;
  const unsigned queued = io_uring_sq_ready(&uring_);
  io_uring_submit_and_wait_timeout(&uring_, &first, 1, &limit, nullptr);
  // Its result mixes "timed out", "interrupted" and "submitted n"; the queue itself says what is left to do.
  const unsigned left = io_uring_sq_ready(&uring_);
  stats.submitted += queued - left;
  if (left > 0) flushQueue();
}

void Ring::reap() {
  io_uring_cqe* cqe;
  unsigned head, seen = 0;
  io_uring_for_each_cqe(&uring_, head, cqe) {
    if (count_ == cqEntries_ && !closing_) break;
    seen++;
    if (cqe->user_data & kUserMark) {
      inFlight_--;
      complete(static_cast<int32_t>(cqe->user_data), cqe->res);
    } else if (cqe->user_data == kWakeMark) {
      onWake();
    }
  }
  io_uring_cq_advance(&uring_, seen);
}

// ---------------------------------------------------------------------------------------------------------- wake

/** A poll, not a read: it has no buffer that would have to outlive a ring that was torn down in a hurry. */
void Ring::armWake() {
  if (wakeArmed_ || closing_) return;
  io_uring_sqe* s = sqe();
  io_uring_prep_poll_add(s, wakeFd_, POLLIN);
  s->user_data = kWakeMark;
  wakeArmed_ = true;
  wakeDue_ = false;
}

void Ring::onWake() {
  uint64_t count;
  (void)!read(wakeFd_, &count, sizeof count);
  wakeArmed_ = false;
  wakeDue_ = true;
}

int Ring::enableEventFd() {
  if (eventFd_ >= 0) return 0;
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return -errno;
  const int result = io_uring_register_eventfd(&uring_, fd);
  if (result < 0) {
    ::close(fd);
    return result;
  }
  eventFd_ = fd;
  alsoWake(wakeHandle_, fd);
  flushQueue();  // the wake of set-up may still be queued
  return 0;
}

void Ring::signalEventFd() {
  const uint64_t one = 1;
  if (eventFd_ >= 0) (void)!write(eventFd_, &one, sizeof one);
}

// ---------------------------------------------------------------------------------------------------------- the end

void Ring::cancelAndReap() {
  closing_ = true;
  discarded_ += stash_.size();
  stash_.clear();
  flushQueue();
  if (inFlight_ > 0) {
    io_uring_sync_cancel_reg all{};
    all.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    all.fd = -1;
    all.timeout.tv_nsec = 1;  // ask, do not wait: writes that have begun run to their end and are reaped below
    // Kernels before 6.0 do not know it: then the operations end by themselves or drain() gives up and leaks.
    io_uring_register_sync_cancel(&uring_, &all);
  }
  io_uring_get_events(&uring_);
  reap();
}

bool Ring::drain(int64_t timeoutMs) {
  const int64_t deadline = nowNs() + timeoutMs * 1'000'000;
  cancelAndReap();
  while (inFlight_ > 0 && nowNs() < deadline) {
    __kernel_timespec slice{0, 10'000'000};
    io_uring_cqe* first = nullptr;
    io_uring_wait_cqe_timeout(&uring_, &first, &slice);
    cancelAndReap();
  }
  return inFlight_ == 0;
}

}  // namespace mars
