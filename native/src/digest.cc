#include "digest.h"

#include <cstring>

#include "ops.h"

namespace mars {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are stored little-endian by plain copies");

int32_t digestBytes(int32_t kind) {
  switch (kind) {
    case kCrc32c:
    case kCrc32: return 4;
    case kCrc32c8:
    case kCrc32_8: return 32;
    case kXxh3_64: return 8;
    case kXxh3_128: return 16;
    default: return 0;
  }
}

static void store(uint32_t value, uint8_t* out) { std::memcpy(out, &value, sizeof value); }

void digest(int32_t kind, const uint8_t* data, size_t len, uint8_t* out) {
  switch (kind) {
    case kCrc32c: return store(crc32c(0, data, len), out);
    case kCrc32: return store(crc32(0, data, len), out);
    case kCrc32c8: return crc32cPieces(data, len, out);
    case kCrc32_8: return crc32Pieces(data, len, out);
    case kXxh3_64: return xxh3_64(data, len, out);
    case kXxh3_128: return xxh3_128(data, len, out);
  }
}

}  // namespace mars
