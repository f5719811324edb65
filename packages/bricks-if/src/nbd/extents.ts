import { EXTENT_BYTES, EXTENT_HOLE, EXTENT_ZERO } from '@mars/brick-core';
import { DESCRIPTOR_BYTES, STATE_HOLE, STATE_ZERO } from './protocol.js';

const KNOWN = EXTENT_HOLE | EXTENT_ZERO;

/**
 * Turns the extent records of an answered EXTENTS request into descriptors of BLOCK_STATUS, in place; neighbours with the same
 * state become one.
 *
 * @param at       arena offset of the records; the descriptors replace them from the same place on
 * @param bytes    of records
 * @param rangeLen bytes that the client asked about; nothing beyond is told
 * @param max      descriptors that are wanted (1 for REQ_ONE)
 * @returns bytes of descriptors; 0 when the records say nothing
 */
export function describeExtents(view: DataView, at: number, bytes: number, rangeLen: number, max: number): number {
  let count = 0;
  let left = rangeLen;
  let lastState = -1;
  for (let from = at; from + EXTENT_BYTES <= at + bytes && left > 0; from += EXTENT_BYTES) {
    const len = Math.min(view.getFloat64(from + 8, true), left);
    const state = stateOf(view.getUint32(from + 16, true));
    if (!(len >= 1)) break;
    left -= len;
    // A descriptor is shorter than a record, so it never overwrites one that was not read.
    if (state === lastState) grow(view, at + (count - 1) * DESCRIPTOR_BYTES, len);
    else if (count === max) break;
    else put(view, at + count++ * DESCRIPTOR_BYTES, len, state);
    lastState = state;
  }
  return count * DESCRIPTOR_BYTES;
}

function put(view: DataView, at: number, len: number, state: number): void {
  view.setUint32(at, len);
  view.setUint32(at + 4, state);
}

function grow(view: DataView, at: number, len: number): void {
  view.setUint32(at, view.getUint32(at) + len);
}

function stateOf(type: number): number {
  const known = type & KNOWN;
  return (known & EXTENT_HOLE ? STATE_HOLE : 0) | (known & EXTENT_ZERO ? STATE_ZERO : 0);
}
