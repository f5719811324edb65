// The digests for JavaScript, off the ring: one call per piece of data, plain Node-API because callers do many of them.
#include "digest.h"
#include "js.h"
#include "ops.h"

namespace mars {

namespace {

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

bool bytesOf(napi_env env, napi_value value, Bytes* out) {
  bool is = false;
  void* data = nullptr;
  size_t length = 0;
  if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) return false;
    if (type != napi_uint8_array && type != napi_uint8_clamped_array && type != napi_int8_array) return false;
  } else if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
    if (napi_get_arraybuffer_info(env, value, &data, &length) != napi_ok) return false;
  } else {
    return false;
  }
  *out = {static_cast<uint8_t*>(data), length};
  return true;
}

napi_value refuse(napi_env env, const char* message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return nullptr;
}

/** Reads `(bytes, offset, length)` from argv and checks the range. */
bool rangeOf(napi_env env, const napi_value* argv, Bytes* out) {
  Bytes all;
  double offset = 0, length = 0;
  if (!bytesOf(env, argv[0], &all)) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "expected a Uint8Array or ArrayBuffer");
    return false;
  }
  if (napi_get_value_double(env, argv[1], &offset) != napi_ok || napi_get_value_double(env, argv[2], &length) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "offset and length must be numbers");
    return false;
  }
  // Written so that NaN fails, too.
  if (!(offset >= 0 && length >= 0 && offset + length <= static_cast<double>(all.length))) {
    refuse(env, "offset and length must lie inside the bytes");
    return false;
  }
  *out = {all.data + static_cast<size_t>(offset), static_cast<size_t>(length)};
  return true;
}

using Crc = uint32_t (*)(uint32_t, const uint8_t*, size_t);

/** (bytes, offset, length, seed = 0) -> unsigned number */
template <Crc crc>
napi_value crcCall(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4], result;
  Bytes in;
  uint32_t seed = 0;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (!rangeOf(env, argv, &in)) return nullptr;
  napi_get_value_uint32(env, argv[3], &seed);  // undefined leaves it 0
  napi_create_uint32(env, crc(seed, in.data, in.length), &result);
  return result;
}

/** (kind, bytes, offset, length, out, outOffset) -> bytes written */
napi_value digestCall(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6], result;
  int32_t kind = -1;
  Bytes in, out;
  double at = 0;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  napi_get_value_int32(env, argv[0], &kind);
  const int32_t bytes = digestBytes(kind);
  if (bytes == 0) return refuse(env, "unknown kind of digest");
  if (!rangeOf(env, argv + 1, &in)) return nullptr;
  if (!bytesOf(env, argv[4], &out)) return refuse(env, "out must be a Uint8Array");
  napi_get_value_double(env, argv[5], &at);
  if (!(at >= 0 && at + bytes <= static_cast<double>(out.length))) return refuse(env, "no room for the digest in out");
  uint8_t value[kDigestBytesMax];
  digest(kind, in.data, in.length, value);
  memcpy(out.data + static_cast<size_t>(at), value, static_cast<size_t>(bytes));
  napi_create_int32(env, bytes, &result);
  return result;
}

napi_value xxh3_64Call(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3], result;
  Bytes in;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (!rangeOf(env, argv, &in)) return nullptr;
  uint64_t hash;
  xxh3_64(in.data, in.length, reinterpret_cast<uint8_t*>(&hash));
  napi_create_bigint_uint64(env, hash, &result);
  return result;
}

void add(Napi::Env env, Napi::Object& exports, const char* name, napi_callback fn) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, nullptr, &value);
  exports.Set(name, value);
}

}  // namespace

void initDigests(Napi::Env env, Napi::Object& exports) {
  add(env, exports, "crc32c", crcCall<crc32c>);
  add(env, exports, "crc32cSoftware", crcCall<crc32cTable>);
  add(env, exports, "crc32", crcCall<crc32>);
  add(env, exports, "xxh3_64", xxh3_64Call);
  add(env, exports, "digest", digestCall);
}

}  // namespace mars
