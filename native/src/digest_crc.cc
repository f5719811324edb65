// CRC-32C in hardware where the processor has it, and both polynomials by table everywhere.
//
// One CRC instruction takes three cycles but a new one can start in each, so three independent streams run at three times the
// speed of one. The streams are joined by "appending zeros": shift(crc, n) is the CRC after n more zero bytes, a linear map that
// four 256-entry tables compute.
#include <cstring>

#include "digest.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CRC_TARGET __attribute__((target("sse4.2")))
#define CRC_STEP(crc, word) _mm_crc32_u64(crc, word)
#define CRC_BYTE(crc, byte) _mm_crc32_u8(static_cast<uint32_t>(crc), byte)
#define CRC_HARDWARE 1
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define CRC_TARGET __attribute__((target("+crc")))
#define CRC_STEP(crc, word) __crc32cd(static_cast<uint32_t>(crc), word)
#define CRC_BYTE(crc, byte) __crc32cb(static_cast<uint32_t>(crc), byte)
#define CRC_HARDWARE 1
#endif

namespace mars {

namespace {

constexpr uint32_t kCastagnoli = 0x82F63B78u;
constexpr uint32_t kIeee = 0xEDB88320u;
constexpr size_t kLong = 4096, kShort = 256;  // bytes per stream; three of the long ones fit well into the first-level cache

/** Tables for eight bytes at a time: at[k][b] is the CRC of byte b followed by k zero bytes. */
struct SliceTables {
  uint32_t at[8][256];

  explicit SliceTables(uint32_t polynomial) {
    for (uint32_t b = 0; b < 256; b++) {
      uint32_t crc = b;
      for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ polynomial : crc >> 1;
      at[0][b] = crc;
    }
    for (int k = 1; k < 8; k++)
      for (uint32_t b = 0; b < 256; b++) at[k][b] = (at[k - 1][b] >> 8) ^ at[0][at[k - 1][b] & 0xff];
  }
};

const SliceTables& castagnoli() {
  static const SliceTables tables(kCastagnoli);
  return tables;
}

const SliceTables& ieee() {
  static const SliceTables tables(kIeee);
  return tables;
}

inline uint64_t load64(const uint8_t* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof word);  // any alignment
  return word;
}

/** Raw register update: no initial or final inversion. */
uint32_t sliceBy8(const SliceTables& t, uint32_t crc, const uint8_t* p, size_t len) {
  for (; len >= 8; p += 8, len -= 8) {
    const uint64_t word = load64(p) ^ crc;
    crc = t.at[7][word & 0xff] ^ t.at[6][(word >> 8) & 0xff] ^ t.at[5][(word >> 16) & 0xff] ^ t.at[4][(word >> 24) & 0xff] ^
          t.at[3][(word >> 32) & 0xff] ^ t.at[2][(word >> 40) & 0xff] ^ t.at[1][(word >> 48) & 0xff] ^ t.at[0][word >> 56];
  }
  for (; len > 0; p++, len--) crc = (crc >> 8) ^ t.at[0][(crc ^ *p) & 0xff];
  return crc;
}

#ifdef CRC_HARDWARE

bool detectHardware() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("sse4.2");
#else
  return (getauxval(AT_HWCAP) & (1u << 7)) != 0;  // HWCAP_CRC32
#endif
}

bool hasHardware() {
  static const bool yes = detectHardware();
  return yes;
}

/** The linear map "n zero bytes follow", one table per byte of the register. */
struct ZerosTable {
  uint32_t at[4][256];

