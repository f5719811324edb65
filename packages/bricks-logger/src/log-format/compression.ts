/**
 * The three payload compressions of log records, and the rules for when their result may be used.
 *
 * Source: transaction-log.md 1.5
 */

import { deflateSync, inflateSync } from 'node:zlib';
import { Lz4Compressor, lz4Decompress } from './lz4.js';
import { LzoCompressor, lzoDecompress } from './lzo.js';
import { CODEC_FAILED } from './match-finder.js';
import { EXPANDED_UNIT_BYTES, FLAG, MAX_EXPANDED_LEN, areaOf } from './layout.js';
import type { LogArea } from './layout.js';

export type CompressionName = 'lzo' | 'lz4' | 'zlib';

/** Best first; only the first allowed one is tried. */
export const COMPRESSION_PREFERENCE: readonly CompressionName[] = ['lzo', 'lz4', 'zlib'];

export const COMPRESSION_FLAG: Readonly<Record<CompressionName, number>> = {
  lzo: FLAG.lzo,
  lz4: FLAG.lz4,
  zlib: FLAG.zlib,
};

export const ZLIB_LEVEL = 3;
const ZLIB_WINDOW_BITS = 15;

/** The best compression whose bit is set in `flags`, or null. */
export function preferredCompression(flags: number): CompressionName | null {
  for (const name of COMPRESSION_PREFERENCE) if (flags & COMPRESSION_FLAG[name]) return name;
  return null;
}

/** Whether a reader would accept a compressed record of these lengths. */
export function isPlausibleExpandedLen(expandedLen: number, storedLen: number): boolean {
  return expandedLen <= MAX_EXPANDED_LEN && expandedLen > storedLen && expandedLen % EXPANDED_UNIT_BYTES === 0;
}

/** Compresses payloads into its own memory, which stays valid until the next call. */
export class PayloadCompressor {
  readonly scratch: LogArea = areaOf(new Uint8Array(MAX_EXPANDED_LEN));
  private readonly lzo = new LzoCompressor();
  private readonly lz4 = new Lz4Compressor();

  constructor(private readonly zlibLevel: number = ZLIB_LEVEL) {}

  /**
   * @returns compressed length, now at `scratch[0, …)`, or 0 if the payload has to be stored plain: because nothing
   *          would be saved after padding to 8 bytes, or because readers refuse expanded lengths of this kind
   */
  compress(name: CompressionName, source: Uint8Array, at: number, len: number): number {
    if (len > MAX_EXPANDED_LEN || len % EXPANDED_UNIT_BYTES !== 0) return 0;
    const roomBytes = (len - 1) & ~7; // the longest result whose padded length is still below len
    const out = this.scratch.bytes;
    if (name === 'lzo') return Math.max(0, this.lzo.compress(source, at, len, out, 0, roomBytes));
    if (name === 'lz4') return Math.max(0, this.lz4.compress(source, at, len, out, 0, roomBytes));
    const stream = deflateSync(source.subarray(at, at + len), { level: this.zlibLevel, windowBits: ZLIB_WINDOW_BITS });
    if (stream.length > roomBytes) return 0;
    out.set(stream);
    return stream.length;
  }
}

/** Expands payloads into its own memory, which stays valid until the next call. */
export class PayloadExpander {
  readonly scratch: LogArea = areaOf(new Uint8Array(MAX_EXPANDED_LEN));

  /** @returns true if the stream is sound and has exactly `expandedLen` bytes, now at `scratch[0, expandedLen)` */
  expand(name: CompressionName, source: Uint8Array, at: number, storedLen: number, expandedLen: number): boolean {
    const out = this.scratch.bytes;
    const end = at + storedLen;
    if (name === 'lzo') return lzoDecompress(source, at, end, out, 0, expandedLen) === expandedLen;
    if (name === 'lz4') return lz4Decompress(source, at, end, out, 0, expandedLen) === expandedLen;
    return this.inflate(source, at, end, expandedLen) === expandedLen;
  }

  private inflate(source: Uint8Array, at: number, end: number, expandedLen: number): number {
    try {
      const plain = inflateSync(source.subarray(at, end), { maxOutputLength: expandedLen });
      this.scratch.bytes.set(plain);
      return plain.length;
    } catch {
      return CODEC_FAILED; // node reports damage and excess length by throwing; both are ordinary outcomes here
    }
  }
}
