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
} from '@mars/brick-core';
import {
  CMD_BLOCK_STATUS,
  CMD_FLAG_FAST_ZERO,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  CMD_FLAG_REQ_ONE,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
} from '../nbd/protocol.js';
import type { NbdRequest } from '../nbd/transmission.js';

/** Operation by command; DISC has none. */
export const OP_OF_CMD = [OP_READ, OP_WRITE, -1, OP_FLUSH, OP_TRIM, OP_CACHE, OP_ZERO, OP_EXTENTS] as const;
/** `F_*` for the command flags; FUA is accepted, and meaningless, on commands that write nothing. */
export function flagsOf(r: NbdRequest): number {
  const fua = r.flags & CMD_FLAG_FUA ? F_FUA : 0;
  switch (r.type) {
    case CMD_WRITE:
    case CMD_TRIM:
      return fua;
    case CMD_WRITE_ZEROES:
      return fua | (r.flags & CMD_FLAG_NO_HOLE ? 0 : F_MAY_TRIM) | (r.flags & CMD_FLAG_FAST_ZERO ? F_FAST : 0);
    case CMD_BLOCK_STATUS:
      return r.flags & CMD_FLAG_REQ_ONE ? F_REQ_ONE : 0;
    default:
      return 0;
  }
}
