import { MAX_MESSAGE_BYTES } from '../limits.js';
import { utf8Length } from '../names.js';
import { formatStamp, readStamp } from '../stamp.js';
import { badFact, defineCodec, renamed, type Codec } from './codec.js';
import { INT, MASK, SINT } from './numbers.js';

export const TEXT: Codec<string> = defineCodec({
  name: 'TEXT',
  about: 'any text without control characters, at most 1023 characters',
  pattern: /^[^\p{Cc}]{1,1023}$/u,
  of: ([text]) => text,
  format: (value) => value,
  read: (text) => text,
});

/** Blanks would break the trigger commands (symlink-tree.md 2.13). */
export const ABSOLUTE_PATH: Codec<string> = defineCodec({
  name: 'PATH',
  about: 'absolute path without blanks',
  pattern: /^\/[!-~]{1,1000}$/,
  of: ([text]) => text,
  format: (value) => value,
  read: (text) => (text.startsWith('/') && text.length > 1 ? text : null),
});

export const UNIT_NAME: Codec<string> = defineCodec({
  name: 'UNIT_NAME',
  about: 'name of a systemd unit',
  pattern: /^[A-Za-z0-9:_.\\@-]{1,255}$/,
  of: ([text]) => text,
  format: (value) => value,
  read: (text) => text,
});

export interface DottedVersion {
  major: number;
  minor: number;
}

export const MAJOR_MINOR: Codec<DottedVersion> = defineCodec({
  name: 'MAJOR.MINOR',
  about: 'two decimal numbers with a point between them',
  pattern: /^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$/,
  of: ([, major, minor]) => ({ major: Number(major), minor: Number(minor) }),
  format: ({ major, minor }) => `${major}.${minor}`,
  read: (text) => {
    const match = /^\s*(\d{1,6})\.(\d{1,6})/.exec(text);
    return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) };
  },
});

/** Bits of `mask`: see docs/formats/tree.md, registry. */
export interface Features {
  level: number;
  strategy: number;
  mask: number;
}

export const FEATURES: Codec<Features> = defineCodec({
  name: 'FEATURES',
  about: 'INT "," INT "," MASK: feature level, strategy level, implemented digests and compressions',
  pattern: /^(0|[1-9]\d{0,5}),(0|[1-9]\d{0,5}),(0x[0-9a-f]{8})$/,
  of: ([, level, strategy, mask]) => ({ level: Number(level), strategy: Number(strategy), mask: MASK.parse(mask!) }),
  format: ({ level, strategy, mask }) => `${level},${strategy},${MASK.format(mask)}`,
  read: (text) => {
    const [level, strategy, mask] = text.split(',');
    const number = INT.read(level ?? '');
    if (number === null) return null;
    return { level: number, strategy: INT.read(strategy ?? '') ?? 0, mask: MASK.read(mask ?? '') ?? MD5_OLD };
  },
});

/** What a peer's features count as: below level 3 it is strategy 0 with the old MD5 only. Source: symlink-tree.md 2.2. */
export function effectiveFeatures(features: Features): Features {
  return features.level < 3 ? { level: features.level, strategy: 0, mask: MD5_OLD } : features;
}

const MD5_OLD = 0x10000;

/** Feature bits. Source: symlink-tree.md 2.2. */
export const FEATURE_BITS: Readonly<Record<string, number>> = {
  'MD5 in old form (always set)': MD5_OLD,
  MD5: 0x20000,
  CRC32C: 0x40000,
  CRC32: 0x80000,
  SHA1: 0x100000,
  LZO: 0x1000000,
  LZ4: 0x2000000,
  ZLIB: 0x4000000,
};

export interface BuildTag {
  tag: string;
  date: string;
}

export const BUILD_TAG: Codec<BuildTag> = defineCodec({
  name: 'BUILD_TAG',
  about: 'a tag and, in parentheses, a date',
  pattern: /^([!-'*-~]{1,100})\(([ -'*-~]{1,100})\)$/,
  of: ([, tag, date]) => ({ tag: tag!, date: date! }),
  format: ({ tag, date }) => `${tag}(${date})`,
});

