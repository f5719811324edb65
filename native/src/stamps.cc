// Symlinks with nanosecond stamps: the tree of MARS keeps its Lamport time there, and Node's fs cannot set it to the nanosecond.
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "js.h"

namespace mars {

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

void setStamp(Napi::Object& out, const struct stat& st) {
  out.Set("sec", static_cast<double>(st.st_mtim.tv_sec));
  out.Set("nsec", static_cast<double>(st.st_mtim.tv_nsec));
}

/** (path, sec, nsec) -> 0 or -errno; sets access and modification time of the link itself */
Napi::Value lutimesNs(const Napi::CallbackInfo& info) {
  const std::string path = argPath(info, 0);
  const int64_t sec = argInt64(info, 1, "sec"), nsec = argInt64(info, 2, "nsec");
  // Out of range would mean UTIME_NOW or UTIME_OMIT to the kernel: a stamp nobody chose.
  if (nsec < 0 || nsec >= kNanosPerSecond) return failure(info.Env(), EINVAL);
  const timespec stamp{static_cast<time_t>(sec), static_cast<long>(nsec)};
  const timespec both[2] = {stamp, stamp};
  return answer(info.Env(), utimensat(AT_FDCWD, path.c_str(), both, AT_SYMLINK_NOFOLLOW));
}

/** (path) -> { sec, nsec, mode, size, ino } or -errno; not followed */
Napi::Value lstatNs(const Napi::CallbackInfo& info) {
  const std::string path = argPath(info, 0);
  struct stat st;
  if (lstat(path.c_str(), &st) < 0) return failure(info.Env(), errno);
  Napi::Object out = Napi::Object::New(info.Env());
  setStamp(out, st);
  out.Set("mode", st.st_mode);
  out.Set("size", static_cast<double>(st.st_size));
  out.Set("ino", static_cast<double>(st.st_ino));
  return out;
}

/**
 * (path) -> { target, sec, nsec } or -errno. Links are replaced by rename, so target and stamp are read through one descriptor:
 * two calls by path could pair the old target with the new stamp.
 */
Napi::Value readlinkNs(const Napi::CallbackInfo& info) {
  const std::string path = argPath(info, 0);
  const int fd = open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return failure(info.Env(), errno);
  struct stat st;
  char target[PATH_MAX + 1];
  int err = fstat(fd, &st) < 0 ? errno : 0;
  if (!err && !S_ISLNK(st.st_mode)) err = EINVAL;
  const ssize_t length = err ? -1 : readlinkat(fd, "", target, sizeof target);
  if (!err && length < 0) err = errno;
  close(fd);
  if (err) return failure(info.Env(), err);
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("target", Napi::String::New(info.Env(), target, static_cast<size_t>(length)));
  setStamp(out, st);
  return out;
}

}  // namespace

void initStamps(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "lutimesNs", lutimesNs);
  exportFunction(exports, "lstatNs", lstatNs);
  exportFunction(exports, "readlinkNs", readlinkNs);
}

}  // namespace mars
