// The same XXH3 compiled for AVX2. Standard headers come first: functions compiled with AVX2 must not leak into other files.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC push_options
#pragma GCC target("avx2")
#define XXH_VECTOR XXH_AVX2  // said aloud, because GCC's C++ front end does not define __AVX2__ after the pragma
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mars {

uint64_t xxh3_64Avx2(const uint8_t* data, size_t len) { return XXH3_64bits(data, len); }

void xxh3_128Avx2(const uint8_t* data, size_t len, uint64_t* halves) {
  const XXH128_hash_t hash = XXH3_128bits(data, len);
  halves[0] = hash.low64;
  halves[1] = hash.high64;
}

}  // namespace mars
#pragma GCC pop_options
#endif
