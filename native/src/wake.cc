#include "wake.h"

#include <unistd.h>

#include <mutex>
#include <unordered_map>

namespace mars {

namespace {
struct Table {
  std::mutex lock;
  std::unordered_map<uint32_t, int> eventFds;
  uint32_t next = 1;
};

// Leaked on purpose: worker threads may still wake each other while the process runs its exit handlers.
Table& table() {
  static Table* const instance = new Table;
  return *instance;
}
}  // namespace

uint32_t registerWake(int eventFd) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.lock);
  while (t.next == 0 || t.eventFds.count(t.next)) t.next++;
  t.eventFds[t.next] = eventFd;
  return t.next++;
}

void unregisterWake(uint32_t handle) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.lock);
  t.eventFds.erase(handle);
}

bool wakeByHandle(uint32_t handle) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.lock);  // held across the write, so the eventfd cannot be closed in between
  auto found = t.eventFds.find(handle);
  if (found == t.eventFds.end()) return false;
  const uint64_t one = 1;
  // The only failure of a non-blocking eventfd is a full counter, and then the wake-up is already pending.
  (void)!write(found->second, &one, sizeof one);
  return true;
}

}  // namespace mars
