import { IDENTIFIER, whyNoIdentifier } from '../names.js';
import { badFact, defineCodec, orNull, type Codec } from './codec.js';
import { INT, SEQ } from './numbers.js';

const SEQUENCE = '(?:\\d{9}|[1-9]\\d{9,14})';
const NUMBER = '(?:0|[1-9]\\d{0,15})';
const LOG_NAME = `log-${SEQUENCE}-${IDENTIFIER}`;

/** A logfile: who created it, and its number. */
export interface LogName {
  sequence: number;
  host: string;
}

export const LOG: Codec<LogName> = defineCodec({
  name: 'LOG',
  about: '"log-", SEQ, "-", HOST that created it',
  pattern: new RegExp(`^log-(${SEQUENCE})-(${IDENTIFIER})$`),
  of: ([, sequence, host]) => {
    const wrong = whyNoIdentifier(host!);
    if (wrong !== null) throw badFact(host!, wrong);
    return { sequence: SEQ.parse(sequence!), host: host! };
  },
  format: ({ sequence, host }) => `log-${SEQ.format(sequence)}-${host}`,
});

/** How far a host has replayed; the dirty length is a hint only (symlink-tree.md 5.6). */
export interface ReplayPosition {
  log: LogName;
  /** The disk is known good up to here, bytes from the start of the log. */
  posBytes: number;
  /** Length of the region behind it that may be partly written, bytes. */
  dirtyBytes: number;
}

export const REPLAY: Codec<ReplayPosition> = defineCodec({
  name: 'REPLAY',
  about: 'LOG "," INT "," INT: position up to which the disk is known good, length of the dirty region behind it',
  pattern: new RegExp(`^(${LOG_NAME}),(${NUMBER}),(${NUMBER})$`),
  of: ([, log, pos, dirty]) => ({ log: LOG.parse(log!), posBytes: INT.parse(pos!), dirtyBytes: INT.parse(dirty!) }),
  format: ({ log, posBytes, dirtyBytes }) => `${LOG.format(log)},${posBytes},${dirtyBytes}`,
  // Old tools and repairs by hand leave the last number out, or add something behind it.
  read: (text) => {
    const [log, pos, dirty] = text.split(',');
    const name = orNull(() => LOG.parse(log ?? ''));
    const posBytes = INT.read(pos ?? '');
    return name === null || posBytes === null ? null : { log: name, posBytes, dirtyBytes: INT.read(dirty ?? '') ?? 0 };
  },
});

/** One half of a version link: a log, how long it is, and a digest over its whole history. */
export interface VersionPart {
  /** HEX32. */
  digest: string;
  log: LogName;
  lengthBytes: number;
}

export interface Version extends VersionPart {
  /** The first half of the version link of the number before; `null` for number 1, and at the start of a history. */
  predecessor: VersionPart | null;
}

const HALF = `[0-9a-f]{32},${LOG_NAME},${NUMBER}`;

function partOf(text: string): VersionPart {
  const [digest, log, length] = text.split(',');
  return { digest: digest!, log: LOG.parse(log!), lengthBytes: INT.parse(length!) };
}

/** The text of one half; two histories are equal up to here iff these texts are equal. */
export function formatVersionPart({ digest, log, lengthBytes }: VersionPart): string {
  return `${digest},${LOG.format(log)},${lengthBytes}`;
}

export const VERSION: Codec<Version> = defineCodec({
  name: 'VERSION',
  about: 'HEX32 "," LOG "," INT ":" and then the same three of the predecessor, or nothing',
  pattern: new RegExp(`^(${HALF}):(${HALF})?$`),
  of: ([, own, before]) => ({ ...partOf(own!), predecessor: before === undefined ? null : partOf(before) }),
  format: (version) =>
    `${formatVersionPart(version)}:${version.predecessor === null ? '' : formatVersionPart(version.predecessor)}`,
});
