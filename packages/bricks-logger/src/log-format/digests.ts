/**
 * The five payload digests of log records: how each is computed, folded into the trailer and compared.
 *
 * ```text
 *  D, 32 bytes:   crc32c, crc32  c0 c1 c2 c3 c4 c5 c6 c7   (eight u32, one per piece of the payload)
 *                 md5            MD5(first half) MD5(second half)
 *                 sha1           SHA-1, then 12 zeros
 *                 md5-old        MD5, then 16 zeros        (not folded: its first four bytes go to check32)
 *  check16[i] = D[i] XOR D[i + 16]
 * ```
 *
 * Source: transaction-log.md 1.4
 */

import { createHash } from 'node:crypto';
import { SUMS_BYTES, crc32Pieces, crc32cPieces } from './crc.js';
import { FLAG, TRAILER, areaOf } from './layout.js';
import type { LogArea } from './layout.js';

export type DigestName = 'crc32c' | 'crc32' | 'md5' | 'sha1' | 'md5-old';

/** Best first: what to take when several are allowed. */
export const DIGEST_PREFERENCE: readonly DigestName[] = ['crc32c', 'crc32', 'md5', 'sha1', 'md5-old'];

export const DIGEST_FLAG: Readonly<Record<DigestName, number>> = {
  crc32c: FLAG.crc32c,
  crc32: FLAG.crc32,
  md5: FLAG.md5,
  sha1: FLAG.sha1,
  'md5-old': FLAG.md5Old,
};

/** What the platform may do faster than we can. Ranges lie inside `area`; nothing is kept after the call. */
export interface DigestEngine {
  /** Fills `out[0, 32)` with the eight CRC-32C sums. */
  crc32c8(area: LogArea, at: number, len: number, out: LogArea): void;
  /** The same with the original's own crc32. */
  crc32x8(area: LogArea, at: number, len: number, out: LogArea): void;
  /** 16 bytes. */
  md5(area: LogArea, at: number, len: number): Uint8Array;
  /** 20 bytes. */
  sha1(area: LogArea, at: number, len: number): Uint8Array;
}

function hash(name: string, area: LogArea, at: number, len: number): Uint8Array {
  return createHash(name)
    .update(area.bytes.subarray(at, at + len))
    .digest();
}

/** Plain TypeScript and node:crypto; runs everywhere. */
export const portableDigestEngine: DigestEngine = {
  crc32c8: (area, at, len, out) => crc32cPieces(area.view, at, len, out.view),
  crc32x8: (area, at, len, out) => crc32Pieces(area.view, at, len, out.view),
  md5: (area, at, len) => hash('md5', area, at, len),
  sha1: (area, at, len) => hash('sha1', area, at, len),
};

/** Writes eight sums of `bytes[offset, offset + length)` to `out[0, 32)`. */
export type NativeSums = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Uint8Array,
  outOffset?: number,
) => unknown;

/** The part of the addon that matters here. */
export interface NativeDigests {
  readonly crc32c8: NativeSums;
  readonly crc32_8?: NativeSums;
}

/** The portable engine with the addon's checksums in place of ours. */
export function nativeDigestEngine(native: NativeDigests): DigestEngine {
  const { crc32c8, crc32_8 } = native;
  return {
    ...portableDigestEngine,
    crc32c8: (area, at, len, out) => void crc32c8(area.bytes, at, len, out.bytes, 0),
    ...(crc32_8 && { crc32x8: (area, at, len, out) => void crc32_8(area.bytes, at, len, out.bytes, 0) }),
  };
}

/**
 * Computes one digest at a time into its own scratch memory and leaves the folded form in `word0…3`
 * (little-endian words of check16) and `prefix` (check32). No allocation for crc32c and crc32.
 */
export class Digester {
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  /** First four MD5 bytes as a little-endian word; 0 for every digest but md5-old. */
  prefix = 0;
  /** The buffer D. */
  private readonly d = areaOf(new Uint8Array(SUMS_BYTES));

  constructor(private readonly engine: DigestEngine) {}

  /** @returns false if this digest cannot be computed for this length: md5 of an odd one */
  compute(digest: DigestName, area: LogArea, at: number, len: number): boolean {
    this.prefix = 0;
    if (digest === 'crc32c') return this.crc32c(area, at, len);
    if (digest === 'crc32') return this.crc32(area, at, len);
    if (digest === 'md5') return this.md5Halves(area, at, len);
    if (digest === 'sha1') return this.sha1(area, at, len);
    return this.md5Prefix(area, at, len);
  }

  /** Whether the computed check16 is that of the trailer at `trailerAt`. */
  matchesCheck16(view: DataView, trailerAt: number): boolean {
    const at = trailerAt + TRAILER.check16;
    return (
      view.getInt32(at, true) === this.word0 &&
      view.getInt32(at + 4, true) === this.word1 &&
      view.getInt32(at + 8, true) === this.word2 &&
      view.getInt32(at + 12, true) === this.word3
    );
  }

  matchesCheck32(view: DataView, trailerAt: number): boolean {
    return view.getInt32(trailerAt + TRAILER.check32, true) === this.prefix;
  }

  /** Whether the computed check16 is all zero and therefore proves little (constant and periodic payloads). */
  get isZero(): boolean {
    return (this.word0 | this.word1 | this.word2 | this.word3) === 0;
  }

  store(view: DataView, trailerAt: number): void {
    view.setInt32(trailerAt + TRAILER.check32, this.prefix, true);
    const at = trailerAt + TRAILER.check16;
    view.setInt32(at, this.word0, true);
    view.setInt32(at + 4, this.word1, true);
    view.setInt32(at + 8, this.word2, true);
    view.setInt32(at + 12, this.word3, true);
  }

  private crc32c(area: LogArea, at: number, len: number): boolean {
    this.engine.crc32c8(area, at, len, this.d);
    return this.fold();
  }

  private crc32(area: LogArea, at: number, len: number): boolean {
    this.engine.crc32x8(area, at, len, this.d);
    return this.fold();
  }

  private md5Halves(area: LogArea, at: number, len: number): boolean {
    if (len & 1) return false;
    const half = len >>> 1;
    this.d.bytes.set(this.engine.md5(area, at, half), 0);
    this.d.bytes.set(this.engine.md5(area, at + half, half), 16);
    return this.fold();
  }

  private sha1(area: LogArea, at: number, len: number): boolean {
    this.d.bytes.fill(0).set(this.engine.sha1(area, at, len));
    return this.fold();
  }

  private md5Prefix(area: LogArea, at: number, len: number): boolean {
    this.d.bytes.fill(0);
    this.fold();
    this.d.bytes.set(this.engine.md5(area, at, len));
    this.prefix = this.d.view.getInt32(0, true);
    return true;
  }

  private fold(): boolean {
    const { view } = this.d;
    this.word0 = view.getInt32(0, true) ^ view.getInt32(16, true);
    this.word1 = view.getInt32(4, true) ^ view.getInt32(20, true);
    this.word2 = view.getInt32(8, true) ^ view.getInt32(24, true);
    this.word3 = view.getInt32(12, true) ^ view.getInt32(28, true);
    return true;
  }
}

/** The best of the digests whose bits are set in `flags`, or null. Unknown bits are not looked at. */
export function preferredDigest(flags: number): DigestName | null {
  if (flags & FLAG.crc32c) return 'crc32c'; // the usual case first: this runs once per record
  for (const name of DIGEST_PREFERENCE) if (flags & DIGEST_FLAG[name]) return name;
  return null;
}
