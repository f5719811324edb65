// Waking a ring from any thread.
#pragma once

#include <cstdint>

namespace mars {

/**
 * A handle is a number that may be posted to other threads. It is not the eventfd itself: after close() the kernel gives that
 * number to the next file, and a late wake would write eight bytes into it. So handles are never reused, and the (deliberately)
 * process-wide table, the only shared state of the addon, says which eventfd they mean.
 */
uint32_t registerWake(int eventFd);
/**
 * A wake signals this eventfd too: the one that libuv watches. The kernel would do that itself, because the wake completes a poll of the
 * ring; but a completion from within the signal of an eventfd must not signal another one, so it is put off (measured: 14 ms), and Linux 6.18
 * does that once in the life of a ring and never again. What completes after a lost signal is lost with it.
 */
void alsoWake(uint32_t handle, int eventFd);
/** From here on the handle is dead; a wake that is under way has finished when this returns. */
void unregisterWake(uint32_t handle);
/** Wakes the ring; false when it is closed. May be called on any thread. */
bool wakeByHandle(uint32_t handle);

}  // namespace mars
