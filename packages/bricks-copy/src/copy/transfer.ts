import {
  F_MAY_TRIM,
  OP_READ,
  OP_WRITE,
  OP_ZERO,
  SUPPORT_NATIVE,
  type BrickContext,
  type Completer,
  type ObjectOwner,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { MAX_PIECE_BYTES } from '../limits.js';
import { BLOCK_BYTES, type Chunk, type Piece } from './chunk.js';

/** Where a request of the transfer belongs. */
class Load {
  chunk!: Chunk;
  piece!: Piece;
}

/**
 * Moves the marked blocks of a chunk: reads them from the source, then writes them to the target in ascending order. Reader and writer of a
 * piece are taken together, so nothing that has been read ever waits for an object that only it could free.
 */
export class Transfer {
  private pieceBytes = MAX_PIECE_BYTES;
  private canZero = false;

  constructor(
    private readonly source: XioInput,
    private readonly target: XioInput,
    private readonly owner: ObjectOwner,
    private readonly ctx: BrickContext,
    private readonly readDone: Completer,
    private readonly writeDone: Completer,
    private readonly prio: number,
  ) {}

  prepare(): void {
    const most = Math.min(MAX_PIECE_BYTES, this.source.cached.maxLen, this.target.cached.maxLen);
    this.pieceBytes = Math.max(BLOCK_BYTES, Math.floor(most / BLOCK_BYTES) * BLOCK_BYTES);
    this.canZero = this.target.cached.zero === SUPPORT_NATIVE;
  }

  /** Cuts pieces and reads them. @returns false when there is no object or memory for the next one now */
  read(chunk: Chunk): boolean {
    const { blocks } = chunk;
    for (;;) {
      const block = chunk.nextMarked(chunk.cutTo);
      if (block === blocks) return true;
      const mostBlocks = chunk.isSourceZero && this.canZero ? blocks : this.pieceBytes / BLOCK_BYTES;
      const end = chunk.runEnd(block, mostBlocks);
      const pos = chunk.pos + block * BLOCK_BYTES;
      if (!this.readPiece(chunk, pos, Math.min(chunk.end, chunk.pos + end * BLOCK_BYTES) - pos)) return false;
      chunk.cutTo = end;
    }
  }

  private readPiece(chunk: Chunk, pos: number, len: number): boolean {
    const { pool } = this.ctx;
    const isZero = chunk.isSourceZero && this.canZero;
    const reader = isZero ? null : pool.take(this.owner, len);
    if (reader === null && !isZero) return false;
    const writer = pool.take(this.owner, 0);
    if (writer === null) {
      if (reader !== null) pool.free(reader);
      return false;
    }
    const piece = chunk.addPiece();
    piece.pos = pos;
    piece.len = len;
    piece.reader = reader;
    piece.writer = writer;
    this.label(writer, chunk, piece);
    if (reader === null) return true;
    this.label(reader, chunk, piece);
    reader.op = OP_READ;
    reader.prio = this.prio;
    reader.pos = pos;
    reader.len = len;
    chunk.flying++;
    reader.push(this.readDone);
    this.source.io(reader);
    return true;
  }

  private label(o: XioObject, chunk: Chunk, piece: Piece): void {
    const load = (o.aspects[this.ctx.slot] ??= new Load()) as Load;
    load.chunk = chunk;
    load.piece = piece;
  }

  chunkOf(o: XioObject): Chunk {
    return (o.aspects[this.ctx.slot] as Load).chunk;
  }

  pieceOf(o: XioObject): Piece {
    return (o.aspects[this.ctx.slot] as Load).piece;
  }

  /** Writes a piece whose data is there. */
  write(chunk: Chunk, piece: Piece): void {
    const { reader } = piece;
    const writer = piece.writer!;
    const isZero = reader === null || (this.canZero && this.ctx.mem.isZero(reader.buf, piece.len));
    writer.op = isZero ? OP_ZERO : OP_WRITE;
    // A sparse target stays sparse.
    writer.flags = isZero ? F_MAY_TRIM : 0;
    writer.prio = this.prio;
    writer.pos = piece.pos;
    writer.len = piece.len;
    if (!isZero) {
      writer.buf = reader.buf;
      writer.leanOn(reader);
    }
    chunk.flying++;
    writer.push(this.writeDone);
    this.target.io(writer);
  }

  /** Gives back what a piece holds; nothing of it may be under way. */
  drop(piece: Piece): void {
    const { pool } = this.ctx;
    // The writer first: it leans on the reader's memory.
    if (piece.writer !== null) pool.free(piece.writer);
    if (piece.reader !== null) pool.free(piece.reader);
    piece.writer = piece.reader = null;
  }
}
