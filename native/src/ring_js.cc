// The ring's face to JavaScript. Set-up may be comfortable; tick() is called for every batch, so it is plain Node-API, its method
// carries the ring as bound data (no unwrap), and it allocates nothing.
#include "js.h"
#include "ring_error.h"
#include "ring_handle.h"
#include "wake.h"

namespace mars {

namespace {

RingHandle* boundHandle(napi_env env, napi_callback_info info, size_t* argc, napi_value* argv) {
  void* data;
  napi_get_cb_info(env, info, argc, argv, nullptr, &data);
  return static_cast<RingHandle*>(data);
}

/** (nOps, waitUs) -> completions in cq */
napi_value tickCall(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], result;
  RingHandle* handle = boundHandle(env, info, &argc, argv);
  int32_t nOps, waitUs;
  if (napi_get_value_int32(env, argv[0], &nOps) != napi_ok || napi_get_value_int32(env, argv[1], &waitUs) != napi_ok)
    return throwState(env, "tick needs two numbers: nOps, waitUs");
  if (handle->use == Use::closed) return throwState(env, "the ring is closed");
  if (handle->use == Use::running) return throwState(env, "tick inside run: return the number of operations instead");
  if (nOps < 0 || static_cast<uint32_t>(nOps) > handle->entries) return throwState(env, "nOps exceeds the ring's entries");
  const uint32_t n = handle->ring->tick(static_cast<uint32_t>(nOps), waitUs);
  if (handle->use == Use::attached && !handle->inCallback && (n > 0 || handle->ring->hasMore())) settle(handle);
  napi_create_uint32(env, n, &result);
  return result;
}

/** Calls `callback(n)`; false when the loop shall end: -1, an exception, or a worker being terminated. */
bool callBatch(napi_env env, RingHandle* handle, napi_value receiver, napi_value callback, uint32_t n, uint32_t* nOps) {
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_value argument, result;
  int32_t next = -1;
  napi_create_uint32(env, n, &argument);
  bool goOn = napi_call_function(env, receiver, callback, 1, &argument, &result) == napi_ok;
  if (goOn && napi_get_value_int32(env, result, &next) != napi_ok) {
    throwState(env, "the callback of run must return the number of operations, or -1");
    goOn = false;
  }
  if (goOn && next > static_cast<int32_t>(handle->entries)) {
    throwState(env, "nOps exceeds the ring's entries");
    goOn = false;
  }
  napi_close_handle_scope(env, scope);
  *nOps = next < 0 ? 0 : static_cast<uint32_t>(next);
  return goOn && next >= 0;
}

/** (callback, nOps): blocks this thread until the callback returns -1. */
napi_value runCall(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], receiver;
  RingHandle* handle = boundHandle(env, info, &argc, argv);
  napi_valuetype type;
  int32_t first = 0;
  napi_typeof(env, argv[0], &type);
  if (type != napi_function) return throwState(env, "run needs a function");
  if (handle->use != Use::idle) return throwState(env, "the ring is closed, attached or already running");
  napi_get_value_int32(env, argv[1], &first);  // undefined leaves it 0
  if (first < 0 || static_cast<uint32_t>(first) > handle->entries) return throwState(env, "nOps exceeds the ring's entries");
  napi_get_global(env, &receiver);
  handle->use = Use::running;
  uint32_t nOps = static_cast<uint32_t>(first);
  bool goOn = true;
  while (goOn) {
    // Once per slice the callback is called even when nothing came (n = 0): that is where a terminated worker leaves this loop.
    const uint32_t n = handle->ring->tick(nOps, -1);
    goOn = callBatch(env, handle, receiver, argv[0], n, &nOps);
  }
  handle->use = Use::idle;
  return nullptr;
}

napi_value wakeCall(napi_env env, napi_callback_info info) {
  RingHandle* handle = boundHandle(env, info, nullptr, nullptr);
  napi_value result;
  napi_get_boolean(env, wakeByHandle(handle->wakeHandle), &result);
  return result;
}

napi_value setSpinCall(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  RingHandle* handle = boundHandle(env, info, &argc, argv);
  uint32_t us = 0;
  if (napi_get_value_uint32(env, argv[0], &us) != napi_ok) return throwState(env, "setSpinUs needs a number of microseconds");
  if (handle->ring) handle->ring->spinner.setLimitUs(us < 10'000 ? us : 10'000);
  return nullptr;
}

/** Keeps (1) or no longer keeps (0) the process alive while attached. */
napi_value keepAliveCall(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  RingHandle* handle = boundHandle(env, info, &argc, argv);
  bool keep = true;
  napi_get_value_bool(env, argv[0], &keep);
  if (!handle->poller) return nullptr;
  uv_handle_t* poll = reinterpret_cast<uv_handle_t*>(&handle->poller->poll);
  keep ? uv_ref(poll) : uv_unref(poll);
  return nullptr;
}

