// What this kernel's io_uring can do, so that a caller can choose and a report can say why.
#include <liburing.h>
#include <sys/utsname.h>

#include "js.h"
#include "op_names.h"
#include "ring_error.h"

namespace mars {

namespace {

/** -1: executed by us. */
int kernelOp(int32_t code) {
  switch (code) {
    case kNop: return IORING_OP_NOP;
    case kRead: return IORING_OP_READ;
    case kWrite: return IORING_OP_WRITE;
    case kReadv: return IORING_OP_READV;
    case kWritev: return IORING_OP_WRITEV;
    case kFsync: return IORING_OP_FSYNC;
    case kFallocate: return IORING_OP_FALLOCATE;
    case kSyncRange: return IORING_OP_SYNC_FILE_RANGE;
    case kSendmsg: return IORING_OP_SENDMSG;
    case kRecv: return IORING_OP_RECV;
    case kAccept: return IORING_OP_ACCEPT;
    case kConnect: return IORING_OP_CONNECT;
    case kClose: return IORING_OP_CLOSE;
    case kShutdown: return IORING_OP_SHUTDOWN;
    case kTimeout: return IORING_OP_TIMEOUT;
    case kCancel: return IORING_OP_ASYNC_CANCEL;
    case kPoll: return IORING_OP_POLL_ADD;
    default: return -1;
  }
}

/** Operations of ours need no kernel, but a ring to be described in. */
bool supported(const io_uring_probe* probe, int32_t code) {
  const int op = kernelOp(code);
  return op < 0 || (probe && io_uring_opcode_supported(probe, op));
}

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
  for (const OpName& n : kOpNames) ops.Set(n.name, result == 0 && supported(probe, n.code));
  out.Set("ops", ops);
  if (probe) io_uring_free_probe(probe);
  if (result == 0) io_uring_queue_exit(&ring);
  return out;
}

}  // namespace

void initFeatures(Napi::Env env, Napi::Object& exports) {
  exportFunction(exports, "kernelFeatures", kernelFeatures);
  exports.Set("compiledCodes", compiledCodes(env));
}

}  // namespace mars
