/** Bytes of a sector: what a disk writes in one piece. */
export const SECTOR_BYTES = 512;
const WORDS = SECTOR_BYTES / 4;
const MAGIC = 0x51d3_c70f;

/** A sector that was never written. */
export const NOBODY = 0;
/** A sector that holds something that nobody wrote: torn, misplaced or foreign. */
export const GARBAGE = -1;

/**
 * Fills a sector so that its contents say which write they come from and where they belong.
 * ```
 *  word 0      1         2        3 … 127
 *       magic  write id  sector   mixed from both: a torn sector cannot look right
 * ```
 */
export function stampSector(words: Uint32Array, at: number, writeId: number, sector: number): void {
  words[at] = MAGIC;
  words[at + 1] = writeId;
  words[at + 2] = sector;
  for (let i = 3; i < WORDS; i++) words[at + i] = mixed(writeId, sector, i);
}

/** @returns the write that filled the sector, {@link NOBODY} or {@link GARBAGE} */
export function readStamp(words: Uint32Array, at: number, sector: number): number {
  const id = words[at + 1]!;
  if (words[at] === 0) return isZero(words, at) ? NOBODY : GARBAGE;
  if (words[at] !== MAGIC || words[at + 2] !== sector) return GARBAGE;
  for (let i = 3; i < WORDS; i++) if (words[at + i] !== mixed(id, sector, i)) return GARBAGE;
  return id;
}

function isZero(words: Uint32Array, at: number): boolean {
  for (let i = 0; i < WORDS; i++) if (words[at + i] !== 0) return false;
  return true;
}

function mixed(writeId: number, sector: number, i: number): number {
  return (Math.imul(writeId ^ (i * 0x9e37), 0x01000193) ^ Math.imul(sector + i, 0x85ebca6b)) >>> 0;
}
