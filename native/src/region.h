// Memory shared by the kernel (operations in flight), the ring, and the ArrayBuffers JavaScript holds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mars {

/**
 * One page-aligned anonymous mapping with a reference count. The ring holds one reference until its last operation is reaped and
 * every ArrayBuffer over it holds one until it is collected, so neither the kernel nor JavaScript ever sees unmapped memory.
 */
class Region {
 public:
  /** Maps at least `bytes`, followed by an inaccessible page. Returns null (errno set) when the memory cannot be had. */
  static Region* map(size_t bytes, bool hugePages);

  uint8_t* base() const { return base_; }
  size_t bytes() const { return bytes_; }

  /** Keeps touched pages in memory (mlock); 0 or an errno. */
  int lock();
  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release();
  /** Gives the pages back at once; the contents read as zero from here on. Only when nothing is in flight. */
  void discard();

 private:
  Region(void* mapping, size_t mappedBytes, uint8_t* base, size_t bytes)
      : mapping_(mapping), mappedBytes_(mappedBytes), base_(base), bytes_(bytes) {}

  void* mapping_;
  size_t mappedBytes_;
  uint8_t* base_;
  size_t bytes_;
  std::atomic<int> refs_{1};
};

}  // namespace mars
