import {
  F_FAST,
  F_FUA,
  F_MAY_TRIM,
  F_REQ_ONE,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  type XioObject,
} from '@mars/brick-core';
import {
  CMD_BLOCK_STATUS,
  CMD_CACHE,
  CMD_FLAG_FAST_ZERO,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  CMD_FLAG_REQ_ONE,
  CMD_FLUSH,
  CMD_READ,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
  REQUEST_MAGIC,
} from '../nbd/protocol.js';

/** Indexed by operation. */
const COMMANDS = commands();

function commands(): number[] {
  const table: number[] = [];
  table[OP_READ] = CMD_READ;
  table[OP_WRITE] = CMD_WRITE;
  table[OP_FLUSH] = CMD_FLUSH;
  table[OP_TRIM] = CMD_TRIM;
  table[OP_ZERO] = CMD_WRITE_ZEROES;
  table[OP_EXTENTS] = CMD_BLOCK_STATUS;
  table[OP_CACHE] = CMD_CACHE;
  return table;
}

const U32 = 2 ** 32;

/** Writes the 28 bytes of a request to `at`; the cookie is given in two halves. */
export function writeRequest(view: DataView, at: number, o: XioObject, cookie0: number, cookie1: number): void {
  const isFlush = o.op === OP_FLUSH;
  const { pos } = o;
  view.setUint32(at, REQUEST_MAGIC);
  view.setUint16(at + 4, flagsOf(o));
  view.setUint16(at + 6, COMMANDS[o.op]!);
  view.setInt32(at + 8, cookie0);
  view.setInt32(at + 12, cookie1);
  view.setUint32(at + 16, isFlush ? 0 : Math.floor(pos / U32));
  view.setUint32(at + 20, isFlush ? 0 : pos % U32);
  view.setUint32(at + 24, isFlush ? 0 : o.len);
}

function flagsOf({ op, flags }: XioObject): number {
  const isChange = op === OP_WRITE || op === OP_TRIM || op === OP_ZERO;
  let wire = isChange && flags & F_FUA ? CMD_FLAG_FUA : 0;
  if (op === OP_ZERO && !(flags & F_MAY_TRIM)) wire |= CMD_FLAG_NO_HOLE;
  if (op === OP_ZERO && flags & F_FAST) wire |= CMD_FLAG_FAST_ZERO;
  if (op === OP_EXTENTS && flags & F_REQ_ONE) wire |= CMD_FLAG_REQ_ONE;
  return wire;
}
