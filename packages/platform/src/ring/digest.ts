import { createXXHash128, createXXHash3, type IHasher } from 'hash-wasm';
import {
  RING_HASH_CRC32,
  RING_HASH_CRC32_8,
  RING_HASH_CRC32C,
  RING_HASH_CRC32C8,
  RING_HASH_XXH3_128,
  RING_HASH_XXH3_64,
} from '@mars/brick-core';
import { native } from '../native.js';
import { crc32, crc32c } from './crc.js';

/** Bytes of each digest, by kind. Source: native/index.d.ts, HASH */
export const DIGEST_BYTES: readonly number[] = [4, 4, 32, 32, 8, 16];

export type DigestFunction = (kind: number, bytes: Uint8Array, offset: number, len: number, into: number) => void;

// Compiled before the first ring opens, so that digests stay synchronous; only where the addon does not compute them.
const xxh64: IHasher | null = native ? null : await createXXHash3();
const xxh128: IHasher | null = native ? null : await createXXHash128();

/** Digest of `bytes[offset, offset + len)` to `bytes[into]`; kind and ranges are checked by the caller. */
export const digest: DigestFunction = native
  ? (kind, bytes, offset, len, into) => void native!.digest(kind as 0, bytes, offset, len, bytes, into)
  : digestInScript;

/** The same without the addon (exported for tests). */
export function digestInScript(kind: number, bytes: Uint8Array, offset: number, len: number, into: number): void {
  switch (kind) {
    case RING_HASH_CRC32C:
      return put(bytes, into, crc32c(bytes, offset, len));
    case RING_HASH_CRC32:
      return put(bytes, into, crc32(bytes, offset, len));
    case RING_HASH_CRC32C8:
      return pieces(crc32c, bytes, offset, len, into);
    case RING_HASH_CRC32_8:
      return pieces(crc32, bytes, offset, len, into);
    case RING_HASH_XXH3_64:
      return putReversed(bytes, into, hashed(xxh64!, bytes, offset, len));
    case RING_HASH_XXH3_128:
      return putReversed(bytes, into, hashed(xxh128!, bytes, offset, len));
  }
}

type Sum = (bytes: Uint8Array, offset: number, len: number) => number;

/** Seven pieces of an eighth each, the last one takes the remainder. Source: transaction-log.md 1.4 */
function pieces(sum: Sum, bytes: Uint8Array, offset: number, len: number, into: number): void {
  const step = len >>> 3;
  // All sums before the first store: the digest may lie inside the data.
  const sums = Array.from({ length: 8 }, (_, k) => sum(bytes, offset + k * step, k < 7 ? step : len - 7 * step));
  sums.forEach((value, k) => put(bytes, into + 4 * k, value));
}

function hashed(hasher: IHasher, bytes: Uint8Array, offset: number, len: number): Uint8Array {
  return hasher
    .init()
    .update(bytes.subarray(offset, offset + len))
    .digest('binary');
}

function put(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** The library gives the canonical form, most significant byte first; the ring's is little-endian, lower half first. */
function putReversed(bytes: Uint8Array, at: number, value: Uint8Array): void {
  for (let i = 0; i < value.length; i++) bytes[at + i] = value[value.length - 1 - i]!;
}
