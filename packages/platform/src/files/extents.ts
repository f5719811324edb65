import { EXTENT_HOLE, EXTENT_ZERO, type FileExtent } from '@mars/brick-core';
import { native } from '../native.js';

/** Data and holes from SEEK_HOLE and SEEK_DATA; without the addon, or where the file cannot tell, all data. */
export function extentsOf(fd: number, posBytes: number, lenBytes: number, most: number): FileExtent[] {
  // The call wants room for two at least; one more than was asked for is cut off again.
  const triples = native?.extents(fd, posBytes, lenBytes, Math.max(2, most));
  if (typeof triples !== 'object') return [{ posBytes, lenBytes, type: 0 }];
  const extents: FileExtent[] = [];
  for (let i = 0; i < triples.length && extents.length < most; i += 3) {
    const type = triples[i + 2] === 0 ? EXTENT_HOLE | EXTENT_ZERO : 0;
    extents.push({ posBytes: triples[i]!, lenBytes: triples[i + 1]!, type });
  }
  return extents;
}
