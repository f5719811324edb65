// Names of the operations, for reports and for the test that compares the codes with constants.cjs.
#pragma once

#include <napi.h>

#include "ops.h"

namespace mars {

struct OpName {
  const char* name;
  int32_t code;
};

constexpr OpName kOpNames[] = {
    {"NOP", kNop},         {"READ", kRead},   {"WRITE", kWrite},     {"READV", kReadv},         {"WRITEV", kWritev},
    {"FSYNC", kFsync},     {"FALLOCATE", kFallocate}, {"SYNC_RANGE", kSyncRange}, {"SENDMSG", kSendmsg}, {"RECV", kRecv},
    {"ACCEPT", kAccept},   {"CONNECT", kConnect}, {"CLOSE", kClose}, {"SHUTDOWN", kShutdown},   {"TIMEOUT", kTimeout},
    {"CANCEL", kCancel},   {"POLL", kPoll},   {"HASH", kHash},       {"COPY", kCopy},           {"ZERO", kZero},
    {"COMPARE", kCompare},
};

inline Napi::Object compiledCodes(Napi::Env env) {
  Napi::Object out = Napi::Object::New(env);
  for (const OpName& n : kOpNames) out.Set(n.name, n.code);
  return out;
}

}  // namespace mars
