import {
  CHUNK_BLOCK_STATUS,
  CHUNK_BYTES,
  CHUNK_DONE,
  CHUNK_ERROR,
  CHUNK_ERROR_OFFSET,
  CHUNK_NONE,
  CHUNK_OFFSET_DATA,
  DATA_CHUNK_BYTES,
  ERROR_CHUNK_BYTES,
  ERROR_OFFSET_CHUNK_BYTES,
  SIMPLE_REPLY_MAGIC,
  STATUS_CHUNK_BYTES,
  STRUCTURED_REPLY_MAGIC,
} from '../nbd/protocol.js';

/** Whose reply it is: the client's cookie in two halves. */
export interface Cookie {
  readonly cookie0: number;
  readonly cookie1: number;
}

/** Where the bytes of a chunk belong; read from a field, because a large position as an argument might be boxed. */
export interface ChunkPlace {
  readonly pos: number;
}

export function putSimple(view: DataView, at: number, c: Cookie, error: number): void {
  view.setUint32(at, SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, error);
  view.setInt32(at + 8, c.cookie0);
  view.setInt32(at + 12, c.cookie1);
}

function putChunk(view: DataView, at: number, c: Cookie, flags: number, type: number, length: number): void {
  view.setUint32(at, STRUCTURED_REPLY_MAGIC);
  view.setUint16(at + 4, flags);
  view.setUint16(at + 6, type);
  view.setInt32(at + 8, c.cookie0);
  view.setInt32(at + 12, c.cookie1);
  view.setUint32(at + 16, length);
}

/** The end of a reply without content. */
export function putNone(view: DataView, at: number, c: Cookie): void {
  putChunk(view, at, c, CHUNK_DONE, CHUNK_NONE, 0);
}

/** Header of `bytes` of data that follow. */
export function putData(view: DataView, at: number, c: Cookie, flags: number, place: ChunkPlace, bytes: number): void {
  putChunk(view, at, c, flags, CHUNK_OFFSET_DATA, DATA_CHUNK_BYTES - CHUNK_BYTES + bytes);
  putPosition(view, at + CHUNK_BYTES, place);
}

/** Header of `bytes` of descriptors that follow. */
export function putStatus(view: DataView, at: number, c: Cookie, context: number, bytes: number): void {
  putChunk(view, at, c, CHUNK_DONE, CHUNK_BLOCK_STATUS, STATUS_CHUNK_BYTES - CHUNK_BYTES + bytes);
  view.setUint32(at + CHUNK_BYTES, context);
}

export function putDescriptor(view: DataView, at: number, lenBytes: number, state: number): void {
  view.setUint32(at, lenBytes);
  view.setUint32(at + 4, state);
}

export function putError(view: DataView, at: number, c: Cookie, error: number): void {
  putChunk(view, at, c, CHUNK_DONE, CHUNK_ERROR, ERROR_CHUNK_BYTES - CHUNK_BYTES);
  view.setUint32(at + CHUNK_BYTES, error);
  view.setUint16(at + CHUNK_BYTES + 4, 0);
}

export function putErrorOffset(
  view: DataView,
  at: number,
  c: Cookie,
  flags: number,
  error: number,
  place: ChunkPlace,
): void {
  putChunk(view, at, c, flags, CHUNK_ERROR_OFFSET, ERROR_OFFSET_CHUNK_BYTES - CHUNK_BYTES);
  view.setUint32(at + CHUNK_BYTES, error);
  view.setUint16(at + CHUNK_BYTES + 4, 0);
  putPosition(view, at + CHUNK_BYTES + 6, place);
}

function putPosition(view: DataView, at: number, place: ChunkPlace): void {
  const { pos } = place;
  view.setUint32(at, Math.floor(pos / 4294967296));
  view.setUint32(at + 4, pos % 4294967296);
}
