/**
 * The NBD protocol in numbers, for the server and the client. Source: doc/proto.md of the NetworkBlockDevice project.
 * Everything on the wire is big endian.
 */
import { EFBIG, EINVAL, EIO, ENOMEM, ENOSPC, EOPNOTSUPP, EOVERFLOW, EPERM, EROFS, ESHUTDOWN } from '@mars/brick-core';

// ------------------------------------------------------------------------------------------------------------ handshake

/** "NBDMAGIC" and "IHAVEOPT", upper and lower halves. */
export const NBD_MAGIC_HI = 0x4e42444d;
export const NBD_MAGIC_LO = 0x41474943;
export const OPTION_MAGIC_HI = 0x49484156;
export const OPTION_MAGIC_LO = 0x454f5054;
/** Magic of every reply to an option. */
export const OPTION_REPLY_MAGIC_HI = 0x0003e889;
export const OPTION_REPLY_MAGIC_LO = 0x045565a9;

export const GREETING_BYTES = 18;
export const CLIENT_FLAGS_BYTES = 4;
/** Magic, option, length. */
export const OPTION_HEADER_BYTES = 16;
/** Magic, option, reply type, length. */
export const OPTION_REPLY_BYTES = 20;
/** Zeroes that end the reply to EXPORT_NAME unless the client waived them. */
export const EXPORT_NAME_PADDING_BYTES = 124;

/** Handshake flags of the server, and the client's answer to each. */
export const FLAG_FIXED_NEWSTYLE = 1 << 0;
export const FLAG_NO_ZEROES = 1 << 1;

export const OPT_EXPORT_NAME = 1;
export const OPT_ABORT = 2;
export const OPT_LIST = 3;
export const OPT_STARTTLS = 5;
export const OPT_INFO = 6;
export const OPT_GO = 7;
export const OPT_STRUCTURED_REPLY = 8;
export const OPT_LIST_META_CONTEXT = 9;
export const OPT_SET_META_CONTEXT = 10;
export const OPT_EXTENDED_HEADERS = 11;

export const REP_ACK = 1;
export const REP_SERVER = 2;
export const REP_INFO = 3;
export const REP_META_CONTEXT = 4;
const REP_ERROR = 2 ** 31;
export const REP_ERR_UNSUP = REP_ERROR + 1;
export const REP_ERR_POLICY = REP_ERROR + 2;
export const REP_ERR_INVALID = REP_ERROR + 3;
export const REP_ERR_PLATFORM = REP_ERROR + 4;
export const REP_ERR_TLS_REQD = REP_ERROR + 5;
export const REP_ERR_UNKNOWN = REP_ERROR + 6;
export const REP_ERR_SHUTDOWN = REP_ERROR + 7;
export const REP_ERR_BLOCK_SIZE_REQD = REP_ERROR + 8;
export const REP_ERR_TOO_BIG = REP_ERROR + 9;

export const INFO_EXPORT = 0;
export const INFO_NAME = 1;
export const INFO_DESCRIPTION = 2;
export const INFO_BLOCK_SIZE = 3;

/** Longest export name and longest string that the protocol knows, bytes. */
export const MAX_NAME_BYTES = 4096;

export const CONTEXT_NAMESPACE = 'base:';
export const CONTEXT_ALLOCATION = 'base:allocation';

/** Transmission flags: what an export can do. */
export const CAN_HAS_FLAGS = 1 << 0;
export const CAN_READ_ONLY = 1 << 1;
export const CAN_FLUSH = 1 << 2;
export const CAN_FUA = 1 << 3;
export const CAN_ROTATIONAL = 1 << 4;
export const CAN_TRIM = 1 << 5;
export const CAN_WRITE_ZEROES = 1 << 6;
export const CAN_DF = 1 << 7;
export const CAN_MULTI_CONN = 1 << 8;
export const CAN_RESIZE = 1 << 9;
export const CAN_CACHE = 1 << 10;
export const CAN_FAST_ZERO = 1 << 11;

// --------------------------------------------------------------------------------------------------------- transmission

export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

