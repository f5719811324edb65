import { EXTENT_HOLE, EXTENT_ZERO, type FileExtent } from '@mars/brick-core';
import type { Inode } from './inode.js';

const PAGE = 4096;

/** Pages that hold data and pages that were never written, as SEEK_HOLE and SEEK_DATA would tell; neighbours of a kind are one piece. */
export function extentsOf(inode: Inode, posBytes: number, lenBytes: number, most: number): FileExtent[] {
  const extents: FileExtent[] = [];
  const end = posBytes + lenBytes;
  for (let at = posBytes; at < end;) {
    const next = Math.min(end, (Math.floor(at / PAGE) + 1) * PAGE);
    const isHole = at >= inode.sizeBytes || inode.data!.missingPages(at, next - at) > 0;
    const type = isHole ? EXTENT_HOLE | EXTENT_ZERO : 0;
    const last = extents.at(-1);
    if (last?.type === type) last.lenBytes += next - at;
    else if (extents.length === most) break;
    else extents.push({ posBytes: at, lenBytes: next - at, type });
    at = next;
  }
  return extents;
}
