// When may a write be done by this thread, right away? (issue 3: buffered writes on ext4)
#pragma once

#include <cstdint>

namespace mars {

/**
 * Some file systems (ext4) refuse to promise that a buffered write does not wait, so io_uring hands each one to a thread of its own: that
 * costs three times the write. Done here it is a copy into the page cache. What may make it wait all the same: the kernel throttles whoever
 * makes pages dirty faster than the disk takes them, a journal commit, a partly written page that must be read first.
 *
 * So every inline write is timed, and one that slept is paid for: for ten times as long all writes go through the ring. Hence
 * I4: of the time of this thread, at most about a tenth is spent asleep in inline writes, plus one such sleep.
 * Being preempted is no sleep: on a busy machine that says nothing about the disk. And a tick with many writes does only as many of them
 * here as fit into kTickNs, because replies and reads of the tick come after them.
 */
class InlineWrites {
 public:
  /** A tick begins: until its first inline write nothing is known about the sleeps of this thread. */
  void newTick() { armed_ = false; }
  /** Nothing has to be paid for; then the clock of the write runs. */
  bool begin();
  void end();
  /** Writes go to the kernel's own threads at the moment, which need the processor more than a spinning ring does. */
  bool isPaying(int64_t now) const { return now < paidAtNs_; }

  uint64_t done = 0, sleeps = 0;

 private:
  static constexpr int64_t kLookNs = 20'000;           // a shorter write has not slept
  static constexpr int64_t kTickNs = 1'000'000;
  static constexpr int64_t kPayFactor = 10;
  static constexpr int64_t kPayMaxNs = 2'000'000'000;  // the disk may be fast again

  bool armed_ = false;
  int64_t tickNs_ = 0;   // when the first inline write of this tick began
  int64_t startNs_ = 0;  // the write that runs, or the next one
  int64_t paidAtNs_ = 0;
  long switches_ = 0;  // voluntary context switches of this thread so far
};

}  // namespace mars
