import { OP_CACHE, OP_DIGESTS, OP_EXTENTS, OP_FLUSH, OP_READ, type Support, type XioInfo } from '@mars/brick-core';
import { defineStruct, t, type MessageOf } from '@mars/wire';

/**
 * What client and server say to each other, on channels of the purpose `bricks`.
 *
 * ```
 *   client                                   server
 *   open {session, lane, export, write}  →
 *                                        ←   opened {errno, info, credits, bootId}     after everything of an older channel
 *                                                                                      of this lane has been answered below
 *   request {id, op, flags, …} + payload →
 *                                        ←   reply {id, err, len} + payload            in any order
 *                                        ←   info {…}                                  the export has changed
 * ```
 * Source: bricks.md 2.10, 3.5, 3.7; transaction-log.md 6
 */
export const PURPOSE_BRICKS = 'bricks';

/** What a client without write access may do; bits `1 << OP_*`. */
export const READS = (1 << OP_READ) | (1 << OP_FLUSH) | (1 << OP_EXTENTS) | (1 << OP_CACHE) | (1 << OP_DIGESTS);

/** What an export offers; the fields of `XioInfo`. */
export const INFO = defineStruct('net.info', {
  size: t.float,
  align: t.int,
  preferred: t.int,
  maxLen: t.int,
  caps: t.int,
  fua: t.int,
  zero: t.int,
  cache: t.int,
});
export type InfoMessage = MessageOf<typeof INFO>;

export const OPEN = defineStruct('net.open', {
  /** Random; the same on all lanes and for all the life of a client. */
  session: t.str,
  /** 0 carries everything that changes something; the others only reads. */
  lane: t.int,
  export: t.str,
  write: t.bool,
});

export const OPENED = defineStruct('net.opened', {
  /** 0, or a positive errno. */
  errno: t.int,
  text: t.str,
  info: t.struct(INFO),
  creditRequests: t.int,
  creditBytes: t.int,
  /** Changes when the host has been restarted: what was not flushed before may be lost. */
  bootId: t.str,
});

/** Payload: the data of a WRITE. */
export const REQUEST = defineStruct('net.request', {
  id: t.int,
  op: t.int,
  flags: t.int,
  prio: t.int,
  pos: t.float,
  len: t.float,
});

/** Payload: the data of a READ, the records of EXTENTS, the digests of DIGESTS. */
export const REPLY = defineStruct('net.reply', {
  id: t.int,
  /** 0 or a negative errno. */
  err: t.int,
  flags: t.int,
  /** As the provider left it. */
  len: t.float,
});

export function infoMessage(info: Readonly<XioInfo>): InfoMessage {
  const { size, align, preferred, maxLen, caps, fua, zero, cache } = info;
  return { size, align, preferred, maxLen, caps, fua, zero, cache };
}

/** What a peer says is checked: nonsense from outside must not reach the seams of our stack. */
export function readInfo(message: InfoMessage, into: XioInfo): boolean {
  const { size, align, preferred, maxLen, caps, fua, zero, cache } = message;
  const isPower = (n: number): boolean => Number.isInteger(n) && n > 0 && (n & (n - 1)) === 0;
  const isSupport = (n: number): boolean => n === 0 || n === 1 || n === 2;
  if (!Number.isSafeInteger(size) || size < 0 || !isPower(align) || !isPower(preferred)) return false;
  if (!Number.isInteger(maxLen) || maxLen < align || ![fua, zero, cache].every(isSupport)) return false;
  into.size = size;
  into.align = align;
  into.preferred = preferred;
  into.maxLen = maxLen;
  into.caps = caps | 0;
  into.fua = fua as Support;
  into.zero = zero as Support;
  into.cache = cache as Support;
  return true;
}
