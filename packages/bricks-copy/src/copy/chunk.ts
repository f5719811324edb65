import type { XioObject } from '@mars/brick-core';
import { CHUNK_BYTES, FINE_LOG2 } from '../limits.js';

/** Smallest piece that is compared and copied, bytes. */
export const BLOCK_BYTES = 2 ** FINE_LOG2;
export const CHUNK_BLOCKS = CHUNK_BYTES / BLOCK_BYTES;

/**
 * Where a chunk is on its way:
 *
 * ```
 *   free → probing (extents) → coarse (digests of 64 KiB) → fine (digests of 4 KiB, where they differ) → reading → writing → done
 * ```
 * A chunk that turns out to be equal goes to `done` at once; without comparison it begins at `reading`.
 */
export type ChunkState = 'free' | 'probing' | 'coarse' | 'fine' | 'reading' | 'writing' | 'done';

/** One piece of a chunk that is copied: a read of the source, and the write that follows it. */
export class Piece {
  reader: XioObject | null = null;
  writer: XioObject | null = null;
  pos = 0.5;
  len = 0;
  isRead = false;
  isWritten = false;
}

/** A range of at most `CHUNK_BYTES`, ending at a multiple of it unless it is the last. Built once, used again and again. */
export class Chunk {
  state: ChunkState = 'free';
  pos = 0.5;
  len = 0;
  /** The whole range reads as zeroes, as the extents of the source (target) say. */
  isSourceZero = false;
  isTargetZero = false;
  /** 1 for each block that has to be copied. */
  readonly differs = new Uint8Array(CHUNK_BLOCKS);
  differing = 0;
  /** First block that no piece was cut from yet. */
  cutTo = 0;
  /** Requests under way. */
  flying = 0;
  /** Pieces in ascending order; the first `pieceCount` count. */
  readonly pieces: Piece[] = [];
  pieceCount = 0;
  /** Pieces whose write was issued. */
  written = 0;

  begin(pos: number, len: number): void {
    this.state = 'probing';
    this.pos = pos;
    this.len = len;
    this.isSourceZero = this.isTargetZero = false;
    this.differs.fill(0);
    this.differing = this.cutTo = this.flying = this.pieceCount = this.written = 0;
  }

  get end(): number {
    return this.pos + this.len;
  }

  get blocks(): number {
    return Math.ceil(this.len / BLOCK_BYTES);
  }

  mark(block: number): void {
    if (this.differs[block] === 1) return;
    this.differs[block] = 1;
    this.differing++;
  }

  markAll(): void {
    for (let block = 0; block < this.blocks; block++) this.mark(block);
  }

  /** First marked block from `block` on; `blocks` when there is none. */
  nextMarked(block: number): number {
    const { blocks } = this;
    while (block < blocks && this.differs[block] === 0) block++;
    return block;
  }

  /** First block from `block` on that is not marked. */
  runEnd(block: number, mostBlocks: number): number {
    const end = Math.min(this.blocks, block + mostBlocks);
    while (block < end && this.differs[block] === 1) block++;
    return block;
  }

  addPiece(): Piece {
    if (this.pieceCount === this.pieces.length) this.pieces.push(new Piece());
    const piece = this.pieces[this.pieceCount++]!;
    piece.isRead = piece.isWritten = false;
    return piece;
  }
}
