// XXH3 from libxxhash, inlined. The baseline build must run on every x86-64, so the AVX2 version is a second translation unit,
// chosen once at run time.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "digest.h"

namespace mars {

#if defined(__x86_64__)
uint64_t xxh3_64Avx2(const uint8_t* data, size_t len);
void xxh3_128Avx2(const uint8_t* data, size_t len, uint64_t* halves);

static bool hasAvx2() {
  static const bool yes = __builtin_cpu_supports("avx2");
  return yes;
}
#endif

void xxh3_64(const uint8_t* data, size_t len, uint8_t* out) {
#if defined(__x86_64__)
  const uint64_t hash = hasAvx2() ? xxh3_64Avx2(data, len) : XXH3_64bits(data, len);
#else
  const uint64_t hash = XXH3_64bits(data, len);
#endif
  std::memcpy(out, &hash, sizeof hash);
}

void xxh3_128(const uint8_t* data, size_t len, uint8_t* out) {
  uint64_t halves[2];
#if defined(__x86_64__)
  if (hasAvx2()) {
    xxh3_128Avx2(data, len, halves);
    std::memcpy(out, halves, sizeof halves);
    return;
  }
#endif
  const XXH128_hash_t hash = XXH3_128bits(data, len);
  halves[0] = hash.low64;
  halves[1] = hash.high64;
  std::memcpy(out, halves, sizeof halves);
}

}  // namespace mars
