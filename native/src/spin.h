// When is polling the completion ring cheaper than sleeping? (data-path.md 5)
#pragma once

#include <cstdint>

namespace mars {

int64_t nowNs();

/**
 * At depth one, most of a request's time is the scheduler putting us to sleep and waking us again, so spinning for some
 * microseconds doubles the rate. Under load the next completion is there anyway, and when nothing comes spinning only burns a
 * core. So: spin while batches are small, work was seen lately, and recent spins paid off; probe now and then otherwise.
 * And not while others wait for this processor, who may well be the peer: that shows in a spin that was interrupted for long.
 */
class Spinner {
 public:
  void setLimitUs(uint32_t us) { limitNs_ = static_cast<int64_t>(us) * 1000; }
  int64_t limitNs() const { return limitNs_; }

  /** Called once per wait; `now` is the time at which the wait begins. */
  bool wanted(int64_t now);
  /** What the last tick brought: feeds the estimate of the depth. */
  void batch(uint32_t completions);
  void hit();
  void miss();
  /** Between two looks at the clock of one spin, that far apart: was the processor taken away? */
  bool lostProcessor(int64_t before, int64_t now);

  uint64_t hits = 0, misses = 0, preempted = 0;

 private:
  static constexpr int64_t kIdleNs = 2'000'000;   // no completion for this long: idle, sleep at once
  static constexpr uint32_t kBatchMaxX16 = 4 * 16;  // more completions than this per tick is load, not latency
  static constexpr int32_t kCreditMax = 16;
  static constexpr int64_t kPreemptedNs = 200'000;  // longer than interrupts take, shorter than a time slice
  static constexpr int64_t kPoliteMinNs = 20'000'000;  // sleep instead, for so long; twice as long each time it happens again soon
  static constexpr int64_t kPoliteMaxNs = 640'000'000;
  static constexpr int64_t kSoonNs = 100'000'000;
  static constexpr uint32_t kProbeEvery = 64;     // without credit, every 64th wait tries again

  int64_t limitNs_ = 0;
  int64_t lastBusyNs_ = 0;
  int64_t politeUntilNs_ = 0;
  int64_t politeNs_ = kPoliteMinNs;
  bool sawWork_ = false;
  uint32_t batchX16_ = 16;  // moving average of completions per non-empty tick, in sixteenths
  int32_t credit_ = kCreditMax;
  uint32_t skipped_ = 0;
};

}  // namespace mars
