// Marks a process that serves block devices to its own kernel: under memory pressure the kernel writes dirty pages to us, so we
// must not wait for that very write-back, must not be paged out, and must not be the one that is killed.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "js.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace mars {

namespace {

/** () -> 0 or -errno. Holds for the calling thread and threads it starts later; call it in each worker. */
Napi::Value setIoFlusher(const Napi::CallbackInfo& info) { return answer(info.Env(), prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)); }

/** Program, libraries, the C heap and the stack; V8's own memory is anonymous. */
bool mayBeLocked(const char* name) { return name[0] == '/' || !strncmp(name, "[heap]", 6) || !strncmp(name, "[stack]", 7); }

/**
 * () -> 0 or -errno. Not mlockall: V8 gives pages back with madvise, which fails for locked pages, and V8 treats that as fatal, so
 * locking everything kills the process at its next large garbage collection (seen with Node 20). Arenas: RingOptions.lockArena.
 */
Napi::Value lockMemory(const Napi::CallbackInfo& info) {
  FILE* maps = fopen("/proc/self/maps", "re");
  if (!maps) return failure(info.Env(), errno);
  char line[4608];  // a path and what stands in front of it
  int err = 0;
  while (!err && fgets(line, sizeof line, maps)) {
    uint64_t from = 0, to = 0;
    int name = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &from, &to, &name) < 2 || !name || !mayBeLocked(line + name)) continue;
    // Pages are locked as they are touched, so nothing is read from disk only to be locked. ENOMEM may also mean that the
    // mapping went away meanwhile; a second look at the list would race just the same.
    if (mlock2(reinterpret_cast<void*>(from), to - from, MLOCK_ONFAULT) < 0) err = errno;
  }
  fclose(maps);
  return failure(info.Env(), err);
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
