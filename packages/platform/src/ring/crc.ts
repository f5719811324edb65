/** CRC sums for machines without the addon: slicing by 4, in TypeScript. */

const CRC32C = tables(0x82f63b78);
const CRC32 = tables(0xedb88320);

function tables(polynomial: number): Int32Array {
  const t = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    t[byte] = crc;
  }
  for (let i = 256; i < t.length; i++) t[i] = (t[i - 256]! >>> 8) ^ t[t[i - 256]! & 255]!;
  return t;
}

function run(t: Int32Array, bytes: Uint8Array, from: number, len: number, start: number): number {
  let crc = start;
  let at = from;
  const end = from + len;
  for (const bulk = end - (len & 3); at < bulk; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc = t[768 + (crc & 255)]! ^ t[512 + ((crc >>> 8) & 255)]! ^ t[256 + ((crc >>> 16) & 255)]! ^ t[crc >>> 24]!;
  }
  for (; at < end; at++) crc = t[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return crc;
}

/** The usual CRC-32C: "123456789" gives 0xE3069283. `seed` is the sum of what came before. */
export function crc32c(bytes: Uint8Array, offset: number, length: number, seed = 0): number {
  return ~run(CRC32C, bytes, offset, length, ~seed) >>> 0;
}

/** The log format's own crc32: no initial value, no final inversion. Source: transaction-log.md 1.4 */
export function crc32(bytes: Uint8Array, offset: number, length: number, seed = 0): number {
  return run(CRC32, bytes, offset, length, seed) >>> 0;
}
