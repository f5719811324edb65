/**
 * Writes log records into memory that the caller provides.
 *
 * Source: transaction-log.md 1.2–1.5
 */

import { invariant } from '@mars/brick-core';
import { COMPRESSION_FLAG, PayloadCompressor, ZLIB_LEVEL } from './compression.js';
import type { CompressionName } from './compression.js';
import { DIGEST_FLAG, Digester, portableDigestEngine } from './digests.js';
import type { DigestEngine, DigestName } from './digests.js';
import {
  CODE_NEW_DATA,
  END_MAGIC_HI,
  END_MAGIC_LO,
  FIRST_SEQ,
  FORMAT_VERSION,
  HEADER,
  HEADER_BYTES,
  MAX_PAYLOAD_LEN,
  MIN_PAYLOAD_LEN,
  OVERHEAD_BYTES,
  START_MAGIC_HI,
  START_MAGIC_LO,
  TRAILER,
  WRITER_MAX_PAYLOAD_LEN,
  WRITER_UNIT_BYTES,
  roundUp8,
  setI64,
} from './layout.js';
import type { LogArea } from './layout.js';

/** What stands in a record beside its payload. One object, reused by the caller for every record. */
export interface RecordMeta {
  /** Whole seconds of the Lamport stamp, exact up to 2^53. */
  stampSec: number;
  /** 0…999 999 999. */
  stampNsec: number;
  /** Byte offset on the device, exact up to 2^53. */
  pos: number;
  code: number;
  /** 1 for the first record of a file; see `nextSeq`. */
  seq: number;
}

export interface EncoderOptions {
  /** In order of wish; only what every reader of the log supports. Default: crc32c alone. */
  readonly digests?: readonly DigestName[];
  readonly compression?: CompressionName | 'none';
  readonly zlibLevel?: number;
  readonly engine?: DigestEngine;
}

export function newRecordMeta(): RecordMeta {
  return { stampSec: 0, stampNsec: 0, pos: 0, code: CODE_NEW_DATA, seq: FIRST_SEQ };
}

/** Puts a stamp given in nanoseconds since the epoch into `meta`. Allocates; the hot path sets the two numbers. */
export function setStampNs(meta: RecordMeta, stampNs: bigint): void {
  meta.stampSec = Number(stampNs / 1_000_000_000n);
  meta.stampNsec = Number(stampNs % 1_000_000_000n);
}

/** Whether our writers may emit a payload of this length; the encoder itself takes every length a reader accepts. */
export function isWriterPayloadLen(len: number): boolean {
  return len >= WRITER_UNIT_BYTES && len <= WRITER_MAX_PAYLOAD_LEN && len % WRITER_UNIT_BYTES === 0;
}

/** Room that a payload of `len` bytes needs at most, compressed or not. */
export function recordRoomBytes(len: number): number {
  return OVERHEAD_BYTES + len;
}

/**
 * Encodes records one after the other. Owns scratch memory (about 100 KiB with compression), nothing per record;
 * crc32c and crc32 without compression allocate nothing as long as source and target are the same memory.
 */
export class RecordEncoder {
  private readonly digester: Digester;
  private readonly digests: readonly DigestName[];
  private readonly compression: CompressionName | 'none';
  private readonly compressor: PayloadCompressor | null;

  constructor(options: EncoderOptions = {}) {
    this.digester = new Digester(options.engine ?? portableDigestEngine);
    this.digests = options.digests ?? ['crc32c'];
    this.compression = options.compression ?? 'none';
    this.compressor = this.compression === 'none' ? null : new PayloadCompressor(options.zlibLevel ?? ZLIB_LEVEL);
  }

  /**
   * Writes one record at `target[at, …)`. The payload may already stand in its place (`source` = `target`,
   * `sourceAt` = `at + 48`); then only the frame is written around it.
   *
   * @param end  exclusive bound of the target; room for the uncompressed record is required
   * @param len  payload length, 1…32683 bytes
   * @returns total length of the record in bytes; the next one begins right behind
   */
  encode(
    target: LogArea,
    at: number,
    end: number,
    meta: RecordMeta,
    source: LogArea,
    sourceAt: number,
    len: number,
  ): number {
    invariant(len >= MIN_PAYLOAD_LEN && len <= MAX_PAYLOAD_LEN, 'payload length out of range');
    invariant(at >= 0 && end <= target.bytes.length, 'target outside of its memory');
    invariant(at + recordRoomBytes(len) <= end, 'no room for the record');
    invariant(sourceAt >= 0 && sourceAt + len <= source.bytes.length, 'payload outside of its memory');
    const digest = this.digest(source, sourceAt, len);
    const compressedLen = this.compress(source.bytes, sourceAt, len);
    const storedLen = compressedLen === 0 ? len : compressedLen;
    const areaLen = compressedLen === 0 ? len : roundUp8(compressedLen);
    const payloadAt = at + HEADER_BYTES;
    if (compressedLen === 0) copyPayload(target, payloadAt, source, sourceAt, len);
    else this.storeCompressed(target.bytes, payloadAt, compressedLen, areaLen);
    const flags = DIGEST_FLAG[digest] | (compressedLen === 0 ? 0 : this.compressionFlag);
    this.putTrailer(target.view, payloadAt + areaLen, flags, meta.seq);
    putHeader(target.view, at, OVERHEAD_BYTES + areaLen, meta, storedLen, compressedLen === 0 ? 0 : len);
    return OVERHEAD_BYTES + areaLen;
  }

