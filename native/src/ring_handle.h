// The ring as JavaScript holds it: who may still refer to it, and what happens when nobody does.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <set>

#include "ring.h"

namespace mars {

struct RingHandle;

/** Watches the ring's eventfd from libuv. Outlives its handle by the one loop turn that uv_close needs. */
struct Poller {
  uv_poll_t poll;
  RingHandle* handle;
  struct Instance* instance;
};

/** Per environment (main thread or worker), never shared: rings that are not torn down, and the hook that does it at the end. */
struct Instance {
  uv_loop_t* loop = nullptr;
  std::set<RingHandle*> rings;
  napi_async_cleanup_hook_handle hook = nullptr;
  int closingPollers = 0;
  bool ending = false;    // the environment goes away: no more JavaScript
  bool hookDone = false;
  int refs = 1;           // Node's instance data; each poller adds one
};

enum class Use { idle, running, attached, closed };

/**
 * `jsRefs` counts JavaScript objects that point here (the ring object and its methods). When it reaches 0 with operations in
 * flight, the ring becomes an orphan: it cancels what can be cancelled, and libuv reaps the rest before memory is released.
 */
struct RingHandle {
  napi_env env = nullptr;
  Instance* instance = nullptr;
  Ring* ring = nullptr;
  Region* arena = nullptr;  // borrowed, for creating views
  uint32_t entries = 0;
  uint32_t wakeHandle = 0;
  int jsRefs = 0;
  Use use = Use::idle;
  bool inCallback = false;  // of attach(): the tick inside need not care about the eventfd
  Poller* poller = nullptr;
  napi_ref callback = nullptr;
  napi_ref self = nullptr;  // strong while attached: a ring that serves is not garbage
  napi_async_context context = nullptr;
};

Instance* instanceOf(napi_env env);
void releaseInstance(Instance* instance);

/** Starts libuv's watch on the completion eventfd; 0 or -errno. */
int startPoller(RingHandle* handle);
void stopPoller(RingHandle* handle);
/** Leaves the eventfd signalled exactly when completions are waiting. */
void settle(RingHandle* handle);
/** Ends the watch and lets go of the callback. Harmless when not attached. */
void detach(RingHandle* handle);
/** The last JavaScript reference is gone. */
void orphan(RingHandle* handle);
/** Cancels, waits (bounded), frees the ring. The handle stays until its JavaScript objects are gone. Returns completions nobody saw. */
uint64_t closeRing(RingHandle* handle, int64_t timeoutMs);

napi_value attachCall(napi_env env, napi_callback_info info);
napi_value detachCall(napi_env env, napi_callback_info info);
napi_value throwState(napi_env env, const char* message);

}  // namespace mars