napi_value statsCall(napi_env env, napi_callback_info info) {
  RingHandle* handle = boundHandle(env, info, nullptr, nullptr);
  Napi::Object out = Napi::Object::New(env);
  const Ring* ring = handle->ring;
  out.Set("ticks", ring ? static_cast<double>(ring->stats.ticks) : 0);
  out.Set("sleeps", ring ? static_cast<double>(ring->stats.sleeps) : 0);
  out.Set("submitted", ring ? static_cast<double>(ring->stats.submitted) : 0);
  out.Set("spinHits", ring ? static_cast<double>(ring->spinner.hits) : 0);
  out.Set("spinMisses", ring ? static_cast<double>(ring->spinner.misses) : 0);
  out.Set("spinPreempted", ring ? static_cast<double>(ring->spinner.preempted) : 0);
  out.Set("inlineWrites", ring ? static_cast<double>(ring->inlineWrites.done) : 0);
  out.Set("inlineSleeps", ring ? static_cast<double>(ring->inlineWrites.sleeps) : 0);
  out.Set("inFlight", ring ? ring->inFlight() : 0);
  return out;
}

napi_value closeCall(napi_env env, napi_callback_info info) {
  RingHandle* handle = boundHandle(env, info, nullptr, nullptr);
  if (handle->use == Use::running) return throwState(env, "close inside run: return -1 first");
  napi_value result;
  napi_create_double(env, static_cast<double>(closeRing(handle, kCloseDrainMs)), &result);
  return result;
}

/** One JavaScript object that points to the handle less; finalizers run on the ring's own thread. */
void dropReference(napi_env, void* data, void*) {
  RingHandle* handle = static_cast<RingHandle*>(data);
  if (--handle->jsRefs == 0) orphan(handle);
}

void track(napi_env env, napi_value object, RingHandle* handle) {
  if (napi_add_finalizer(env, object, handle, dropReference, nullptr, nullptr) == napi_ok) handle->jsRefs++;
}

void method(napi_env env, napi_value object, const char* name, napi_callback fn, RingHandle* handle) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, handle, &value);
  track(env, value, handle);
  napi_set_named_property(env, object, name, value);
}

/** An ArrayBuffer over a region holds the region, not the ring: bytes stay readable after close() and collection. */
Napi::ArrayBuffer view(Napi::Env env, Region* region, size_t bytes) {
  region->retain();
  return Napi::ArrayBuffer::New(env, region->base(), bytes, [](Napi::Env, void*, Region* r) { r->release(); }, region);
}

Napi::Object wrap(Napi::Env env, Ring* ring) {
  RingHandle* handle = new RingHandle;
  handle->env = env;
  handle->instance = instanceOf(env);
  handle->ring = ring;
  handle->entries = ring->entries();
  handle->wakeHandle = ring->wakeHandle();
  handle->instance->rings.insert(handle);
  Napi::Object object = Napi::Object::New(env);
  track(env, object, handle);
  const size_t tableBytes = ring->iovOffset() + ring->iovEntries() * sizeof(Span);
  Napi::ArrayBuffer tables = view(env, ring->tables(), tableBytes);
  object.Set("arena", view(env, ring->arena(), std::min<size_t>(ring->arena()->bytes(), kArenaBytesMax)));
  object.Set("sq", Napi::Int32Array::New(env, ring->entries() * 8, tables, ring->sqOffset()));
  object.Set("cq", Napi::Int32Array::New(env, ring->cqEntries() * 2, tables, ring->cqOffset()));
  object.Set("iov", Napi::Int32Array::New(env, ring->iovEntries() * 2, tables, ring->iovOffset()));
  object.Set("entries", ring->entries());
  object.Set("cqEntries", ring->cqEntries());
  object.Set("iovEntries", ring->iovEntries());
  object.Set("fixedBuffers", ring->fixedBuffers());
  object.Set("wakeHandle", ring->wakeHandle());
  method(env, object, "tick", tickCall, handle);
  method(env, object, "run", runCall, handle);
  method(env, object, "attach", attachCall, handle);
  method(env, object, "detach", detachCall, handle);
  method(env, object, "keepAlive", keepAliveCall, handle);
  method(env, object, "wake", wakeCall, handle);
  method(env, object, "setSpinUs", setSpinCall, handle);
  method(env, object, "stats", statsCall, handle);
  method(env, object, "close", closeCall, handle);
  return object;
}

int64_t option(const Napi::Object& options, const char* name, int64_t fallback, int64_t min, int64_t max) {
  Napi::Value value = options.Get(name);
  if (value.IsUndefined()) return fallback;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)))
    throw Napi::RangeError::New(options.Env(), std::string(name) + " must be a number from " + std::to_string(min) + " to " + std::to_string(max));
  return static_cast<int64_t>(number);
}

Napi::Value open(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "open needs { entries, arenaBytes, ... }");
  const Napi::Object given = info[0].As<Napi::Object>();
  RingOptions options;
  options.entries = static_cast<uint32_t>(option(given, "entries", 256, kEntriesMin, kEntriesMax));
  options.arenaBytes = option(given, "arenaBytes", 64 << 20, 4096, kArenaBytesMax);
  options.spinUs = static_cast<uint32_t>(option(given, "spinUs", 0, 0, 10'000));
  options.fixedBuffers = given.Get("fixedBuffers").ToBoolean();
  options.lockArena = given.Get("lockArena").ToBoolean();
  int err = 0;
  Ring* ring = Ring::open(options, &err);
  if (!ring) throw ringError(info.Env(), err);
  return wrap(info.Env(), ring);
}

Napi::Value wakeRing(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), wakeByHandle(static_cast<uint32_t>(argInt(info, 0, "wakeHandle"))));
}

}  // namespace

void initRing(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "open", open);
  exportFunction(exports, "wakeRing", wakeRing);
  exports.Set("hasRing", true);
}

}  // namespace mars
