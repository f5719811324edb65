// What this kernel's io_uring can do, so that a caller can choose and a report can say why.
#include <liburing.h>
#include <sys/utsname.h>

#include "js.h"
#include "ops.h"
#include "ring_error.h"

namespace mars {

namespace {

struct Name {
  const char* name;
  int kernelOp;  // -1: executed by us
  int32_t code;
};

constexpr Name kNames[] = {
    {"NOP", IORING_OP_NOP, kNop},
    {"READ", IORING_OP_READ, kRead},
    {"WRITE", IORING_OP_WRITE, kWrite},
    {"READV", IORING_OP_READV, kReadv},
    {"WRITEV", IORING_OP_WRITEV, kWritev},
    {"FSYNC", IORING_OP_FSYNC, kFsync},
    {"FALLOCATE", IORING_OP_FALLOCATE, kFallocate},
    {"SYNC_RANGE", IORING_OP_SYNC_FILE_RANGE, kSyncRange},
    {"SENDMSG", IORING_OP_SENDMSG, kSendmsg},
    {"RECV", IORING_OP_RECV, kRecv},
    {"ACCEPT", IORING_OP_ACCEPT, kAccept},
    {"CONNECT", IORING_OP_CONNECT, kConnect},
    {"CLOSE", IORING_OP_CLOSE, kClose},
    {"SHUTDOWN", IORING_OP_SHUTDOWN, kShutdown},
    {"TIMEOUT", IORING_OP_TIMEOUT, kTimeout},
    {"CANCEL", IORING_OP_ASYNC_CANCEL, kCancel},
    {"POLL", IORING_OP_POLL_ADD, kPoll},
    {"HASH", -1, kHash},
    {"COPY", -1, kCopy},
    {"ZERO", -1, kZero},
    {"COMPARE", -1, kCompare},
};

Napi::Object setupFlags(Napi::Env env, uint32_t flags) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("singleIssuer", (flags & IORING_SETUP_SINGLE_ISSUER) != 0);
  out.Set("deferTaskrun", (flags & IORING_SETUP_DEFER_TASKRUN) != 0);
  out.Set("coopTaskrun", (flags & IORING_SETUP_COOP_TASKRUN) != 0);
  return out;
}

/** Tries the best set-up on a tiny ring; falls back to a plain one. Returns -errno when io_uring is not to be had. */
int probeRing(io_uring* ring, uint32_t* flags) {
  for (uint32_t wanted : {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0u}) {
    *flags = wanted;
    const int result = io_uring_queue_init(2, ring, wanted);
    if (result != -EINVAL) return result;
  }
  return -EINVAL;
}

Napi::Value kernelFeatures(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object out = Napi::Object::New(env), ops = Napi::Object::New(env);
  utsname name{};
  uname(&name);
  out.Set("kernel", name.release);
  io_uring ring;
  uint32_t flags = 0;
  const int result = probeRing(&ring, &flags);
  out.Set("available", result == 0);
  out.Set("setup", setupFlags(env, result == 0 ? flags : 0));
  if (result < 0) out.Set("error", ringError(env, -result).Value());
  io_uring_probe* probe = result == 0 ? io_uring_get_probe_ring(&ring) : nullptr;
  for (const Name& n : kNames)
    ops.Set(n.name, result == 0 && (n.kernelOp < 0 || (probe && io_uring_opcode_supported(probe, n.kernelOp))));
  out.Set("ops", ops);
  if (probe) io_uring_free_probe(probe);
  if (result == 0) io_uring_queue_exit(&ring);
  return out;
}

/** The codes as compiled, for the test that compares them with constants.cjs. */
Napi::Object compiledCodes(Napi::Env env) {
  Napi::Object out = Napi::Object::New(env);
  for (const Name& n : kNames) out.Set(n.name, n.code);
  return out;
}

}  // namespace

void initFeatures(Napi::Env env, Napi::Object& exports) {
  exportFunction(exports, "kernelFeatures", kernelFeatures);
  exports.Set("compiledCodes", compiledCodes(env));
}

}  // namespace mars
