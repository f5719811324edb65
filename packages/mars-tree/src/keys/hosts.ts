import { IDENTIFIER, NONE, isIdentifier, whyNoIdentifier } from '../names.js';
import { formatStamp, readStamp } from '../stamp.js';
import { badFact, defineCodec, renamed, type Codec } from './codec.js';

function identifier(text: string): string {
  const wrong = whyNoIdentifier(text);
  if (wrong !== null) throw badFact(text, wrong);
  return text;
}

export const HOST: Codec<string> = defineCodec({
  name: 'HOST',
  about: 'host name: letters, digits, "_" and "-", at most 63, no dot, not reserved',
  pattern: new RegExp(`^${IDENTIFIER}$`),
  of: ([text]) => identifier(text),
  format: (value) => value,
});

export const RES: Codec<string> = renamed(HOST, 'RES', 'resource name, same rules as for hosts');

/** `NONE` = nobody. */
export const HOST_OR_NONE: Codec<string> = defineCodec({
  name: 'HOST_OR_NONE',
  about: 'host name, or "(none)"',
  pattern: new RegExp(`^(?:\\(none\\)|${IDENTIFIER})$`),
  of: ([text]) => (text === NONE ? NONE : identifier(text)),
  format: (value) => value,
});

/** A name below `/dev/mars/`; `NONE` = join in progress. */
export const DEVICE_NAME: Codec<string> = renamed(
  HOST_OR_NONE,
  'DEVICE_NAME',
  'name below /dev/mars/, same rules as for hosts; "(none)" while a join is in progress',
);

function listOf(name: string, about: string, separator: string): Codec<string[]> {
  const literal = separator.replace('+', '\\+');
  return defineCodec({
    name,
    about,
    pattern: new RegExp(`^${IDENTIFIER}(?:${literal}${IDENTIFIER}){0,15}$`),
    of: ([text]) => text.split(separator).map(identifier),
    format: (values) => values.join(separator),
    // A hand-made list with one bad name still says something about the others.
    read: (text) => {
      const names = text.split(separator).filter(isIdentifier);
      return names.length === 0 ? null : names;
    },
  });
}

export const HOST_LIST = listOf('HOST_LIST', 'up to 16 host names with commas between them', ',');
export const HOST_PLUS_LIST = listOf('HOST_PLUS_LIST', 'up to 16 host names with "+" between them', '+');

/** `[]` = "(none)". */
export const RES_LIST: Codec<string[]> = defineCodec({
  name: 'RES_LIST',
  about: 'resource names with commas between them, or "(none)"',
  pattern: new RegExp(`^(?:\\(none\\)|${IDENTIFIER}(?:,${IDENTIFIER}){0,999})$`),
  of: ([text]) => (text === NONE ? [] : text.split(',').map(identifier)),
  format: (values) => (values.length === 0 ? NONE : values.join(',')),
  read: (text) => (text === NONE ? [] : text.split(',').filter(isIdentifier)),
});

const BYTE = '(?:0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])';

/** Where a host can be reached: an IPv4 address, or another host whose address counts (at most three hops). */
export const ADDRESS: Codec<string> = defineCodec({
  name: 'ADDRESS',
  about: 'IPv4 address as a dotted quad without leading zeros, or the name of another host to be looked up in ips/',
  pattern: new RegExp(`^(?:${BYTE}(?:\\.${BYTE}){3}|${IDENTIFIER})$`),
  of: ([text]) => (text.includes('.') ? text : identifier(text)),
  format: (value) => value,
});

/** The identity of a cluster. Compare the *text* bytewise; these parts are for people. */
export type ClusterId =
  { kind: 'any' } | { kind: 'stamped'; host: string; stampNs: bigint } | { kind: 'old'; host: string; date: string };

export const UUID: Codec<ClusterId> = defineCodec<ClusterId>({
  name: 'UUID',
  about: 'HOST "_" STAMP; or "(any)", which fits every cluster; in old trees HOST, a blank and the output of date',
  // The stamp has no "_", so the last "_" ends the host, which may contain some itself.
  pattern: new RegExp(
    `^(?:\\(any\\)|(${IDENTIFIER})_((?:0|[1-9]\\d{0,10})\\.\\d{9})|(${IDENTIFIER}) ([A-Z][A-Za-z0-9:+ ]{0,60}))$`,
  ),
  of: ([, host, stamp, oldHost, date]) => {
    if (host !== undefined) return { kind: 'stamped', host: identifier(host), stampNs: readStamp(stamp!)! };
    return oldHost === undefined ? { kind: 'any' } : { kind: 'old', host: identifier(oldHost), date: date! };
  },
  format: (id) => {
    if (id.kind === 'any') return '(any)';
    return id.kind === 'old' ? `${id.host} ${id.date}` : `${id.host}_${formatStamp(id.stampNs)}`;
  },
});
