// Build without liburing (-DMARS_NO_RING): everything but the ring works, and the ring says why it does not.
#include "js.h"
#include "ring_error.h"

namespace mars {

static Napi::Value open(const Napi::CallbackInfo& info) { throw ringError(info.Env(), ENOSYS, kBuiltWithoutRing); }

static Napi::Value wakeRing(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), false); }

static Napi::Value kernelFeatures(const Napi::CallbackInfo& info) {
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("available", false);
  out.Set("error", ringError(info.Env(), ENOSYS, kBuiltWithoutRing).Value());
  out.Set("ops", Napi::Object::New(info.Env()));
  out.Set("setup", Napi::Object::New(info.Env()));
  return out;
}

void initRing(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "open", open);
  exportFunction(exports, "wakeRing", wakeRing);
  exports.Set("hasRing", false);
}

void initFeatures(Napi::Env, Napi::Object& exports) { exportFunction(exports, "kernelFeatures", kernelFeatures); }

}  // namespace mars
