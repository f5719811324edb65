import { ANYTHING, FIRST_EXACT, SECTOR_BYTES } from '../verify/sector-history.js';

const WORDS = SECTOR_BYTES / 4;
const MAGIC = 0x53724d4c;
const HEAD_WORDS = 6;
const LAST_WORD = WORDS - 1;
/** Byte that fills the memory of a read before it is issued, so that a provider that fills nothing is found out. */
const POISON = 0xcd;
const POISON_WORD = 0xcdcdcdcd | 0;

/** Value of a sector full of zeroes in {@link SectorHistory}; the version V of a write is the value 4 V. */
export const ZEROES = FIRST_EXACT;
export const VALUES_PER_VERSION = 4;

/** What a sector turned out to be. */
export type Finding = 'version' | 'zeroes' | 'misplaced' | 'torn' | 'foreign' | 'unfilled';

/**
 * Contents of a sector that tell by themselves what they are:
 *
 * ```
 *   word   0      1 2       3 4        5     6 … 126                      127
 *        magic  sector   version      tag   start + k * step, both from   low half of version
 *               (u64)    (u64)              sector, version and tag
 * ```
 * `tag` mixes the seed with a number of this very run, so that left-overs of an earlier run with the same seed, which would
 * look exactly like what this run has written, are foreign. Words are in the byte order of the machine.
 */
export class SectorPattern {
  /** Sector number to write, or expected by {@link identify}. */
  sector = 0.5;
  /** Version to write, or found. */
  version = 0.5;
  /** Value found, for the history: {@link ZEROES}, 4 * version, or `ANYTHING` for what is not ours. */
  value = 0.5;
  /** Sector that foreign contents claim to be; for error texts. */
  claims = 0.5;
  private step = 0;
  private readonly words: Int32Array;

  constructor(
    memory: ArrayBuffer | SharedArrayBuffer,
    private readonly tag: number,
  ) {
    this.words = new Int32Array(memory, 0, memory.byteLength >>> 2);
    this.sector = this.version = this.value = this.claims = 0;
  }

  /** Writes the contents of `sector` and `version` at this arena offset (a multiple of 4). */
  fill(offset: number): void {
    const { words } = this;
    const at = offset >>> 2;
    words[at] = MAGIC;
    words[at + 1] = this.sector;
    words[at + 2] = this.sector / 2 ** 32;
    words[at + 3] = this.version;
    words[at + 4] = this.version / 2 ** 32;
    words[at + 5] = this.tag;
    let x = this.startOf(at);
    const step = this.step;
    for (let k = HEAD_WORDS; k < LAST_WORD; k++) {
      words[at + k] = x;
      x = (x + step) | 0;
    }
    words[at + LAST_WORD] = words[at + 3]!;
  }

  /** Tells what is at this arena offset, where `sector` is expected; sets `value`, and for error texts `version` and `claims`. */
  identify(offset: number): Finding {
    const { words } = this;
    const at = offset >>> 2;
    this.value = ANYTHING;
    if (words[at] !== MAGIC || words[at + 5] !== this.tag) return this.identifyForeign(at);
    this.version = (words[at + 3]! >>> 0) + words[at + 4]! * 2 ** 32;
    this.claims = (words[at + 1]! >>> 0) + words[at + 2]! * 2 ** 32;
    if (!this.isWhole(at)) return 'torn';
    if (this.claims !== this.sector) return 'misplaced';
    this.value = this.version * VALUES_PER_VERSION;
    return 'version';
  }

  /** Low halves of the versions at both ends of a torn sector; cold path. */
  tornVersions(offset: number): [head: number, tail: number] {
    const at = offset >>> 2;
    return [this.words[at + 3]! >>> 0, this.words[at + LAST_WORD]! >>> 0];
  }

  private isWhole(at: number): boolean {
    const { words } = this;
    let x = this.startOf(at);
    const step = this.step;
    for (let k = HEAD_WORDS; k < LAST_WORD; k++) {
      if (words[at + k] !== x) return false;
      x = (x + step) | 0;
    }
    return words[at + LAST_WORD] === words[at + 3];
  }

  private identifyForeign(at: number): Finding {
    if (this.isAll(at, 0)) {
      this.value = ZEROES;
      return 'zeroes';
    }
    return this.isAll(at, POISON_WORD) ? 'unfilled' : 'foreign';
  }

  private isAll(at: number, word: number): boolean {
    const { words } = this;
    for (let k = 0; k < WORDS; k++) if (words[at + k] !== word) return false;
    return true;
  }

  /** First word of the body; leaves the step behind. Both depend on every word of the head. */
  private startOf(at: number): number {
    const { words } = this;
    let h = words[at + 5]!;
    for (let k = 1; k < 5; k++) {
      h = Math.imul(h ^ words[at + k]!, 0x9e3779b1);
      h ^= h >>> 15;
    }
    this.step = Math.imul(h, 0x85ebca77) | 1;
    return h;
  }

  /** Fills the memory of a read with what no provider returns. */
  static poison(u8: Uint8Array, offset: number, len: number): void {
    u8.fill(POISON, offset, offset + len);
  }
}
