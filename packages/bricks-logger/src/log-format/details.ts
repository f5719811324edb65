/**
 * Status and detail numbers of a scan: what they are called, what they mean, what helps.
 * Inside this package both are kept as published, that is, negative (`-74`, `-10101`), and 0 where there is none.
 *
 * Source: transaction-log.md 1.6, 3.5
 */

/** Negative errno values (Linux x86-64) that decoding can yield. */
export const STATUS = {
  good: 0,
  incomplete: -11,
  badEndMagic: -56,
  defect: -74,
  unfinished: -85,
} as const;

export const STATUS_NAMES: Readonly<Record<number, string>> = {
  0: 'OK',
  [-5]: 'EIO',
  [-11]: 'EAGAIN',
  [-56]: 'EBADRQC',
  [-62]: 'ETIME',
  [-74]: 'EBADMSG',
  [-75]: 'EOVERFLOW',
  [-85]: 'ERESTART',
};

/** Replay codes that are no errno. */
export const REPLAY_CODE = {
  none: 0,
  finished: 1,
  stoppedEarly: 2,
} as const;

/** Detail numbers, negative as published. */
export const DETAIL = {
  none: 0,
  scanImpossible: -10000,
  timeout: -10001,
  hole: -10002,
  unknownVersion: -10003,
  /** The same number as `unknownVersion`, in the original too. */
  markedInvalid: -10003,
  zeroLength: -10004,
  negativeLength: -10005,
  lengthExceedsData: -10006,
  lengthTooSmall: -10007,
  restTooSmall: -10008,
  validCopyMissing: -10009,
  sequenceGap: -10010,
  sequenceBackwards: -10011,
  sizeMismatch: -10012,
  badStartMagic: -10013,
  badEndMagic: -10020,
  repeatedByte: -10021,
  garbage: -10029,
  noChecksum: -10100,
  checksumMismatch: -10101,
  decompressionFailed: -10150,
  storedTooBig: -10151,
  badExpandedLength: -10152,
} as const;

export interface DetailText {
  readonly name: string;
  /** One sentence: what was found. */
  readonly meaning: string;
  /** One sentence: what the reader of the message can do. */
  readonly remedy: string;
}

const COMPARE =
  'Compare with the copy of another member; if that one is good, fetch this file again from the defect on.';
const WAIT =
  'If the file is still being written or fetched, wait; after a crash this is a torn tail and replay may end here.';
const UPGRADE = 'Read the file with the version of the software that wrote it.';
const BOUNDARY = 'If a start offset was given, take one that "dump" prints; otherwise ';

