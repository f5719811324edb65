// The error object a caller gets when io_uring cannot be used: `code` to decide on a fallback, `hint` for the reader of the log.
#pragma once

#include <napi.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace mars {

inline constexpr const char* kBuiltWithoutRing =
    "This build has no io_uring. Install liburing-dev and run \"npm run build:native\", or use the thread-pool fallback.";

inline const char* ringHint(int err) {
  switch (err) {
    case EPERM:
    case EACCES:
      return "io_uring is forbidden here. Check \"sysctl kernel.io_uring_disabled\" (0 allows it) and the seccomp profile of the "
             "container (Docker and containerd block io_uring by default); the thread-pool fallback works without it.";
    case ENOSYS:
      return "This kernel has no io_uring (or a filter hides it); the thread-pool fallback works without it.";
    case ENOMEM:
      return "Not enough memory (or locked memory: \"ulimit -l\") for this ring; use fewer entries or a smaller arena.";
    case EMFILE:
    case ENFILE:
      return "Too many open files; raise LimitNOFILE of the service (ulimit -n).";
    default:
      return "The kernel refused to set up the ring; the thread-pool fallback works without it.";
  }
}

/** By hand, because strerrorname_np needs a newer C library than Node itself does. */
inline const char* errnoName(int err) {
  switch (err) {
    case EPERM: return "EPERM";
    case EACCES: return "EACCES";
    case ENOSYS: return "ENOSYS";
    case ENOMEM: return "ENOMEM";
    case EMFILE: return "EMFILE";
    case ENFILE: return "ENFILE";
    case EINVAL: return "EINVAL";
    case EAGAIN: return "EAGAIN";
    default: return "EIO";
  }
}

inline Napi::Error ringError(Napi::Env env, int err, const char* hint = nullptr) {
  Napi::Error error = Napi::Error::New(env, std::string("io_uring is not available: ") + strerror(err));
  error.Set("code", Napi::String::New(env, errnoName(err)));
  error.Set("errno", Napi::Number::New(env, -err));
  error.Set("hint", Napi::String::New(env, hint ? hint : ringHint(err)));
  return error;
}

}  // namespace mars
