import { MAX_PAYLOAD_BYTES } from '../limits.js';
import {
  CAN_CACHE,
  CAN_FAST_ZERO,
  CAN_FLUSH,
  CAN_FUA,
  CAN_READ_ONLY,
  CAN_TRIM,
  CAN_WRITE_ZEROES,
  CMD_BLOCK_STATUS,
  CMD_CACHE,
  CMD_FLAG_DF,
  CMD_FLAG_FAST_ZERO,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  CMD_FLAG_REQ_ONE,
  CMD_FLUSH,
  CMD_READ,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_EOVERFLOW,
  NBD_EPERM,
  REQUEST_MAGIC,
} from './protocol.js';

/** One request header; re-used for every request of a connection. */
export class NbdRequest {
  flags = 0;
  type = 0;
  /** The client's cookie in two halves: no BigInt on the hot path. */
  cookie0 = 0;
  cookie1 = 0;
  // 0.5 makes V8 choose the double representation for good (bricks.md 5.3 rule 8). Beyond 2^53 it is inexact, and out of every range.
  offset = 0.5;
  length = 0.5;

  /** @returns false when the magic is wrong: then nothing that follows can be trusted */
  decode(view: DataView, at: number): boolean {
    this.flags = view.getUint16(at + 4);
    this.type = view.getUint16(at + 6);
    this.cookie0 = view.getInt32(at + 8);
    this.cookie1 = view.getInt32(at + 12);
    this.offset = view.getUint32(at + 16) * 4294967296 + view.getUint32(at + 20);
    this.length = view.getUint32(at + 24);
    return view.getUint32(at) === REQUEST_MAGIC;
  }
}

/** What one client may ask of an export now. */
export interface Permissions {
  /** Bytes; may change while the client is connected. */
  sizeBytes: number;
  /** `CAN_*` bits as they were promised to this client. */
  flags: number;
  structured: boolean;
  hasContext: boolean;
  /** Longest READ that goes out in one chunk, bytes. */
  chunkBytes: number;
}

/**
 * May the request be carried out? DISC is not asked about.
 * @returns 0, or the protocol's error number
 * Source: doc/proto.md, "Request types" and "Error values"
 */
export function verdict(r: NbdRequest, may: Permissions): number {
  const allowed = allowedFlags(r.type, may);
  if (allowed < 0) return NBD_EINVAL;
  if (r.flags & ~(allowed | (may.flags & CAN_FUA ? CMD_FLAG_FUA : 0))) return NBD_EINVAL;
  switch (r.type) {
    case CMD_READ:
      return readVerdict(r, may);
    case CMD_WRITE:
      return may.flags & CAN_READ_ONLY ? NBD_EPERM : writeVerdict(r, may);
    case CMD_TRIM:
    case CMD_WRITE_ZEROES:
      return may.flags & CAN_READ_ONLY ? NBD_EPERM : rangeVerdict(r, may, NBD_ENOSPC);
    case CMD_FLUSH:
      return r.offset === 0 && r.length === 0 ? 0 : NBD_EINVAL;
    case CMD_BLOCK_STATUS:
      return r.length === 0 ? NBD_EINVAL : rangeVerdict(r, may, NBD_EINVAL);
    default:
      return rangeVerdict(r, may, NBD_EINVAL);
  }
}

/** Flags that the command may carry besides FUA; -1 = the command itself was not offered. */
function allowedFlags(type: number, may: Permissions): number {
  switch (type) {
    case CMD_READ:
      return may.structured ? CMD_FLAG_DF : 0;
    case CMD_WRITE:
      return 0;
    case CMD_FLUSH:
      return may.flags & CAN_FLUSH ? 0 : -1;
    case CMD_TRIM:
      return may.flags & (CAN_TRIM | CAN_READ_ONLY) ? 0 : -1;
    case CMD_WRITE_ZEROES:
      return may.flags & (CAN_WRITE_ZEROES | CAN_READ_ONLY) ? zeroFlags(may) : -1;
    case CMD_CACHE:
      return may.flags & CAN_CACHE ? 0 : -1;
    case CMD_BLOCK_STATUS:
      return may.hasContext ? CMD_FLAG_REQ_ONE : -1;
    default:
      return -1;
  }
}

function zeroFlags(may: Permissions): number {
  return may.flags & CAN_FAST_ZERO ? CMD_FLAG_NO_HOLE | CMD_FLAG_FAST_ZERO : CMD_FLAG_NO_HOLE;
}

function readVerdict(r: NbdRequest, may: Permissions): number {
  if (r.length > MAX_PAYLOAD_BYTES) return NBD_EINVAL;
  if (r.flags & CMD_FLAG_DF && r.length > may.chunkBytes) return NBD_EOVERFLOW;
  return rangeVerdict(r, may, NBD_EINVAL);
}

function writeVerdict(r: NbdRequest, may: Permissions): number {
  return r.length > MAX_PAYLOAD_BYTES ? NBD_EINVAL : rangeVerdict(r, may, NBD_ENOSPC);
}

function rangeVerdict(r: NbdRequest, may: Permissions, beyond: number): number {
  return r.offset + r.length <= may.sizeBytes ? 0 : beyond;
}
