#include "inline_write.h"

#include <sys/resource.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "ring.h"

namespace mars {

static long voluntarySwitches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

/** The end of one write is the start of the next in the same tick: the clock costs more than translating a descriptor. */
bool InlineWrites::begin() {
  if (!armed_) {
    startNs_ = nowNs();
    if (isPaying(startNs_)) return false;
    tickNs_ = startNs_;
    switches_ = voluntarySwitches();
    armed_ = true;
  }
  return !isPaying(startNs_) && startNs_ - tickNs_ < kTickNs;
}

void InlineWrites::end() {
  done++;
  const int64_t now = nowNs();
  const int64_t took = now - startNs_;
  startNs_ = now;
  if (took < kLookNs) return;
  const long switches = voluntarySwitches();
  if (switches == switches_) return;  // long, or preempted, but never asleep
  switches_ = switches;
  sleeps++;
  paidAtNs_ = now + std::min(took * kPayFactor, kPayMaxNs);
}

/** The system call itself, with the same checks and results as through the ring. */
int Ring::writeNow(const Descriptor& d) {
  iovec one, *vec = &one;
  int count = 1;
  if (d.code == kWritev) {
    if (int err = spans(d, &vec)) return err;
    count = d.len;
  } else {
    if (!inside(d.buf, d.len)) return -EFAULT;
    one = {arena_->base() + d.buf, static_cast<size_t>(d.len)};
  }
  if (d.offset() < -1) return -EINVAL;
  const ssize_t result = pwritev2(d.fd, vec, count, d.offset(), d.flags & ~kInline);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace mars
