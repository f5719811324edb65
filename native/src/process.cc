// Marks a process that serves block devices to its own kernel: under memory pressure the kernel writes dirty pages to us, so we
// must not wait for that very write-back, must not be paged out, and must not be the one that is killed.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "js.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

namespace mars {

namespace {

/** () -> 0 or -errno. Holds for the calling thread and threads it starts later; call it in each worker. */
Napi::Value setIoFlusher(const Napi::CallbackInfo& info) { return answer(info.Env(), prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)); }

/** () -> 0 or -errno. Locks pages as they are touched: locking V8's reserved address space at once would need all memory. */
Napi::Value lockMemory(const Napi::CallbackInfo& info) {
  return answer(info.Env(), mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
}

/** (score) -> 0 or -errno; -1000 (never kill) to 1000 (kill first) */
Napi::Value setOomScore(const Napi::CallbackInfo& info) {
  const std::string text = std::to_string(argInt(info, 0, "score"));
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return failure(info.Env(), errno);
  const int err = write(fd, text.data(), text.size()) < 0 ? errno : 0;
  close(fd);
  return failure(info.Env(), err);
}

}  // namespace

void initProcess(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "setIoFlusher", setIoFlusher);
  exportFunction(exports, "lockMemory", lockMemory);
  exportFunction(exports, "setOomScore", setOomScore);
}

}  // namespace mars
