#include "region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace mars {

static constexpr size_t kHugePage = 2u << 20;

Region* Region::map(size_t bytes, bool hugePages) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t usable = (bytes + page - 1) / page * page;
  // Huge pages need a start on a 2 MiB boundary, so map more than needed; untouched address space costs nothing.
  const size_t slack = hugePages ? kHugePage : 0;
  const size_t mapped = usable + slack + page;
  void* mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  uintptr_t start = reinterpret_cast<uintptr_t>(mapping);
  if (slack) start = (start + kHugePage - 1) / kHugePage * kHugePage;
  uint8_t* base = reinterpret_cast<uint8_t*>(start);
  mprotect(base + usable, page, PROT_NONE);  // a stray access behind the end shall fault, not corrupt
  if (hugePages) madvise(base, usable, MADV_HUGEPAGE);
  // A child process must not share these pages: copy-on-write under direct I/O would let the kernel fill the wrong copy.
  madvise(base, usable, MADV_DONTFORK);
  return new Region(mapping, mapped, base, usable);
}

void Region::release() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  munmap(mapping_, mappedBytes_);
  delete this;
}

int Region::lock() { return mlock2(base_, bytes_, MLOCK_ONFAULT) < 0 ? errno : 0; }

void Region::discard() {
  munlock(base_, bytes_);  // locked pages cannot be given back
  madvise(base_, bytes_, MADV_DONTNEED);
}

}  // namespace mars
