import {
  CAP_EXTENTS,
  CAP_FAST_ZERO,
  CAP_FLUSH,
  CAP_ORDERED,
  CAP_REMOTE,
  CAP_ROTATIONAL,
  CAP_TRIM,
  CAP_WHOLE,
  CAP_WRITE,
  MAX_REQUEST_BYTES,
  SUPPORT_NATIVE,
  type XioInfo,
} from '@mars/brick-core';
import {
  CAN_CACHE,
  CAN_FAST_ZERO,
  CAN_FLUSH,
  CAN_FUA,
  CAN_READ_ONLY,
  CAN_ROTATIONAL,
  CAN_TRIM,
  CAN_WRITE_ZEROES,
} from '../nbd/protocol.js';
import type { ExportTerms } from './client-handshake.js';

/** Flags that consumers have been promised something by. */
const PROMISES = CAN_FLUSH | CAN_FUA | CAN_TRIM | CAN_WRITE_ZEROES | CAN_FAST_ZERO | CAN_CACHE;

/** What an export offers to bricks. */
export function offer(terms: ExportTerms, readonly: boolean, connections: number, into: XioInfo): void {
  const { flags, minBlockBytes, sizeBytes } = terms;
  into.size = sizeBytes - (sizeBytes % minBlockBytes);
  into.align = minBlockBytes;
  into.preferred = terms.preferredBlockBytes;
  into.maxLen = longestRequest(terms);
  into.caps = CAP_WHOLE | CAP_REMOTE;
  if (connections === 1) into.caps |= CAP_ORDERED;
  if (flags & CAN_ROTATIONAL) into.caps |= CAP_ROTATIONAL;
  if (terms.contextId >= 0) into.caps |= CAP_EXTENTS;
  if (flags & CAN_CACHE) into.cache = SUPPORT_NATIVE;
  if (readonly || flags & CAN_READ_ONLY) return;
  into.caps |= CAP_WRITE;
  if (flags & CAN_FLUSH) into.caps |= CAP_FLUSH;
  if (flags & CAN_TRIM) into.caps |= CAP_TRIM;
  if (flags & CAN_FUA) into.fua = SUPPORT_NATIVE;
  if (!(flags & CAN_WRITE_ZEROES)) return;
  into.zero = SUPPORT_NATIVE;
  if (flags & CAN_FAST_ZERO) into.caps |= CAP_FAST_ZERO;
}

function longestRequest({ maxBlockBytes, minBlockBytes }: ExportTerms): number {
  const bytes = Math.min(maxBlockBytes, MAX_REQUEST_BYTES);
  return bytes - (bytes % minBlockBytes);
}

/** Why an export cannot take the place of what it was before; null = it can. */
export function whyNotTheSame(before: ExportTerms, now: ExportTerms): string | null {
  if (now.sizeBytes !== before.sizeBytes)
    return `its size has changed from ${before.sizeBytes} to ${now.sizeBytes} bytes`;
  if (now.flags & CAN_READ_ONLY && !(before.flags & CAN_READ_ONLY)) return 'it has become read-only';
  if (before.flags & PROMISES & ~now.flags) return 'it does less than before (flush, FUA, trim, zero or cache)';
  if (before.contextId >= 0 && now.contextId < 0) return 'it tells no extents any more';
  if (now.minBlockBytes > before.minBlockBytes || longestRequest(now) < longestRequest(before))
    return 'its block sizes are stricter than before';
  return null;
}
