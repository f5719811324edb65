import {
  EXTENTS_PAYLOAD_BYTES,
  EXTENT_BYTES,
  F_REQ_ONE,
  type Arena,
  type Files,
  type OpenFile,
  type XioObject,
} from '@mars/brick-core';
import { MAX_EXTENT_LOOKUPS } from '../limits.js';

/** Answers an EXTENTS request from what the file system tells (SEEK_HOLE, SEEK_DATA); `o.len` becomes the bytes of records. */
export function writeExtents(files: Files, file: OpenFile, mem: Arena, o: XioObject): void {
  const most = o.flags & F_REQ_ONE ? 1 : Math.min(MAX_EXTENT_LOOKUPS, EXTENTS_PAYLOAD_BYTES / EXTENT_BYTES);
  const extents = files.extents(file, o.pos, o.len, most);
  extents.forEach((extent, i) => {
    const at = o.buf + i * EXTENT_BYTES;
    mem.view.setFloat64(at, extent.posBytes, true);
    mem.view.setFloat64(at + 8, extent.lenBytes, true);
    mem.view.setUint32(at + 16, extent.type, true);
    mem.view.setUint32(at + 20, 0, true);
  });
  o.len = extents.length * EXTENT_BYTES;
}
