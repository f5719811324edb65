// A ring on a thread with an ordinary event loop, and the life of a ring after its last user. libuv watches an eventfd, not the
// ring's own descriptor: with IORING_SETUP_DEFER_TASKRUN the latter never becomes readable by itself (data-path.md 5).
#include <unistd.h>

#include "ring_handle.h"

namespace mars {

static constexpr int64_t kEndDrainMs = 2000;  // when the environment ends

void releaseInstance(Instance* instance) {
  if (--instance->refs == 0) delete instance;
}

static void finishHook(Instance* instance) {
  if (!instance->ending || instance->hookDone || instance->closingPollers > 0) return;
  instance->hookDone = true;
  if (instance->hook) napi_remove_async_cleanup_hook(instance->hook);
}

/** Worker ends or process exits normally: JavaScript is over, memory must be quiet before the thread's memory goes away. */
static void endOfEnvironment(napi_async_cleanup_hook_handle hook, void* data) {
  Instance* instance = static_cast<Instance*>(data);
  instance->hook = hook;
  instance->ending = true;
  instance->refs++;
  const std::set<RingHandle*> rings = instance->rings;
  for (RingHandle* handle : rings) {
    stopPoller(handle);
    closeRing(handle, kEndDrainMs);
    if (handle->jsRefs == 0) delete handle;
  }
  finishHook(instance);
  releaseInstance(instance);
}

Instance* instanceOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  if (data) return static_cast<Instance*>(data);
  Instance* instance = new Instance;
  napi_get_uv_event_loop(env, &instance->loop);
  napi_set_instance_data(env, instance, [](napi_env, void* d, void*) { releaseInstance(static_cast<Instance*>(d)); }, nullptr);
  napi_add_async_cleanup_hook(env, endOfEnvironment, instance, &instance->hook);
  return instance;
}

// ------------------------------------------------------------------------------------------------------- the watch

static void callJavaScript(RingHandle* handle) {
  napi_env env = handle->env;
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_value callback, receiver, error;
  napi_get_reference_value(env, handle->callback, &callback);
  napi_get_reference_value(env, handle->self, &receiver);
  if (napi_make_callback(env, handle->context, receiver, callback, 0, nullptr, nullptr) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);  // becomes 'uncaughtException', like an exception in any other callback of the loop
  }
  napi_close_handle_scope(env, scope);
}

static void swallow(Ring* ring) {
  uint64_t count;
  (void)!read(ring->eventFd(), &count, sizeof count);
}

/**
 * The kernel signals once when work arrives and again while a tick collects it; without this, every batch would be followed by an
 * empty callback. First swallow, then look: what arrives later signals anew, what was left over signals by our own hand.
 */
void settle(RingHandle* handle) {
  swallow(handle->ring);
  if (handle->ring->hasMore()) handle->ring->signalEventFd();
}

static void onReadable(uv_poll_t* poll, int, int) {
  RingHandle* handle = static_cast<Poller*>(poll->data)->handle;
  if (!handle || !handle->ring) return;
  swallow(handle->ring);
  if (handle->jsRefs == 0) return orphan(handle);
  handle->jsRefs++;  // the callback may close the ring and drop it
  handle->inCallback = true;
  callJavaScript(handle);
  handle->inCallback = false;
  if (--handle->jsRefs == 0) return orphan(handle);
  if (handle->use == Use::attached) settle(handle);
}

int startPoller(RingHandle* handle) {
  if (handle->poller) return 0;
  if (const int err = handle->ring->enableEventFd()) return err;
  Poller* poller = new Poller{{}, handle, handle->instance};
  if (const int err = uv_poll_init(handle->instance->loop, &poller->poll, handle->ring->eventFd())) {
    delete poller;
    return err;
  }
  poller->poll.data = poller;
  handle->instance->refs++;
  handle->poller = poller;
  return uv_poll_start(&poller->poll, UV_READABLE, onReadable);
}

void stopPoller(RingHandle* handle) {
  Poller* poller = handle->poller;
  if (!poller) return;
  handle->poller = nullptr;
  poller->handle = nullptr;
  poller->instance->closingPollers++;
  uv_close(reinterpret_cast<uv_handle_t*>(&poller->poll), [](uv_handle_t* h) {
    Poller* done = static_cast<Poller*>(h->data);
    done->instance->closingPollers--;
    finishHook(done->instance);
    releaseInstance(done->instance);
    delete done;
  });
}

// ---------------------------------------------------------------------------------------------------- attach, detach

napi_value throwState(napi_env env, const char* message) {
  napi_throw_error(env, "ERR_MARS_RING_STATE", message);
  return nullptr;
}

napi_value attachCall(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value callback, self, name;
  void* data;
  napi_get_cb_info(env, info, &argc, &callback, &self, &data);
  RingHandle* handle = static_cast<RingHandle*>(data);
  napi_valuetype type;
  napi_typeof(env, callback, &type);
  if (type != napi_function) return throwState(env, "attach needs a function");
  if (handle->use != Use::idle) return throwState(env, "the ring is closed, running or already attached");
  if (startPoller(handle) != 0) {
    stopPoller(handle);
    return throwState(env, "the kernel or libuv refused the eventfd");
  }
  napi_create_string_utf8(env, "mars:ring", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &handle->context);
  napi_create_reference(env, callback, 1, &handle->callback);
  napi_create_reference(env, self, 1, &handle->self);
  handle->use = Use::attached;
  if (handle->ring->hasMore()) handle->ring->signalEventFd();
  return nullptr;
}

void detach(RingHandle* handle) {
  stopPoller(handle);
  if (handle->use != Use::attached) return;
  handle->use = Use::idle;
  if (handle->instance->ending) return;  // the references go with the environment
  napi_delete_reference(handle->env, handle->callback);
  napi_delete_reference(handle->env, handle->self);
  napi_async_destroy(handle->env, handle->context);
  handle->callback = handle->self = nullptr;
  handle->context = nullptr;
}

napi_value detachCall(napi_env env, napi_callback_info info) {
  void* data;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  detach(static_cast<RingHandle*>(data));
  return nullptr;
}

// ------------------------------------------------------------------------------------------------------------ the end

uint64_t closeRing(RingHandle* handle, int64_t timeoutMs) {
  if (handle->use == Use::closed) return 0;
  detach(handle);
  Ring* ring = handle->ring;
  handle->use = Use::closed;
  handle->instance->rings.erase(handle);
  handle->ring = nullptr;
  const bool idle = ring->drain(timeoutMs);
  const uint64_t unseen = ring->discarded() + ring->inFlight();
  if (idle) ring->arena()->discard();  // a gigabyte should not wait for the garbage collector
  delete ring;
  return unseen;
}

void orphan(RingHandle* handle) {
  if (handle->use == Use::closed) {
    delete handle;
    return;
  }
  handle->ring->cancelAndReap();
  if (handle->ring->inFlight() > 0 && !handle->instance->ending && startPoller(handle) == 0) {
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle->poller->poll));  // housekeeping does not keep the process alive
    if (handle->ring->hasMore()) handle->ring->signalEventFd();
    return;
  }
  closeRing(handle, handle->ring->inFlight() > 0 ? kEndDrainMs : 0);
  delete handle;
}

}  // namespace mars
