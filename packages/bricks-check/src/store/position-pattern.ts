import type { Arena } from '@mars/brick-core';

/**
 * Bytes that tell where they belong: the eight bytes at position `p` (a multiple of 8) hold `p XOR seed` as a little-endian
 * 64-bit number. A block that was delivered from the wrong place, or shifted, is seen at a glance and at any alignment.
 */
export class PositionPattern {
  private readonly seedLow: number;
  private readonly seedHigh: number;
  private readonly words: Int32Array;
  private readonly word = new DataView(new ArrayBuffer(8));

  /** @param seed whole number below 2^53 */
  constructor(
    private readonly mem: Arena,
    seed: number,
  ) {
    this.seedLow = seed | 0;
    this.seedHigh = Math.floor(seed / 2 ** 32) | 0;
    this.words = new Int32Array(mem.memory, 0, mem.memory.byteLength >>> 2);
  }

  /** Fills `len` bytes of the arena at `dst` with what belongs to position `base * unit + offset`. */
  fill(dst: number, len: number, base: number, unit: number, offset: number): void {
    // The position comes in three small numbers because a double beyond 2^31 would be boxed (bricks.md 5.3 rule 8).
    const pos = base * unit + offset;
    if (((dst | offset | len) & 7) === 0) this.fillWords(dst >>> 2, len >>> 2, pos);
    else for (let i = 0; i < len; i++) this.mem.u8[dst + i] = this.byteAt(pos + i);
  }

  /** The byte at a position. */
  byteAt(pos: number): number {
    const at = pos % 8;
    this.word.setInt32(0, (pos - at) ^ this.seedLow, true);
    this.word.setInt32(4, Math.floor(pos / 2 ** 32) ^ this.seedHigh, true);
    return this.word.getUint8(at);
  }

  private fillWords(word: number, count: number, pos: number): void {
    const { words, seedLow, seedHigh } = this;
    let low = pos | 0;
    let high = Math.floor(pos / 2 ** 32) | 0;
    for (let i = word; i < word + count; i += 2) {
      words[i] = low ^ seedLow;
      words[i + 1] = high ^ seedHigh;
      low = (low + 8) | 0;
      if (low === 0) high = (high + 1) | 0;
    }
  }
}
