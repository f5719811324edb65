// Files off the hot path: opening with the flags Node does not pass on, alignment, preallocation, holes, space.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "js.h"

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif

namespace mars {

namespace {

constexpr int32_t kExtentsMax = 65536;  // per call; the caller goes on behind the last one

/** (path, flags, mode = 0o600) -> fd or -errno. Never follows into a controlling terminal, never inherited by children. */
Napi::Value openFile(const Napi::CallbackInfo& info) {
  const std::string path = argPath(info, 0);
  const int32_t flags = argInt(info, 1, "flags", O_RDONLY);
  const int32_t mode = argInt(info, 2, "mode", 0600);
  int fd;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode);
  } while (fd < 0 && errno == EINTR);
  return answer(info.Env(), fd);
}

/** After EINTR the descriptor is gone on Linux, so a retry could close somebody else's: EINTR counts as success. */
Napi::Value closeFd(const Napi::CallbackInfo& info) {
  const int result = close(argInt(info, 0, "fd"));
  return answer(info.Env(), result < 0 && errno == EINTR ? 0 : result);
}

/** (fd) -> { memoryBytes, offsetBytes } or -errno; -ENOTSUP when neither kernel nor file system says. */
Napi::Value dioAlign(const Napi::CallbackInfo& info) {
  // The kernel's struct is larger than the C library's of old distributions, hence a buffer of its documented 256 bytes.
  alignas(8) unsigned char raw[256] = {};
  const int fd = argInt(info, 0, "fd");
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, reinterpret_cast<struct statx*>(raw)) < 0) return failure(info.Env(), errno);
  uint32_t mask, memory, offset;
  memcpy(&mask, raw, 4);
  memcpy(&memory, raw + 0x98, 4);
  memcpy(&offset, raw + 0x9c, 4);
  if (!(mask & STATX_DIOALIGN)) return failure(info.Env(), ENOTSUP);
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("memoryBytes", memory);
  out.Set("offsetBytes", offset);
  return out;
}

Napi::Value doFallocate(const Napi::CallbackInfo& info, int mode, size_t at) {
  const int fd = argInt(info, 0, "fd");
  const int64_t pos = argInt64(info, at, "pos"), len = argInt64(info, at + 1, "len");
  int result;
  do {
    result = fallocate(fd, mode, pos, len);
  } while (result < 0 && errno == EINTR);
  return answer(info.Env(), result);
}

/** (fd, mode, pos, len) -> 0 or -errno */
Napi::Value fallocateCall(const Napi::CallbackInfo& info) { return doFallocate(info, argInt(info, 1, "mode"), 2); }

/** (fd, pos, len): frees the range, the size stays. */
Napi::Value punch(const Napi::CallbackInfo& info) { return doFallocate(info, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1); }

/** (fd, pos, len): the range reads as zero and stays allocated; grows the file when it reaches beyond its end. */
Napi::Value zeroRange(const Napi::CallbackInfo& info) { return doFallocate(info, FALLOC_FL_ZERO_RANGE, 1); }

/** (path) -> { totalBytes, freeBytes, availableBytes, blockBytes, files, filesFree, type } or -errno */
Napi::Value statfsCall(const Napi::CallbackInfo& info) {
  const std::string path = argPath(info, 0);
  struct statfs s;
  if (statfs(path.c_str(), &s) < 0) return failure(info.Env(), errno);
  Napi::Object out = Napi::Object::New(info.Env());
  const double unit = static_cast<double>(s.f_frsize ? s.f_frsize : s.f_bsize);
  out.Set("totalBytes", static_cast<double>(s.f_blocks) * unit);
  out.Set("freeBytes", static_cast<double>(s.f_bfree) * unit);
  out.Set("availableBytes", static_cast<double>(s.f_bavail) * unit);
  out.Set("blockBytes", static_cast<double>(s.f_bsize));
  out.Set("files", static_cast<double>(s.f_files));
  out.Set("filesFree", static_cast<double>(s.f_ffree));
  out.Set("type", static_cast<double>(static_cast<uint32_t>(s.f_type)));
  return out;
}

struct Extents {
  std::vector<double> triples;  // pos, len, 1 = data or 0 = hole
  void add(int64_t from, int64_t to, bool data) {
    if (to <= from) return;
    triples.push_back(static_cast<double>(from));
    triples.push_back(static_cast<double>(to - from));
    triples.push_back(data ? 1 : 0);
  }
};

/** Walks [pos, end); a file system without SEEK_DATA, or a block device, counts as data throughout. Returns 0 or an errno. */
int walkExtents(int fd, int64_t pos, int64_t end, size_t max, Extents* out) {
  while (pos < end && out->triples.size() / 3 + 2 <= max) {
    const off_t data = lseek(fd, pos, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {  // nothing but hole (or the end of the file) from here on
      out->add(pos, end, false);
      return 0;
    }
    if (data < 0 && errno != EINVAL) return errno;
    if (data < 0) {
      out->add(pos, end, true);
      return 0;
    }
    out->add(pos, std::min<int64_t>(data, end), false);
    if (data >= end) return 0;
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    // The file may shrink between the two calls; the next round then finds its end.
    const int64_t to = hole < 0 ? end : std::min<int64_t>(hole, end);
    out->add(data, to, true);
    pos = to;
  }
  return 0;
}

/** (fd, pos, len, max = 1024) -> Float64Array of (pos, len, data) or -errno. Moves the file position of fd. */
Napi::Value extents(const Napi::CallbackInfo& info) {
  const int fd = argInt(info, 0, "fd");
  const int64_t pos = argInt64(info, 1, "pos"), len = argInt64(info, 2, "len");
  const int32_t max = argInt(info, 3, "max", 1024);
  if (pos < 0 || len < 0 || max < 2 || max > kExtentsMax) return failure(info.Env(), EINVAL);
  Extents found;
  if (const int err = walkExtents(fd, pos, pos + len, static_cast<size_t>(max), &found)) return failure(info.Env(), err);
  Napi::Float64Array out = Napi::Float64Array::New(info.Env(), found.triples.size());
  std::copy(found.triples.begin(), found.triples.end(), out.Data());
  return out;
}

}  // namespace

void initFiles(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "openFile", openFile);
  exportFunction(exports, "closeFd", closeFd);
  exportFunction(exports, "dioAlign", dioAlign);
  exportFunction(exports, "fallocate", fallocateCall);
  exportFunction(exports, "punch", punch);
  exportFunction(exports, "zeroRange", zeroRange);
  exportFunction(exports, "statfs", statfsCall);
  exportFunction(exports, "extents", extents);
}

}  // namespace mars
