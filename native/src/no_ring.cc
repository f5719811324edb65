// Build without liburing (-DMARS_NO_RING): everything but the ring works, and the ring says why it does not.
#include <sys/utsname.h>

#include "js.h"
#include "op_names.h"
#include "ring_error.h"

namespace mars {

static Napi::Value open(const Napi::CallbackInfo& info) { throw ringError(info.Env(), ENOSYS, kBuiltWithoutRing); }

static Napi::Value wakeRing(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), false); }

static Napi::Value kernelFeatures(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object out = Napi::Object::New(env), ops = Napi::Object::New(env), setup = Napi::Object::New(env);
  utsname name{};
  uname(&name);
  for (const OpName& n : kOpNames) ops.Set(n.name, false);
  for (const char* flag : {"singleIssuer", "deferTaskrun", "coopTaskrun"}) setup.Set(flag, false);
  out.Set("available", false);
  out.Set("kernel", name.release);
  out.Set("error", ringError(env, ENOSYS, kBuiltWithoutRing).Value());
  out.Set("ops", ops);
  out.Set("setup", setup);
  return out;
}

void initRing(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "open", open);
  exportFunction(exports, "wakeRing", wakeRing);
  exports.Set("hasRing", false);
}

void initFeatures(Napi::Env env, Napi::Object& exports) {
  exportFunction(exports, "kernelFeatures", kernelFeatures);
  exports.Set("compiledCodes", compiledCodes(env));
}

}  // namespace mars
