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
import { crc32cPieces, crc32Pieces, PIECES } from './crc.js';
import type { PieceSums } from './crc.js';
import { FLAG, TRAILER } from './layout.js';
import type { LogArea } from './layout.js';

export type DigestName = 'crc32c' | 'crc32' | 'md5' | 'sha1' | 'md5-old';
export type { PieceSums } from './crc.js';

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
  crc32c8(area: LogArea, at: number, len: number, out: PieceSums): void;
  crc32x8(area: LogArea, at: number, len: number, out: PieceSums): void;
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
  crc32c8: (area, at, len, out) => crc32cPieces(area.view, at, len, out),
  crc32x8: (area, at, len, out) => crc32Pieces(area.view, at, len, out),
  md5: (area, at, len) => hash('md5', area, at, len),
  sha1: (area, at, len) => hash('sha1', area, at, len),
};

/** The native function fills `out` with eight CRC-32C sums of `bytes[at, at + len)`. */
export type NativeCrc32c8 = (bytes: Uint8Array, at: number, len: number, out: PieceSums) => void;

/** The portable engine with the addon's crc32c in place of ours. */
export function nativeDigestEngine(crc32c8: NativeCrc32c8): DigestEngine {
  return { ...portableDigestEngine, crc32c8: (area, at, len, out) => crc32c8(area.bytes, at, len, out) };
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
  private readonly sums: PieceSums = new Uint32Array(PIECES);
  private readonly words = new Int32Array(PIECES);

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
    this.engine.crc32c8(area, at, len, this.sums);
    return this.fold(this.sums);
  }

  private crc32(area: LogArea, at: number, len: number): boolean {
    this.engine.crc32x8(area, at, len, this.sums);
    return this.fold(this.sums);
  }

  private md5Halves(area: LogArea, at: number, len: number): boolean {
    if (len & 1) return false;
    const half = len >>> 1;
    this.words.fill(0);
    this.load(this.engine.md5(area, at, half), 0);
    this.load(this.engine.md5(area, at + half, half), 4);
    return this.fold(this.words);
  }

  private md5Prefix(area: LogArea, at: number, len: number): boolean {
    this.words.fill(0);
    this.fold(this.words);
    this.load(this.engine.md5(area, at, len), 0);
    this.prefix = this.words[0]!;
    return true;
  }

  private sha1(area: LogArea, at: number, len: number): boolean {
    this.words.fill(0);
    this.load(this.engine.sha1(area, at, len), 0);
    return this.fold(this.words);
  }

  private load(digest: Uint8Array, firstWord: number): void {
    for (let i = 0; i < digest.length; i += 4) {
      this.words[firstWord + (i >>> 2)] =
        digest[i]! | (digest[i + 1]! << 8) | (digest[i + 2]! << 16) | (digest[i + 3]! << 24);
    }
  }

  private fold(d: Uint32Array | Int32Array): boolean {
    this.word0 = d[0]! ^ d[4]!;
    this.word1 = d[1]! ^ d[5]!;
    this.word2 = d[2]! ^ d[6]!;
    this.word3 = d[3]! ^ d[7]!;
    return true;
  }
}

/** The best of the digests whose bits are set in `flags`, or null. Unknown bits are not looked at. */
export function preferredDigest(flags: number): DigestName | null {
  if (flags & FLAG.crc32c) return 'crc32c'; // the usual case first: this runs once per record
  for (const name of DIGEST_PREFERENCE) if (flags & DIGEST_FLAG[name]) return name;
  return null;
}