  explicit ZerosTable(size_t zeros) {
    uint32_t column[32];
    const uint8_t nothing[64] = {};
    for (int bit = 0; bit < 32; bit++) {
      uint32_t crc = 1u << bit;
      for (size_t left = zeros; left > 0; left -= left < 64 ? left : 64)
        crc = sliceBy8(castagnoli(), crc, nothing, left < 64 ? left : 64);
      column[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++)
      for (uint32_t value = 0; value < 256; value++) {
        uint32_t sum = 0;
        for (int bit = 0; bit < 8; bit++)
          if (value >> bit & 1) sum ^= column[8 * byte + bit];
        at[byte][value] = sum;
      }
  }

  uint32_t shift(uint64_t crc) const {
    return at[0][crc & 0xff] ^ at[1][(crc >> 8) & 0xff] ^ at[2][(crc >> 16) & 0xff] ^ at[3][(crc >> 24) & 0xff];
  }
};

/** Three streams of `stream` bytes each, as long as the data lasts. */
CRC_TARGET uint64_t threeStreams(uint64_t crc, const uint8_t*& p, size_t& len, size_t stream, const ZerosTable& zeros) {
  while (len >= 3 * stream) {
    uint64_t b = 0, c = 0;
    for (const uint8_t* end = p + stream; p < end; p += 8) {
      crc = CRC_STEP(crc, load64(p));
      b = CRC_STEP(b, load64(p + stream));
      c = CRC_STEP(c, load64(p + 2 * stream));
    }
    crc = zeros.shift(crc) ^ b;
    crc = zeros.shift(crc) ^ c;
    p += 2 * stream;
    len -= 3 * stream;
  }
  return crc;
}

CRC_TARGET uint32_t hardware(uint32_t seed, const uint8_t* p, size_t len) {
  static const ZerosTable longZeros(kLong), shortZeros(kShort);
  uint64_t crc = seed;
  crc = threeStreams(crc, p, len, kLong, longZeros);
  crc = threeStreams(crc, p, len, kShort, shortZeros);
  for (; len >= 8; p += 8, len -= 8) crc = CRC_STEP(crc, load64(p));
  for (; len > 0; p++, len--) crc = CRC_BYTE(crc, *p);
  return static_cast<uint32_t>(crc);
}

/** Eight independent pieces are four streams twice: no joining needed at all. Piece 7 keeps its remainder for the caller. */
CRC_TARGET void hardwarePieces(const uint8_t* data, size_t step, uint32_t* crc) {
  for (size_t first = 0; first < 8; first += 4) {
    const uint8_t* p = data + first * step;
    uint64_t a = crc[first], b = crc[first + 1], c = crc[first + 2], d = crc[first + 3];
    size_t i = 0;
    for (; i + 8 <= step; i += 8) {
      a = CRC_STEP(a, load64(p + i));
      b = CRC_STEP(b, load64(p + step + i));
      c = CRC_STEP(c, load64(p + 2 * step + i));
      d = CRC_STEP(d, load64(p + 3 * step + i));
    }
    for (; i < step; i++) {
      a = CRC_BYTE(a, p[i]);
      b = CRC_BYTE(b, p[step + i]);
      c = CRC_BYTE(c, p[2 * step + i]);
      d = CRC_BYTE(d, p[3 * step + i]);
    }
    crc[first] = static_cast<uint32_t>(a);
    crc[first + 1] = static_cast<uint32_t>(b);
    crc[first + 2] = static_cast<uint32_t>(c);
    crc[first + 3] = static_cast<uint32_t>(d);
  }
}

#endif

}  // namespace

uint32_t crc32cTable(uint32_t seed, const uint8_t* data, size_t len) { return ~sliceBy8(castagnoli(), ~seed, data, len); }

uint32_t crc32c(uint32_t seed, const uint8_t* data, size_t len) {
#ifdef CRC_HARDWARE
  if (hasHardware()) return ~hardware(~seed, data, len);
#endif
  return crc32cTable(seed, data, len);
}

uint32_t crc32(uint32_t seed, const uint8_t* data, size_t len) { return sliceBy8(ieee(), seed, data, len); }

void crc32cPieces(const uint8_t* data, size_t len, uint8_t* out) {
  const size_t step = len / 8;
  uint32_t crc[8];
#ifdef CRC_HARDWARE
  if (hasHardware()) {
    for (uint32_t& c : crc) c = ~0u;
    hardwarePieces(data, step, crc);
    crc[7] = hardware(crc[7], data + 8 * step, len - 8 * step);
    for (uint32_t& c : crc) c = ~c;
    std::memcpy(out, crc, sizeof crc);
    return;
  }
#endif
  for (size_t k = 0; k < 8; k++) crc[k] = crc32cTable(0, data + k * step, k < 7 ? step : len - 7 * step);
  std::memcpy(out, crc, sizeof crc);
}

void crc32Pieces(const uint8_t* data, size_t len, uint8_t* out) {
  const size_t step = len / 8;
  uint32_t crc[8];
  for (size_t k = 0; k < 8; k++) crc[k] = crc32(0, data + k * step, k < 7 ? step : len - 7 * step);
  std::memcpy(out, crc, sizeof crc);
}

}  // namespace mars
