// Operations on arena memory, executed in descriptor order while a tick is translated. They cost no system call and no trip
// through the kernel, so a brick may hash and copy in the same batch as the I/O that follows.
#include <cerrno>
#include <cstring>

#include "digest.h"
#include "ring.h"

namespace mars {

static_assert(sizeof(size_t) == 8, "arena arithmetic is 64-bit");

/** 0 = equal, else 1 + the index of the first difference. */
static int32_t firstDifference(const uint8_t* a, const uint8_t* b, int32_t length) {
  if (std::memcmp(a, b, static_cast<size_t>(length)) == 0) return 0;
  int32_t i = 0;
  while (a[i] == b[i]) i++;
  return i + 1;
}

int Ring::runInline(const Descriptor& d) {
  if (!inside(d.buf, d.len)) return -EFAULT;
  uint8_t* const source = arena_->base() + d.buf;
  if (d.code == kZero) {
    std::memset(source, 0, static_cast<size_t>(d.len));
    return 0;
  }
  // The second address has the whole 64-bit offset field: anything with an upper half is out of bounds, not truncated.
  const int64_t other = d.offset();
  if (d.code == kHash) {
    const int32_t bytes = digestBytes(d.flags & kHashKindMask);
    if (bytes == 0) return -EINVAL;
    if (other > kArenaBytesMax || !inside(other, bytes)) return -EFAULT;
    uint8_t out[kDigestBytesMax];
    digest(d.flags & kHashKindMask, source, static_cast<size_t>(d.len), out);
    std::memcpy(arena_->base() + other, out, static_cast<size_t>(bytes));
    return 0;
  }
  if (d.code != kCopy && d.code != kCompare) return -EINVAL;
  if (other > kArenaBytesMax || !inside(other, d.len)) return -EFAULT;
  if (d.code == kCompare) return firstDifference(source, arena_->base() + other, d.len);
  std::memmove(arena_->base() + other, source, static_cast<size_t>(d.len));  // ranges may overlap
  return 0;
}

}  // namespace mars
