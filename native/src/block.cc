// Block devices: what they are, discard and zero-out. The ioctls block until the device is done; big ranges belong in slices.
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "js.h"

namespace mars {

namespace {

/** (fd) -> { sizeBytes, logicalBlockBytes, physicalBlockBytes, minIoBytes, optimalIoBytes, readOnly } or -errno (-ENOTBLK for other files) */
Napi::Value blockDeviceInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = argInt(info, 0, "fd");
  struct stat st;
  if (fstat(fd, &st) < 0) return failure(env, errno);
  if (!S_ISBLK(st.st_mode)) return failure(env, ENOTBLK);
  uint64_t size = 0;
  int logical = 0, readOnly = 0;
  unsigned physical = 0, minIo = 0, optimalIo = 0;
  if (ioctl(fd, BLKGETSIZE64, &size) < 0 || ioctl(fd, BLKSSZGET, &logical) < 0 || ioctl(fd, BLKROGET, &readOnly) < 0)
    return failure(env, errno);
  // Hints only: a driver that does not know them leaves the logical block.
  if (ioctl(fd, BLKPBSZGET, &physical) < 0) physical = static_cast<unsigned>(logical);
  if (ioctl(fd, BLKIOMIN, &minIo) < 0) minIo = physical;
  if (ioctl(fd, BLKIOOPT, &optimalIo) < 0) optimalIo = 0;
  Napi::Object out = Napi::Object::New(env);
  out.Set("sizeBytes", static_cast<double>(size));
  out.Set("logicalBlockBytes", logical);
  out.Set("physicalBlockBytes", physical);
  out.Set("minIoBytes", minIo);
  out.Set("optimalIoBytes", optimalIo);
  out.Set("readOnly", readOnly != 0);
  return out;
}

Napi::Value rangeIoctl(const Napi::CallbackInfo& info, unsigned long request) {
  const int fd = argInt(info, 0, "fd");
  const int64_t pos = argInt64(info, 1, "pos"), len = argInt64(info, 2, "len");
  if (pos < 0 || len < 0) return failure(info.Env(), EINVAL);
  uint64_t range[2] = {static_cast<uint64_t>(pos), static_cast<uint64_t>(len)};
  return answer(info.Env(), ioctl(fd, request, range));
}

/** (fd, pos, len) -> 0 or -errno; contents undefined afterwards */
Napi::Value blkdiscard(const Napi::CallbackInfo& info) { return rangeIoctl(info, BLKDISCARD); }

/** (fd, pos, len) -> 0 or -errno; reads as zero afterwards */
Napi::Value blkzeroout(const Napi::CallbackInfo& info) { return rangeIoctl(info, BLKZEROOUT); }

}  // namespace

void initBlock(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "blockDeviceInfo", blockDeviceInfo);
  exportFunction(exports, "blkdiscard", blkdiscard);
  exportFunction(exports, "blkzeroout", blkzeroout);
}

}  // namespace mars
