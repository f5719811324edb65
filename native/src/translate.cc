// Descriptor -> SQE. This is the only memory-safety barrier between JavaScript's numbers and the kernel: every range is checked
// here, in 64-bit arithmetic, against the arena and the iovec table.
#include <cerrno>

#include "ring.h"

namespace mars {

static constexpr uint64_t kUserMark = 1ULL << 32;

/** Never null: when the queue is full, its contents are submitted first. */
io_uring_sqe* Ring::sqe() {
  io_uring_sqe* s = io_uring_get_sqe(&uring_);
  if (s) return s;
  flushQueue();
  return io_uring_get_sqe(&uring_);
}

void Ring::translate(const Descriptor& d) {
  if (d.code >= kHash) {
    const int result = runInline(d);
    if (result != 0 || !(d.flags & kQuiet)) complete(d.tag, result);
    return;
  }
  if ((d.flags & kInline) && (d.code == kWrite || d.code == kWritev) && inlineWrites.begin()) {
    const int result = writeNow(d);
    inlineWrites.end();
    complete(d.tag, result);
    return;
  }
  const int result = inFlight_ < kInFlightMax ? prepare(d) : -EBUSY;
  if (result < 0) {
    complete(d.tag, result);
  } else {
    inFlight_++;
  }
}

// The prep functions set user_data to 0, so the tag is written last; `s` is only taken once nothing can fail any more.
#define QUEUE(prep, ...)                                         \
  do {                                                           \
    io_uring_sqe* s = sqe();                                     \
    prep(s, __VA_ARGS__);                                        \
    s->user_data = kUserMark | static_cast<uint32_t>(d.tag);     \
    return 0;                                                    \
  } while (0)

static void prepNop(io_uring_sqe* s, int) { io_uring_prep_nop(s); }

static void prepSyncRange(io_uring_sqe* s, int fd, uint32_t len, int64_t offset, int flags) {
  io_uring_prep_sync_file_range(s, fd, len, static_cast<uint64_t>(offset), flags);
}

/** 0: queued. Negative: the errno this operation completes with. */
int Ring::prepare(const Descriptor& d) {
  switch (d.code) {
    case kNop: QUEUE(prepNop, 0);
    case kRead: return prepareRw(d, false);
    case kWrite: return prepareRw(d, true);
    case kReadv: return prepareVector(d, false);
    case kWritev: return prepareVector(d, true);
    case kFsync: QUEUE(io_uring_prep_fsync, d.fd, d.flags & kDatasync ? IORING_FSYNC_DATASYNC : 0);
    case kFallocate: return prepareFallocate(d);
    case kSyncRange:
      if (d.offset() < 0) return -EINVAL;
      QUEUE(prepSyncRange, d.fd, static_cast<uint32_t>(d.len), d.offset(), d.flags);
    case kSendmsg: return prepareSendmsg(d);
    case kRecv:
      if (!inside(d.buf, d.len)) return -EFAULT;
      QUEUE(io_uring_prep_recv, d.fd, arena_->base() + d.buf, static_cast<size_t>(d.len), d.flags);
    case kAccept: QUEUE(io_uring_prep_accept, d.fd, nullptr, nullptr, d.flags | SOCK_CLOEXEC);
    case kConnect:
      if (!inside(d.buf, d.len)) return -EFAULT;
      if (d.len > static_cast<int32_t>(sizeof(sockaddr_storage))) return -EINVAL;
      QUEUE(io_uring_prep_connect, d.fd, reinterpret_cast<sockaddr*>(arena_->base() + d.buf), static_cast<socklen_t>(d.len));
    case kClose: QUEUE(io_uring_prep_close, d.fd);
    case kShutdown: QUEUE(io_uring_prep_shutdown, d.fd, d.flags);
    case kTimeout: {
      if (d.offset() < 0) return -EINVAL;
      io_uring_sqe* s = sqe();
      Side& side = sides_[static_cast<size_t>(s - uring_.sq.sqes)];
      side.time = {d.offset() / 1'000'000'000, d.offset() % 1'000'000'000};
      io_uring_prep_timeout(s, &side.time, 0, d.flags & kTimeoutAbs ? IORING_TIMEOUT_ABS : 0);
      s->user_data = kUserMark | static_cast<uint32_t>(d.tag);
      return 0;
    }
    case kCancel: return prepareCancel(d);
    case kPoll: QUEUE(io_uring_prep_poll_add, d.fd, static_cast<unsigned>(d.flags));
    default: return -EINVAL;
  }
}

/** Offset -1 means the current position, for descriptors without one (/dev/fuse, pipes). */
int Ring::prepareRw(const Descriptor& d, bool write) {
  if (!inside(d.buf, d.len)) return -EFAULT;
  if (d.offset() < -1) return -EINVAL;
  io_uring_sqe* s = sqe();
  uint8_t* at = arena_->base() + d.buf;
  const uint32_t chunk = static_cast<uint32_t>(d.buf) >> 30;
  const bool fixed = chunk < fixedChunks_ && (static_cast<uint32_t>(d.buf) & 0x3fffffff) + static_cast<uint32_t>(d.len) <= 1u << 30;
  const unsigned len = static_cast<unsigned>(d.len);
  const uint64_t offset = static_cast<uint64_t>(d.offset());
  if (fixed && d.len > 0) {
    if (write) io_uring_prep_write_fixed(s, d.fd, at, len, offset, static_cast<int>(chunk));
    else io_uring_prep_read_fixed(s, d.fd, at, len, offset, static_cast<int>(chunk));
  } else {
    if (write) io_uring_prep_write(s, d.fd, at, len, offset);
    else io_uring_prep_read(s, d.fd, at, len, offset);
  }
  s->rw_flags = d.flags & ~kInline;
  s->user_data = kUserMark | static_cast<uint32_t>(d.tag);
  return 0;
}

/** Checks and converts elements [buf, buf + len) of the iovec table; the kernel copies them when the tick submits. */
int Ring::spans(const Descriptor& d, iovec** out) {
  if (d.buf < 0 || d.len < 0 || static_cast<int64_t>(d.buf) + d.len > iovEntries_) return -EFAULT;
  for (int32_t i = d.buf; i < d.buf + d.len; i++) {
    const Span span = iov_[i];
    if (!inside(span.offset, span.length)) return -EFAULT;
    vectors_[static_cast<size_t>(i)] = {arena_->base() + span.offset, static_cast<size_t>(span.length)};
  }
  *out = vectors_.data() + d.buf;
  return 0;
}

int Ring::prepareVector(const Descriptor& d, bool write) {
  iovec* vec;
  if (int err = spans(d, &vec)) return err;
  if (d.offset() < -1) return -EINVAL;
  io_uring_sqe* s = sqe();
  const uint64_t offset = static_cast<uint64_t>(d.offset());
  if (write) io_uring_prep_writev(s, d.fd, vec, static_cast<unsigned>(d.len), offset);
  else io_uring_prep_readv(s, d.fd, vec, static_cast<unsigned>(d.len), offset);
  s->rw_flags = d.flags & ~kInline;
  s->user_data = kUserMark | static_cast<uint32_t>(d.tag);
  return 0;
}

/** Ranges of a discard exceed int32, so `buf` carries the upper half of the length. */
int Ring::prepareFallocate(const Descriptor& d) {
  const int64_t length =
      static_cast<int64_t>((static_cast<uint64_t>(static_cast<uint32_t>(d.buf)) << 32) | static_cast<uint32_t>(d.len));
  if (d.offset() < 0 || length < 0) return -EINVAL;
  io_uring_sqe* s = sqe();
  // Filled by hand: liburing 2.3 takes 32-bit lengths in some builds, the kernel takes 64 (addr is the length, len the mode).
  io_uring_prep_rw(IORING_OP_FALLOCATE, s, d.fd, nullptr, static_cast<unsigned>(d.flags), static_cast<uint64_t>(d.offset()));
  s->addr = static_cast<uint64_t>(length);
  s->user_data = kUserMark | static_cast<uint32_t>(d.tag);
  return 0;
}

int Ring::prepareSendmsg(const Descriptor& d) {
  iovec* vec;
  if (int err = spans(d, &vec)) return err;
  io_uring_sqe* s = sqe();
  Side& side = sides_[static_cast<size_t>(s - uring_.sq.sqes)];
  side.message = {};
  side.message.msg_iov = vec;
  side.message.msg_iovlen = static_cast<size_t>(d.len);
  // A client that went away is an errno, never a signal that kills the server.
  io_uring_prep_sendmsg(s, d.fd, &side.message, static_cast<unsigned>(d.flags) | MSG_NOSIGNAL);
  s->user_data = kUserMark | static_cast<uint32_t>(d.tag);
  return 0;
}

int Ring::prepareCancel(const Descriptor& d) {
  io_uring_sqe* s = sqe();
  const int all = d.flags & kCancelAll ? IORING_ASYNC_CANCEL_ALL : 0;
  if (d.flags & kCancelFd) io_uring_prep_cancel_fd(s, d.fd, static_cast<unsigned>(all));
  else io_uring_prep_cancel64(s, kUserMark | static_cast<uint32_t>(d.buf), all);
  s->user_data = kUserMark | static_cast<uint32_t>(d.tag);
  return 0;
}

}  // namespace mars
