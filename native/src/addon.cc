// Entry point. Every area registers its own functions; nothing here keeps state, so each worker thread gets its own instance.
#include "js.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  mars::initRing(env, exports);
  mars::initFeatures(env, exports);
  mars::initDigests(env, exports);
  mars::initFiles(env, exports);
  mars::initBlock(env, exports);
  mars::initStamps(env, exports);
  mars::initSockets(env, exports);
  mars::initProcess(env, exports);
  mars::initFuse(env, exports);
  mars::initService(env, exports);
  return exports;
}

NODE_API_MODULE(mars, init)
