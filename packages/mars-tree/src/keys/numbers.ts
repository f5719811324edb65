import { formatStamp, readStamp } from '../stamp.js';
import { badFact, defineCodec, type Codec } from './codec.js';

const LENIENT = /^\s*(-?\d+)/;

/** Leading blanks, then as many digits as possible, rest ignored (symlink-tree.md, grammar tokens). */
function lenientInt(text: string): number | null {
  const match = LENIENT.exec(text);
  if (match === null) return null;
  const value = Number(match[1]);
  return Number.isSafeInteger(value) ? value : null;
}

function safe(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw badFact(text, 'numbers go up to 2^53 − 1');
  return value;
}

export const INT: Codec<number> = defineCodec({
  name: 'INT',
  about: 'decimal number from 0 to 2^53 − 1, no leading zeros',
  pattern: /^(?:0|[1-9]\d{0,15})$/,
  of: ([text]) => safe(text),
  format: String,
  read: (text) => {
    const value = lenientInt(text);
    return value === null || value < 0 ? null : value;
  },
});

export const SINT: Codec<number> = defineCodec({
  name: 'SINT',
  about: 'decimal number, negative with a leading "-"',
  pattern: /^(?:0|-?[1-9]\d{0,15})$/,
  of: ([text]) => safe(text),
  format: String,
  read: lenientInt,
});

export const BOOL: Codec<boolean> = defineCodec({
  name: 'BOOL',
  about: '0 or 1',
  pattern: /^[01]$/,
  of: ([text]) => text === '1',
  format: (value) => (value ? '1' : '0'),
  read: (text) => {
    const value = lenientInt(text);
    return value === null ? null : value !== 0;
  },
});

/** A sequence number: `%09d`. */
export const SEQ: Codec<number> = defineCodec({
  name: 'SEQ',
  about: 'log number, zero padded to at least nine digits',
  pattern: /^(?:\d{9}|[1-9]\d{9,14})$/,
  of: ([text]) => Number(text),
  format: (value) => String(value).padStart(9, '0'),
  read: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : null),
});

/** Digits kept as they are: old request numbers are written as `%09d` and, initially, as `1`. */
export const DIGITS: Codec<string> = defineCodec({
  name: 'DIGITS',
  about: 'decimal digits, leading zeros allowed',
  pattern: /^\d{1,15}$/,
  of: ([text]) => text,
  format: (value) => value,
});

export const MASK: Codec<number> = defineCodec({
  name: 'MASK',
  about: '"0x" and eight lowercase hexadecimal digits',
  pattern: /^0x[0-9a-f]{8}$/,
  of: ([text]) => Number(text),
  format: (value) => `0x${(value >>> 0).toString(16).padStart(8, '0')}`,
  read: (text) => {
    const match = /^\s*(0x[0-9a-f]{1,8}|\d{1,10})/i.exec(text);
    return match === null ? null : Number(match[1]) >>> 0;
  },
});

export const STAMP: Codec<bigint> = defineCodec({
  name: 'STAMP',
  about: 'seconds since 1970, a point, exactly nine digits of nanoseconds',
  pattern: /^(?:0|[1-9]\d{0,10})\.\d{9}$/,
  of: ([text]) => readStamp(text)!,
  format: formatStamp,
  read: readStamp,
});

export const HEX32: Codec<string> = defineCodec({
  name: 'HEX32',
  about: '32 lowercase hexadecimal digits',
  pattern: /^[0-9a-f]{32}$/,
  of: ([text]) => text,
  format: (value) => value,
});

export const HEX64: Codec<string> = defineCodec({
  name: 'HEX64',
  about: '64 lowercase hexadecimal digits',
  pattern: /^[0-9a-f]{64}$/,
  of: ([text]) => text,
  format: (value) => value,
});
