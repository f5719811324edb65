import { EFAULT, EINVAL } from '@mars/brick-core';

/** Kinds of digest of the addon that the simulator computes as well: CRC-32C and CRC-32. The others answer EINVAL. */
const POLYNOMIALS = [0x82f63b78, 0xedb88320];
const tables: (Uint32Array | undefined)[] = [];

/** The HASH operation: digest of `len` bytes at `from`, little-endian at `to`. @returns 0 or a negative errno */
export function digestInto(u8: Uint8Array, from: number, len: number, to: number, kind: number): number {
  if (kind >= POLYNOMIALS.length) return -EINVAL;
  if (to < 0 || to + 4 > u8.length) return -EFAULT;
  const table = (tables[kind] ??= makeTable(POLYNOMIALS[kind]!));
  let crc = ~0;
  for (let i = from; i < from + len; i++) crc = table[(crc ^ u8[i]!) & 0xff]! ^ (crc >>> 8);
  const digest = ~crc >>> 0;
  for (let i = 0; i < 4; i++) u8[to + i] = digest >>> (8 * i);
  return 0;
}

function makeTable(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc;
  });
}
