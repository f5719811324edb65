// Checksums and digests on plain memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mars {

constexpr int32_t kDigestBytesMax = 32;

/** CRC-32C (0x82F63B78, initial value and final inversion 0xFFFFFFFF); `seed` is the result for the bytes before, 0 at first. */
uint32_t crc32c(uint32_t seed, const uint8_t* data, size_t len);
/** CRC-32 of the log format: 0xEDB88320, no initial value, no inversion (transaction-log.md 1.4); not zlib's. */
uint32_t crc32(uint32_t seed, const uint8_t* data, size_t len);
/** The eight-piece variants of transaction-log.md 1.4: 32 bytes at `out`. */
void crc32cPieces(const uint8_t* data, size_t len, uint8_t* out);
void crc32Pieces(const uint8_t* data, size_t len, uint8_t* out);
/** The same without special instructions; exported so that tests can compare the two on any machine. */
uint32_t crc32cTable(uint32_t seed, const uint8_t* data, size_t len);

/** 8 bytes, the number in little-endian order. */
void xxh3_64(const uint8_t* data, size_t len, uint8_t* out);
/** 16 bytes: lower, then upper half, both little-endian. */
void xxh3_128(const uint8_t* data, size_t len, uint8_t* out);

/** Bytes a HashKind produces, 0 for an unknown kind. */
int32_t digestBytes(int32_t kind);
void digest(int32_t kind, const uint8_t* data, size_t len, uint8_t* out);

}  // namespace mars
