/**
 * Linux error numbers, as they travel in `XioObject.err` (negated) and in published codes.
 *
 * The numbers are those of Linux x86-64, whatever the machine: the log format and the tree publish them as such.
 * Source: transaction-log.md, introduction; bricks.md 2.9.
 */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const ENOTBLK = 15;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ETXTBSY = 26;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ERANGE = 34;
export const EDEADLK = 35;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const EBADRQC = 56;
export const ENODATA = 61;
export const ETIME = 62;
export const EPROTO = 71;
export const EBADMSG = 74;
export const EOVERFLOW = 75;
export const EBADFD = 77;
export const EILSEQ = 84;
export const ERESTART = 85;
export const ENOTSOCK = 88;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ESHUTDOWN = 108;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
export const EINPROGRESS = 115;
export const ESTALE = 116;
export const EUCLEAN = 117;
export const EREMOTEIO = 121;
export const EDQUOT = 122;
export const EMEDIUMTYPE = 124;
export const ECANCELED = 125;
export const ENOTRECOVERABLE = 131;

const NUMBERS: Readonly<Record<string, number>> = {
  EPERM,
  ENOENT,
  EINTR,
  EIO,
  ENXIO,
  EBADF,
  EAGAIN,
  ENOMEM,
  EACCES,
  EFAULT,
  ENOTBLK,
  EBUSY,
  EEXIST,
  EXDEV,
  ENODEV,
  ENOTDIR,
  EISDIR,
  EINVAL,
  ENFILE,
  EMFILE,
  ETXTBSY,
  EFBIG,
  ENOSPC,
  EROFS,
  EPIPE,
  ERANGE,
  EDEADLK,
  ENAMETOOLONG,
  ENOSYS,
  ENOTEMPTY,
  ELOOP,
  EBADRQC,
  ENODATA,
  ETIME,
  EPROTO,
  EBADMSG,
  EOVERFLOW,
  EBADFD,
  EILSEQ,
  ERESTART,
  ENOTSOCK,
  EOPNOTSUPP,
  EAFNOSUPPORT,
  EADDRINUSE,
  EADDRNOTAVAIL,
  ENETDOWN,
  ENETUNREACH,
  ECONNABORTED,
  ECONNRESET,
  EISCONN,
  ENOTCONN,
  ESHUTDOWN,
  ETIMEDOUT,
  ECONNREFUSED,
  EHOSTUNREACH,
  EALREADY,
  EINPROGRESS,
  ESTALE,
  EUCLEAN,
  EREMOTEIO,
  EDQUOT,
  EMEDIUMTYPE,
  ECANCELED,
  ENOTRECOVERABLE,
  // The other name of the same number, which Node gives to its errors; `errnoName` finds the first.
  ENOTSUP: EOPNOTSUPP,
};

/** Every errno name that MARS knows, for parameter schemas (`errno: EIO` in a stack file). */
export const ERRNO_NAMES: readonly string[] = Object.keys(NUMBERS);

/** The positive number of an errno name, or `undefined` for a name that is not in the table. */
export function errnoByName(name: string): number | undefined {
  return NUMBERS[name];
}

/** The name of an errno; takes either sign. Unknown numbers give `errno NNN`, so that a message never loses them. */
export function errnoName(errno: number): string {
  const positive = Math.abs(errno);
  return ERRNO_NAMES.find((name) => NUMBERS[name] === positive) ?? `errno ${positive}`;
}