/** Its first number that is followed by "(" or ends the text; up to 97 an old `marsadm` looks at the device node instead of `if-on`. */
export function buildNumber(text: string): number | null {
  const match = /(\d+)(?:\(|$)/.exec(text);
  return match === null ? null : Number(match[1]);
}

/** Blocks that were compared. */
export interface VerifyCounts {
  equal: number;
  different: number;
}

export const VERIFY: Codec<VerifyCounts> = defineCodec({
  name: 'VERIFY',
  about: 'INT "," INT: blocks that were equal, blocks that differed',
  pattern: /^(0|[1-9]\d{0,14}),(0|[1-9]\d{0,14})$/,
  of: ([, equal, different]) => ({ equal: Number(equal), different: Number(different) }),
  format: ({ equal, different }) => `${equal},${different}`,
});

/** How a replay ended; codes and details: transaction-log.md 3.5. */
export interface ReplayCode {
  code: number;
  detail: number | null;
  byte: number | null;
}

export const REPLAY_CODE: Codec<ReplayCode> = defineCodec({
  name: 'REPLAY_CODE',
  about: 'SINT, or SINT "," SINT, or both and "," "0x" two hexadecimal digits: code, detail, byte',
  pattern: /^(0|-?[1-9]\d{0,9})(?:,(0|-?[1-9]\d{0,9})(?:,0x([0-9a-f]{2}))?)?$/,
  of: ([, code, detail, byte]) => ({
    code: Number(code),
    detail: detail === undefined ? null : Number(detail),
    byte: byte === undefined ? null : Number.parseInt(byte, 16),
  }),
  format: ({ code, detail, byte }) =>
    [
      String(code),
      ...(detail === null ? [] : [String(detail)]),
      ...(detail === null || byte === null ? [] : [`0x${byte.toString(16).padStart(2, '0')}`]),
    ].join(','),
  read: (text) => {
    const [code, detail, byte] = text.split(',');
    const number = SINT.read(code ?? '');
    if (number === null) return null;
    return {
      code: number,
      detail: detail === undefined ? null : SINT.read(detail),
      byte: byte === undefined ? null : MASK.read(byte),
    };
  },
});

/** Permission to jump to exactly this sequence number; the note is for people. */
export interface SkipCheck {
  sequence: number;
  note: string | null;
}

export const SKIP_CHECK: Codec<SkipCheck> = defineCodec({
  name: 'SKIP_CHECK',
  about: 'INT, optionally a blank and free text',
  pattern: /^(0|[1-9]\d{0,14})(?: ([ -~]{1,200}))?$/,
  of: ([, sequence, note]) => ({ sequence: Number(sequence), note: note ?? null }),
  format: ({ sequence, note }) => (note === null ? String(sequence) : `${sequence} ${note}`),
  read: (text) => {
    const match = /^\s*(\d{1,15})(?: (.+))?/.exec(text);
    return match === null ? null : { sequence: Number(match[1]), note: match[2] ?? null };
  },
});

/** A condition that people should know of, or that there is none. */
export type Message = 'OK' | { realNs: bigint; lamportNs: bigint; text: string };

const STAMP_TEXT = '(?:0|[1-9]\\d{0,10})\\.\\d{9}';

export const MESSAGE: Codec<Message> = defineCodec<Message>({
  name: 'MESSAGE',
  about: '"OK", or STAMP, STAMP and text with blanks between them: real and Lamport time of the first occurrence',
  pattern: new RegExp(`^(?:OK|(${STAMP_TEXT}) (${STAMP_TEXT}) ([^\\p{Cc}]{1,900}))$`, 'u'),
  of: ([whole, real, lamport, text]) => {
    if (utf8Length(whole) > MAX_MESSAGE_BYTES) throw badFact(whole, `messages end at ${MAX_MESSAGE_BYTES} bytes`);
    if (text === undefined) return 'OK';
    return { realNs: readStamp(real!)!, lamportNs: readStamp(lamport!)!, text };
  },
  format: (message) =>
    message === 'OK' ? 'OK' : `${formatStamp(message.realNs)} ${formatStamp(message.lamportNs)} ${message.text}`,
});

export const ONE: Codec<'1'> = defineCodec<'1'>({
  name: '1',
  about: 'always "1"',
  pattern: /^1$/,
  of: () => '1',
  format: () => '1',
});

/** What old markers beside a deleted object say: nothing we need. */
export const MARKER: Codec<string> = defineCodec({
  name: 'MARKER',
  about: '"1", or two SINT with a comma between them',
  pattern: /^(?:1|(?:0|-?[1-9]\d{0,14}),(?:0|-?[1-9]\d{0,14}))$/,
  of: ([text]) => text,
  format: (value) => value,
  read: (text) => text,
});

export const TRIGGER_TEXT: Codec<string> = renamed(TEXT, 'STAMP_LINE', 'a STAMP in real time and a line feed');
