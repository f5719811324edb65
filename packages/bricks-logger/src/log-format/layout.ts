/**
 * Names for every offset, size, magic and limit of a log record. All integers are little-endian, nothing is aligned.
 *
 * ```text
 *  at                at+48                    at+48+P            at+84+P
 *  | header (48)     | payload area (P)       | trailer (36)     | next record
 *  | magic … code    | payload [+ 0…7 zeros]  | magic … check16  |
 * ```
 *
 * Source: transaction-log.md 1.1–1.5; docs/formats/log.md
 */

export const HEADER_BYTES = 48;
export const TRAILER_BYTES = 36;
export const OVERHEAD_BYTES = HEADER_BYTES + TRAILER_BYTES;

/** Header fields, from the start of the record. */
export const HEADER = {
  magic: 0, //        u64
  version: 8, //      u8
  valid: 9, //        u8
  totalLen: 10, //    i16
  stampSec: 12, //    i64
  stampNsec: 20, //   i64
  pos: 28, //         i64
  storedLen: 36, //   i16
  expandedLen: 38, // i16
  spare1: 40, //      i32
  code: 44, //        i16
  spare2: 46, //      i16
} as const;

/** Trailer fields, from the end of the payload area. */
export const TRAILER = {
  magic: 0, //      u64
  check32: 8, //    u32
  valid: 12, //     u8
  spare: 13, //     u8
  flags: 14, //     u16
  seq: 16, //       u32
  check16: 20, //   16 bytes
} as const;

export const CHECK16_BYTES = 16;

// Magics as two little-endian words: a bigint per record would cost an allocation.
export const START_MAGIC_LO = 0xd9177957;
export const START_MAGIC_HI = 0xa8f7e908;
export const END_MAGIC_LO = 0x4ab5726d;
export const END_MAGIC_HI = 0x74941fb7;
/** First byte of a start magic on disk; what a forward search looks for. */
export const START_MAGIC_FIRST_BYTE = 0x57;

/** The only version that was ever used. */
export const FORMAT_VERSION = 1;

export const CODE_UNKNOWN = 0;
/** The only code that replay applies. */
export const CODE_NEW_DATA = 1;
/** Pre-image of a write; valid, never applied. */
export const CODE_OLD_DATA = 2;

/** Largest value of the i16 field totalLen. */
export const MAX_TOTAL_LEN = 32767;
/** Largest stored payload a reader has to accept, bytes. */
export const MAX_PAYLOAD_LEN = MAX_TOTAL_LEN - OVERHEAD_BYTES;
export const MIN_PAYLOAD_LEN = 1;
/** Writers emit whole sectors; readers must not rely on it. */
export const WRITER_UNIT_BYTES = 512;
/** Largest payload a writer may emit: the largest multiple of 512 that fits the i16 length. */
export const WRITER_MAX_PAYLOAD_LEN = MAX_PAYLOAD_LEN - (MAX_PAYLOAD_LEN % WRITER_UNIT_BYTES);
/** Largest payload the writers of the original emit: one page. */
export const CLASSIC_MAX_PAYLOAD_LEN = 4096;
/** The original's idea of one maximal record; an incomplete tail shorter than this needs no polling. */
export const TAIL_TOLERANCE_BYTES = CLASSIC_MAX_PAYLOAD_LEN + OVERHEAD_BYTES;

/** Compressed payload areas are padded to this. */
export const COMPRESSED_ALIGN_BYTES = 8;
/** Largest expandedLen that passes the plausibility rule. */
export const MAX_EXPANDED_LEN = 32768;
export const EXPANDED_UNIT_BYTES = 512;

/** Records start at multiples of this while all payloads are multiples of 4 (always, in logs of the known writers). */
export const RESYNC_STEP_BYTES = 4;

/** Sequence of the first record of a file; 0 means "unknown". */
export const FIRST_SEQ = 1;

/** Bits of the trailer field `flags`: the cluster-wide feature bits shifted right by 16. */
export const FLAG = {
  md5Old: 0x0001,
  md5: 0x0002,
  crc32c: 0x0004,
  crc32: 0x0008,
  sha1: 0x0010,
  lzo: 0x0100,
  lz4: 0x0200,
  zlib: 0x0400,
} as const;

export const DIGEST_FLAGS = FLAG.md5Old | FLAG.md5 | FLAG.crc32c | FLAG.crc32 | FLAG.sha1;
export const COMPRESSION_FLAGS = FLAG.lzo | FLAG.lz4 | FLAG.zlib;
export const KNOWN_FLAGS = DIGEST_FLAGS | COMPRESSION_FLAGS;

/** A piece of memory seen both ways; `bytes` and `view` cover exactly the same range. */
export interface LogArea {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Both views over one piece of memory. Make them once and keep them: they are the only allocation of this module. */
export function areaOf(bytes: Uint8Array): LogArea {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

export function roundUp8(len: number): number {
  return (len + 7) & ~7;
}

/** Sequence that follows `seq` in a file; wraps at 2^32. */
export function nextSeq(seq: number): number {
  return (seq + 1) >>> 0;
}

/** The i64 at `at` as a double: exact up to 2^53, and always of the right sign. */
export function getI64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

/** Writes an integer of at most 53 bits as i64. */
export function setI64(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / 4294967296);
  view.setUint32(at, value - high * 4294967296, true);
  view.setInt32(at + 4, high, true);
}