/** Detail (negative, as published) → texts. Texts may improve, numbers and names may not change. */
export const DETAIL_TEXTS: Readonly<Record<number, DetailText>> = {
  [-10000]: {
    name: 'scan impossible',
    meaning: 'The log could not be scanned at all.',
    remedy: 'Check that the file can be read.',
  },
  [-10001]: { name: 'timeout', meaning: 'The rest of a record did not arrive in time.', remedy: WAIT },
  [-10002]: { name: 'hole', meaning: 'Bytes are missing inside the log.', remedy: COMPARE },
  [-10003]: {
    name: 'unknown version or marked invalid',
    meaning: 'The header has a format version other than 1, or says that the record was still under construction.',
    remedy: `${COMPARE} If every copy says so: ${UPGRADE.toLowerCase()}`,
  },
  [-10004]: {
    name: 'zero length',
    meaning: 'The length field of the record is zero: its header was never finished.',
    remedy: WAIT,
  },
  [-10005]: { name: 'negative length', meaning: 'The length field of the record is negative.', remedy: COMPARE },
  [-10006]: {
    name: 'length exceeds data',
    meaning: 'The record is longer than the bytes that are there: its end is missing.',
    remedy: WAIT,
  },
  [-10007]: {
    name: 'length too small',
    meaning: 'The record claims to be shorter than its own frame.',
    remedy: COMPARE,
  },
  [-10008]: { name: 'rest too small', meaning: 'The bytes left cannot hold a record.', remedy: WAIT },
  [-10009]: {
    name: 'valid copy missing',
    meaning: 'The trailer says that the record was still under construction.',
    remedy: WAIT,
  },
  [-10010]: { name: 'sequence gap', meaning: 'Records are missing in front of this one.', remedy: COMPARE },
  [-10011]: {
    name: 'sequence backwards',
    meaning: 'The sequence number does not grow; the record was accepted all the same.',
    remedy: 'Report it: no known writer does this.',
  },
  [-10012]: {
    name: 'size mismatch',
    meaning: 'The payload lengths and the record length contradict each other.',
    remedy: COMPARE,
  },
  [-10013]: {
    name: 'bad start magic',
    meaning: 'No record starts here: the start magic is missing.',
    remedy: BOUNDARY + COMPARE.charAt(0).toLowerCase() + COMPARE.slice(1),
  },
  [-10020]: { name: 'bad end magic', meaning: 'The record does not end where its length says.', remedy: COMPARE },
  [-10021]: {
    name: 'repeated byte pattern',
    meaning: 'The trailer is filled with one repeated byte instead of an end magic.',
    remedy: COMPARE,
  },
  [-10029]: { name: 'garbage', meaning: 'The bytes are no part of a log.', remedy: COMPARE },
  [-10100]: {
    name: 'no or unknown checksum',
    meaning: 'The record carries no checksum that can be checked, and records without one are not accepted here.',
    remedy: 'If the file was written by a release of 2016 and you trust it, replay it with "--accept-unverified".',
  },
  [-10101]: { name: 'checksum mismatch', meaning: 'The payload differs from what was written.', remedy: COMPARE },
  [-10150]: {
    name: 'decompression failed',
    meaning: 'The compressed payload cannot be expanded to its length.',
    remedy: COMPARE,
  },
  [-10151]: {
    name: 'stored length too big',
    meaning: 'The compressed payload is longer than a record can hold.',
    remedy: COMPARE,
  },
  [-10152]: {
    name: 'bad expanded length',
    meaning: 'The length after decompression is not plausible.',
    remedy: COMPARE,
  },
};

const ZERO_TRAILER: DetailText = {
  name: 'zero trailer',
  meaning: 'The trailer of the record is all zero: the record was not written to its end.',
  remedy: WAIT,
};
const UNKNOWN: DetailText = { name: 'unknown', meaning: 'The defect has no number of its own.', remedy: COMPARE };

/** Texts of a verdict. Status −85 without a detail is a zero trailer (transaction-log.md 1.6 rule 8). */
export function describeDetail(status: number, detail: number): DetailText {
  if (detail === DETAIL.none && status === STATUS.unfinished) return ZERO_TRAILER;
  return DETAIL_TEXTS[detail] ?? UNKNOWN;
}

export function statusName(status: number): string {
  return STATUS_NAMES[status] ?? `errno ${-status}`;
}

/** How the original shows a replay code to people. Source: transaction-log.md 3.5 */
export function replayStateName(replayCode: number): string {
  if (replayCode === REPLAY_CODE.none) return 'none';
  if (replayCode === REPLAY_CODE.finished) return 'finished';
  if (replayCode === REPLAY_CODE.stoppedEarly) return 'stopped early';
  if (replayCode === STATUS.unfinished) return 'IncompleteLog';
  if (replayCode === STATUS.badEndMagic) return 'UnInitializedLogRecord';
  return 'DefectiveLog';
}

/** The value of a `replay-code` link: `<code>[,<detail>[,0x<byte>]]`. */
export function replayCodeText(replayCode: number, detail: number, byteCode: number): string {
  if (replayCode >= 0 || detail === DETAIL.none) return String(replayCode);
  const byte = detail === DETAIL.repeatedByte ? `,0x${byteCode.toString(16).padStart(2, '0')}` : '';
  return `${replayCode},${detail}${byte}`;
}
