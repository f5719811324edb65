import { EFAULT, EINVAL, RING_COMPARE, RING_COPY, RING_HASH, RING_ZERO } from '@mars/brick-core';
import { digest, DIGEST_BYTES } from './digest.js';

const KIND_MASK = 0xff;

/** A byte range of the arena; the same check as the addon's, so that a wrong offset fails the same way everywhere. */
export function isInside(bytes: Uint8Array, offset: number, length: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= bytes.length;
}

/** HASH, COPY, ZERO, COMPARE. @param other the 64-bit offset field: the second address */
export function runMemoryOp(
  bytes: Uint8Array,
  code: number,
  buf: number,
  len: number,
  other: number,
  flags: number,
): number {
  if (!isInside(bytes, buf, len)) return -EFAULT;
  switch (code) {
    case RING_ZERO:
      bytes.fill(0, buf, buf + len);
      return 0;
    case RING_HASH: {
      const kind = flags & KIND_MASK;
      const digestBytes = DIGEST_BYTES[kind];
      if (digestBytes === undefined) return -EINVAL;
      if (!isInside(bytes, other, digestBytes)) return -EFAULT;
      digest(kind, bytes, buf, len, other);
      return 0;
    }
    case RING_COPY:
      if (!isInside(bytes, other, len)) return -EFAULT;
      bytes.copyWithin(other, buf, buf + len);
      return 0;
    case RING_COMPARE:
      return isInside(bytes, other, len) ? firstDifference(bytes, buf, other, len) : -EFAULT;
    default:
      return -EINVAL;
  }
}

function firstDifference(bytes: Uint8Array, one: number, other: number, len: number): number {
  for (let i = 0; i < len; i++) if (bytes[one + i] !== bytes[other + i]) return i + 1;
  return 0;
}