  private get compressionFlag(): number {
    return this.compression === 'none' ? 0 : COMPRESSION_FLAG[this.compression];
  }

  /** Computes the first digest of the list that works for this payload; there is always one. */
  private digest(source: LogArea, at: number, len: number): DigestName {
    for (let i = 0; i < this.digests.length; i++) {
      const name = this.digests[i]!;
      if (this.digester.compute(name, source, at, len) && !this.isLostPrefix(name)) return name;
    }
    if (this.digester.compute('md5-old', source, at, len) && !this.isLostPrefix('md5-old')) return 'md5-old';
    // An MD5 that starts with four zero bytes reads as "no checksum". Every reader that checks flags knows crc32c.
    this.digester.compute('crc32c', source, at, len);
    return 'crc32c';
  }

  private isLostPrefix(name: DigestName): boolean {
    return name === 'md5-old' && this.digester.prefix === 0;
  }

  private compress(source: Uint8Array, at: number, len: number): number {
    if (this.compressor === null || this.compression === 'none') return 0;
    return this.compressor.compress(this.compression, source, at, len);
  }

  /** Padding is zero: the original leaves stale data there (transaction-log.md 1.5, D13). */
  private storeCompressed(target: Uint8Array, at: number, len: number, areaLen: number): void {
    const from = this.compressor!.scratch.bytes;
    for (let i = 0; i < len; i++) target[at + i] = from[i]!;
    for (let i = len; i < areaLen; i++) target[at + i] = 0;
  }

  private putTrailer(view: DataView, at: number, flags: number, seq: number): void {
    view.setUint32(at + TRAILER.magic, END_MAGIC_LO, true);
    view.setUint32(at + TRAILER.magic + 4, END_MAGIC_HI, true);
    view.setUint8(at + TRAILER.valid, 1);
    view.setUint8(at + TRAILER.spare, 0);
    view.setUint16(at + TRAILER.flags, flags, true);
    view.setUint32(at + TRAILER.seq, seq, true);
    this.digester.store(view, at);
  }
}

/** The payload is in its place already, or in the same memory, or (with one small allocation) somewhere else. */
function copyPayload(target: LogArea, at: number, source: LogArea, sourceAt: number, len: number): void {
  if (target.bytes === source.bytes) {
    if (at !== sourceAt) target.bytes.copyWithin(at, sourceAt, sourceAt + len);
  } else {
    target.bytes.set(source.bytes.subarray(sourceAt, sourceAt + len), at);
  }
}

/** The valid flag comes last: until then a reader of this memory sees a record under construction. */
function putHeader(
  view: DataView,
  at: number,
  totalLen: number,
  meta: RecordMeta,
  storedLen: number,
  expandedLen: number,
): void {
  view.setUint8(at + HEADER.valid, 0);
  view.setUint32(at + HEADER.magic, START_MAGIC_LO, true);
  view.setUint32(at + HEADER.magic + 4, START_MAGIC_HI, true);
  view.setUint8(at + HEADER.version, FORMAT_VERSION);
  view.setInt16(at + HEADER.totalLen, totalLen, true);
  setI64(view, at + HEADER.stampSec, meta.stampSec);
  setI64(view, at + HEADER.stampNsec, meta.stampNsec);
  setI64(view, at + HEADER.pos, meta.pos);
  view.setInt16(at + HEADER.storedLen, storedLen, true);
  view.setInt16(at + HEADER.expandedLen, expandedLen, true);
  view.setInt32(at + HEADER.spare1, 0, true);
  view.setInt16(at + HEADER.code, meta.code, true);
  view.setInt16(at + HEADER.spare2, 0, true);
  view.setUint8(at + HEADER.valid, 1);
}
