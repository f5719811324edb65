#include "wake.h"

#include <unistd.h>

#include <mutex>
#include <unordered_map>

namespace mars {

namespace {
struct EventFds {
  int ring;
  int loop = -1;
};

struct Table {
  std::mutex lock;
  std::unordered_map<uint32_t, EventFds> eventFds;
  uint32_t next = 1;
};

// Leaked on purpose: worker threads may still wake each other while the process runs its exit handlers.
Table& table() {
  static Table* const instance = new Table;
  return *instance;
}

/** The only failure of a non-blocking eventfd is a full counter, and then the wake-up is already pending. */
void signal(int eventFd) {
  const uint64_t one = 1;
  (void)!write(eventFd, &one, sizeof one);
}
}  // namespace

uint32_t registerWake(int eventFd) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.lock);
  while (t.next == 0 || t.eventFds.count(t.next)) t.next++;
  t.eventFds[t.next] = {eventFd};
  return t.next++;
}

void alsoWake(uint32_t handle, int eventFd) {
  Table& t = table();
  std::lock_guard<std::mutex> guard(t.lock);
  auto found = t.eventFds.find(handle);
  if (found != t.eventFds.end()) found->second.loop = eventFd;
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
  // The ring first: when libuv hears of it, the completion must be there to be found.
  signal(found->second.ring);
  if (found->second.loop >= 0) signal(found->second.loop);
  return true;
}

}  // namespace mars
