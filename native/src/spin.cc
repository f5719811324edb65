#include "spin.h"

#include <time.h>

#include <algorithm>

namespace mars {

int64_t nowNs() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1'000'000'000LL + ts.tv_nsec;
}

bool Spinner::wanted(int64_t now) {
  if (sawWork_) lastBusyNs_ = now;
  sawWork_ = false;
  if (now - lastBusyNs_ > kIdleNs || batchX16_ > kBatchMaxX16 || now < politeUntilNs_) return false;
  if (credit_ > 0) return true;
  return ++skipped_ % kProbeEvery == 0;
}

bool Spinner::lostProcessor(int64_t before, int64_t now) {
  if (now - before < kPreemptedNs) return false;
  preempted++;
  politeNs_ = now - politeUntilNs_ < kSoonNs ? std::min(2 * politeNs_, kPoliteMaxNs) : kPoliteMinNs;
  politeUntilNs_ = now + politeNs_;
  return true;
}

void Spinner::batch(uint32_t completions) {
  if (!completions) return;
  sawWork_ = true;
  batchX16_ = (batchX16_ * 7 + std::min(completions, 1024u) * 16) / 8;
}

// A miss costs a whole spin and a hit saves a sleep and a wake-up, which cost less than the longest spin: so three misses in four
// are still tolerable, more are not.
void Spinner::hit() {
  hits++;
  credit_ = std::min(credit_ + 3, kCreditMax);
}

void Spinner::miss() {
  misses++;
  credit_ = std::max(credit_ - 1, 0);
}

}  // namespace mars