/** Magic 4, flags 2, type 2, cookie 8, offset 8, length 4. */
export const REQUEST_BYTES = 28;
/** Magic 4, error 4, cookie 8. */
export const SIMPLE_REPLY_BYTES = 16;
/** Magic 4, flags 2, type 2, cookie 8, length 4. */
export const CHUNK_BYTES = 20;
/** A chunk with the offset of its data. */
export const DATA_CHUNK_BYTES = CHUNK_BYTES + 8;
/** A chunk with the context of its descriptors. */
export const STATUS_CHUNK_BYTES = CHUNK_BYTES + 4;
/** Error 4, length of the message 2; we send no message. */
export const ERROR_CHUNK_BYTES = CHUNK_BYTES + 6;
/** The same with the offset that failed. */
export const ERROR_OFFSET_CHUNK_BYTES = ERROR_CHUNK_BYTES + 8;
/** One descriptor of BLOCK_STATUS: length 4, flags 4. */
export const DESCRIPTOR_BYTES = 8;

export const CMD_READ = 0;
export const CMD_WRITE = 1;
export const CMD_DISC = 2;
export const CMD_FLUSH = 3;
export const CMD_TRIM = 4;
export const CMD_CACHE = 5;
export const CMD_WRITE_ZEROES = 6;
export const CMD_BLOCK_STATUS = 7;

export const CMD_FLAG_FUA = 1 << 0;
export const CMD_FLAG_NO_HOLE = 1 << 1;
export const CMD_FLAG_DF = 1 << 2;
export const CMD_FLAG_REQ_ONE = 1 << 3;
export const CMD_FLAG_FAST_ZERO = 1 << 4;

export const CHUNK_DONE = 1;
export const CHUNK_NONE = 0;
export const CHUNK_OFFSET_DATA = 1;
export const CHUNK_OFFSET_HOLE = 2;
export const CHUNK_BLOCK_STATUS = 5;
export const CHUNK_ERROR = 0x8001;
export const CHUNK_ERROR_OFFSET = 0x8002;

/** Descriptor flags of base:allocation. */
export const STATE_HOLE = 1 << 0;
export const STATE_ZERO = 1 << 1;

/** Longest READ or WRITE that clients may count on without having asked for block sizes, bytes. */
export const DEFAULT_MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** Port of the service, for addresses without one. */
export const NBD_PORT = 10809;

/** The errors that may travel; anything else must be translated. */
export const NBD_EPERM = 1;
export const NBD_EIO = 5;
export const NBD_ENOMEM = 12;
export const NBD_EINVAL = 22;
export const NBD_ENOSPC = 28;
export const NBD_EOVERFLOW = 75;
export const NBD_ENOTSUP = 95;
export const NBD_ESHUTDOWN = 108;

const EDQUOT = 122;

/** The protocol's error for a completion value (0 or a negative errno). */
export function nbdError(err: number): number {
  switch (-err) {
    case 0:
      return 0;
    case EPERM:
    case EROFS:
      return NBD_EPERM;
    case ENOMEM:
      return NBD_ENOMEM;
    case EINVAL:
      return NBD_EINVAL;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
      return NBD_ENOSPC;
    case EOVERFLOW:
      return NBD_EOVERFLOW;
    case EOPNOTSUPP:
      return NBD_ENOTSUP;
    case ESHUTDOWN:
      return NBD_ESHUTDOWN;
    default:
      return NBD_EIO;
  }
}

/** The errno (negative) for an error that came from the wire; values that the protocol does not know count as EIO. */
export function errnoOfNbd(error: number): number {
  switch (error) {
    case 0:
      return 0;
    case NBD_EPERM:
      return -EPERM;
    case NBD_ENOMEM:
      return -ENOMEM;
    case NBD_EINVAL:
      return -EINVAL;
    case NBD_ENOSPC:
      return -ENOSPC;
    case NBD_EOVERFLOW:
      return -EOVERFLOW;
    case NBD_ENOTSUP:
      return -EOPNOTSUPP;
    case NBD_ESHUTDOWN:
      return -ESHUTDOWN;
    default:
      return -EIO;
  }
}
