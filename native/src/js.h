// Small helpers for the set-up calls, which use node-addon-api. The tick does not: it is plain Node-API (ring_js.cc).
#pragma once

#include <napi.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace mars {

/** Wraps a system call's answer: its value, or the negative errno. */
inline Napi::Value answer(Napi::Env env, int64_t result) {
  return Napi::Number::New(env, static_cast<double>(result < 0 ? -errno : result));
}

inline Napi::Value failure(Napi::Env env, int positiveErrno) { return Napi::Number::New(env, -positiveErrno); }

inline int32_t argInt(const Napi::CallbackInfo& info, size_t i, const char* name) {
  if (!info[i].IsNumber()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a number");
  return info[i].As<Napi::Number>().Int32Value();
}

/** An optional whole number; `fallback` when the argument is undefined. */
inline int32_t argInt(const Napi::CallbackInfo& info, size_t i, const char* name, int32_t fallback) {
  return info.Length() <= i || info[i].IsUndefined() ? fallback : argInt(info, i, name);
}

/** File offsets and lengths travel as doubles, which are exact up to 2^53. */
inline int64_t argInt64(const Napi::CallbackInfo& info, size_t i, const char* name) {
  if (!info[i].IsNumber()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a number");
  double value = info[i].As<Napi::Number>().DoubleValue();
  if (!(value >= -9007199254740992.0 && value <= 9007199254740992.0))
    throw Napi::RangeError::New(info.Env(), std::string(name) + " is not an exact whole number");
  return static_cast<int64_t>(value);
}

/** Paths with a zero byte inside would silently name another file, so they are refused here. */
inline std::string argPath(const Napi::CallbackInfo& info, size_t i) {
  if (!info[i].IsString()) throw Napi::TypeError::New(info.Env(), "path must be a string");
  std::string path = info[i].As<Napi::String>().Utf8Value();
  if (path.empty() || path.find('\0') != std::string::npos)
    throw Napi::TypeError::New(info.Env(), "path must not be empty and must not contain a zero byte");
  return path;
}

using Function = Napi::Value (*)(const Napi::CallbackInfo&);

inline void exportFunction(Napi::Object& exports, const char* name, Function fn) {
  exports.Set(name, Napi::Function::New(exports.Env(), fn, name));
}

void initRing(Napi::Env env, Napi::Object& exports);
void initFeatures(Napi::Env env, Napi::Object& exports);
void initDigests(Napi::Env env, Napi::Object& exports);
void initFiles(Napi::Env env, Napi::Object& exports);
void initBlock(Napi::Env env, Napi::Object& exports);
void initStamps(Napi::Env env, Napi::Object& exports);
void initSockets(Napi::Env env, Napi::Object& exports);
void initProcess(Napi::Env env, Napi::Object& exports);
void initFuse(Napi::Env env, Napi::Object& exports);
void initService(Napi::Env env, Napi::Object& exports);

}  // namespace mars
