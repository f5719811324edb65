/**
 * Numbers of the FUSE protocol, as the kernel speaks it over `/dev/fuse`: version 7, little-endian hosts. Sizes are bytes.
 *
 * ```
 *   request   len u32 | opcode u32 | unique u64 | node u64 | uid u32 | gid u32 | pid u32 | 4 | body          one read(2) each
 *   answer    len u32 | error i32 (0 or -errno) | unique u64 | body                                          one write(2) each
 * ```
 * Source: the kernel's include/uapi/linux/fuse.h (the interface, not its text)
 */

/** The minor version that we speak at most; the kernel adapts to it. Sizes of structures are those from 7.23 on. */
export const FUSE_MAJOR = 7;
export const FUSE_MINOR = 40;
/** Oldest minor version with these structures. */
export const FUSE_MINOR_LEAST = 23;

export const FUSE_ROOT_NODE = 1;

export const FUSE_IN_HEADER_BYTES = 40;
export const FUSE_OUT_HEADER_BYTES = 16;
/** The kernel refuses to hand requests to a smaller buffer; room for data comes on top of {@link FUSE_REQUEST_ROOM_BYTES}. */
export const FUSE_MIN_READ_BYTES = 8192;
/** Room in front of the data of a write: header and `write_in`, rounded up to a page. */
export const FUSE_REQUEST_ROOM_BYTES = 4096;
export const FUSE_WRITE_IN_BYTES = 40;
export const FUSE_INIT_OUT_BYTES = 64;
export const FUSE_ATTR_BYTES = 88;
export const FUSE_ENTRY_OUT_BYTES = 128;
export const FUSE_ATTR_OUT_BYTES = 104;
export const FUSE_OPEN_OUT_BYTES = 16;
export const FUSE_WRITE_OUT_BYTES = 8;
export const FUSE_STATFS_OUT_BYTES = 80;
export const FUSE_DIRENT_BYTES = 24;

export const FUSE_LOOKUP = 1;
/** No answer. */
export const FUSE_FORGET = 2;
export const FUSE_GETATTR = 3;
export const FUSE_SETATTR = 4;
export const FUSE_OPEN = 14;
export const FUSE_READ = 15;
export const FUSE_WRITE = 16;
export const FUSE_STATFS = 17;
export const FUSE_RELEASE = 18;
export const FUSE_FSYNC = 20;
export const FUSE_FLUSH = 25;
export const FUSE_INIT = 26;
export const FUSE_OPENDIR = 27;
export const FUSE_READDIR = 28;
export const FUSE_RELEASEDIR = 29;
export const FUSE_FSYNCDIR = 30;
export const FUSE_ACCESS = 34;
export const FUSE_CREATE = 35;
/** No answer of its own: it makes the named request be answered soon. */
export const FUSE_INTERRUPT = 36;
export const FUSE_DESTROY = 38;
/** No answer. */
export const FUSE_BATCH_FORGET = 42;
export const FUSE_FALLOCATE = 43;
export const FUSE_LSEEK = 46;

/** Features of INIT, lower word. */
export const FUSE_ASYNC_READ = 1 << 0;
export const FUSE_ATOMIC_O_TRUNC = 1 << 3;
export const FUSE_BIG_WRITES = 1 << 5;
export const FUSE_ASYNC_DIO = 1 << 15;
export const FUSE_PARALLEL_DIROPS = 1 << 18;
export const FUSE_MAX_PAGES = 1 << 22;
/** The upper word counts. */
export const FUSE_INIT_EXT = 1 << 30;
/** Features of INIT, upper word. */
export const FUSE_HAS_RESEND = 1 << (39 - 32);

/** Flags of an open file. */
export const FOPEN_DIRECT_IO = 1;
export const FOPEN_KEEP_CACHE = 2;
export const FOPEN_NONSEEKABLE = 4;
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;

/** Bits of `valid` in SETATTR. */
export const FATTR_MODE = 1;
export const FATTR_UID = 2;
export const FATTR_GID = 4;
export const FATTR_SIZE = 8;

/** `error` of a notification (its `unique` is 0): hand out again all requests that were not answered (from 6.9 on). */
export const FUSE_NOTIFY_RESEND = 7;
/** Bit of `unique`, upper word: this request has been handed out before. */
export const FUSE_UNIQUE_RESEND = 0x8000_0000;

/** Types of directory entries, and of modes. */
export const DT_DIRECTORY = 4;
export const DT_FILE = 8;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
/** Access mode in the flags of OPEN. */
export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
