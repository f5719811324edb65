import {
  KEEP_TOMBSTONE_HOURS,
  MAX_LAMPORT_FUTURE_S,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  MAX_VALUE_BYTES,
} from '../limits.js';
import { ALL_CODECS } from './codecs.js';
import type { Deletion, Importance, Key, KeyGroup, Replication, Writer } from './key.js';
import { captureTable } from './path-pattern.js';
import { FEATURE_BITS } from './texts.js';
import { VERSION_VECTORS, versionVectorRows } from './version-vectors.js';

const WRITERS: Readonly<Record<Writer, string>> = {
  'marsadm@owner': 'marsadm',
  'marsadm@anywhere': 'marsadm anywhere',
  'daemon@owner': 'daemon of HOST',
  'daemon@others': 'daemons of others',
  'daemon@anywhere': 'daemon anywhere',
  'administrator@anywhere': 'administrator',
  nobody: 'nobody',
};

const REPLICATION: Readonly<Record<Replication, string>> = { everywhere: 'yes', 'by-owner': 'by owner', local: 'no' };
const IMPORTANCE: Readonly<Record<Importance, string>> = {
  required: '',
  optional: 'optional',
  old: 'old',
  ignored: 'ignored',
};
const DELETION: Readonly<Record<Deletion, string>> = {
  usual: 'usual',
  long: `kept ${KEEP_TOMBSTONE_HOURS} h`,
  never: 'never',
  unlink: 'local unlink',
};

/** The whole of docs/formats/tree.md. A test compares the file with it; `MARS_UPDATE_DOCS=1` rewrites the file. */
export function renderReference(groups: readonly KeyGroup[]): string {
  return [
    ...intro(),
    ...conventions(),
    ...grammar(),
    ...groups.flatMap((group, i) => section(group, i + 4)),
    ...registry(groups.length + 4),
    ...vectors(groups.length + 5),
    ...unspecified(groups.length + 6),
    ...versions(groups.length + 7),
  ]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}

function intro(): string[] {
  return [
    '<!-- Generated from packages/mars-tree/src/keys.ts. Change it there; then: MARS_UPDATE_DOCS=1 npm run test:unit -->',
    '',
    '# The tree of facts',
    '',
    'All that the hosts of a cluster agree on, or tell each other, stands in symbolic links below `/mars`: the path is the key, the',
    "target is the value, and the link's own modification time is the stamp that orders two values of one key. Any shell can read it.",
    '',
    'Words in upper case such as MUST and MAY have the meaning of RFC 2119; in lower case they carry their natural meaning.',
    '',
  ];
}

function conventions(): string[] {
  return [
    '## 1. Conventions',
    '',
    '* `ME` is the local host, the *owner* of a path is the host that stands for `{HOST}` in it.',
    '* A **stamp** has nanoseconds and comes from a Lamport clock: never behind the real clock, never behind any stamp that its writer has',
    '  seen. Of two values of one key the one with the greater stamp counts. Of equal stamps, the greater value counts, compared bytewise.',
    '* A link is written as `.tmp-NAME` (the daemon) or `.tmp.PID.NAME` (marsadm) in the same directory, gets its stamp (`utimensat`, no-follow), and is',
    '  renamed over the old one. Readers therefore see the old value or the new one.',
    '* The value `.deleted` is a **tombstone**: readers MUST treat it as "does not exist". It travels like any value, replaces older values and log',
    '  files, and never creates anything. A newer value replaces it. It is collected, on each host for itself, when it is older than',
    '  the last contact of every peer of the resource, less a window of 60 s; and at the latest after ' +
      `${KEEP_TOMBSTONE_HOURS} h. In \`ips/\` always after ${KEEP_TOMBSTONE_HOURS} h.`,
    '* Names that begin with `.` MUST NOT be transferred and mean nothing to other hosts. Names that begin with `ignore` are transferred but MUST NOT be',
    '  merged. Links at unknown paths are replicated like others.',
    `* A stamp ${MAX_LAMPORT_FUTURE_S / 86_400} days or more ahead of real time is corrupt: it does not move the clock, does not win, and is replaced.`,
    '* Directories have mode 0700, log files 0600. Permissions, owners and times of directories carry no meaning.',
    '* A missing link, an unreadable link and a tombstone all mean "empty"; an empty switch means 0.',
    '* Numbers are *read* leniently (leading blanks, as many digits as possible, rest ignored) and *written* as the grammar says.',
    '',
    'Limits: a value SHOULD be no longer than 1023 bytes (XFS holds 1024) and MUST be no longer than ' +
      `${MAX_VALUE_BYTES}; a name MUST be no longer than ${MAX_NAME_BYTES} bytes, so that its`,
    `temporary name fits; a message MUST be no longer than ${MAX_MESSAGE_BYTES} bytes. Names and values are UTF-8 without control characters.`,
    '',
    'Columns of the tables below:',
    '',
    '* **writer**: who writes it. "marsadm" is marsadm acting for HOST, "anywhere" is any host. A daemon MUST NOT write what the column does not permit;',
    '  values merged from peers, and pushes, are not bound by it.',
    '* **repl.**: served by every host that has it (yes), by its owner (others pass it on in lists of the whole tree), or not at all (no).',
    '* **deletion**: what becomes of a deleted one.',
    '* **note**: nothing = baseline, MUST be implemented; *optional*; *old* = understood at a takeover, never written; *ignored* = tolerated.',
    '',
    'Parts of a path in braces:',
    '',
    '| part | means |',
    '|---|---|',
    ...captureTable().map(({ name, about }) => `| \`{${name}}\` | ${about} |`),
    '',
  ];
}

function grammar(): string[] {
  return [
    '## 2. Grammar of values',
    '',
    'The expression is what we write, in the notation of JavaScript; `NAME` in it stands for `[A-Za-z0-9_][-A-Za-z0-9_]{0,62}`.',
    '',
    '| token | value | expression |',
    '|---|---|---|',
    ...ALL_CODECS.map(({ name, about, pattern }) => `| \`${name}\` | ${about} | ${code(short(pattern.source))} |`),
    '',
    'Hosts, resources and devices MUST NOT be called `none all any full empty undefined remote local localhost`, nor that in parentheses.',
    '',
    '## 3. How a value is exchanged',
    '',
    'A list of entries (path, kind, size, stamp, value) is merged entry by entry:',
    '',
    '1. Names beginning with `.` or `ignore` are skipped.',
    '2. A tombstone is taken iff something older exists. Another value is taken iff nothing exists, or something older; at equal stamps, the greater value.',
    '3. A taken value keeps the stamp of its writer. A log file in its place is replaced; a directory in its place stays, and the value is not taken.',
    '4. Directories are created only when their name begins with `resource-`, `todo-`, `actual-` or `defaults`.',
    '',
    'The result does not depend on the order of the lists, and merging a list twice changes nothing.',
    '',
  ];
}

function section(group: KeyGroup, number: number): string[] {
  return [
    `## ${number}. ${group.title}`,
    '',
    `${group.about} Source: ${group.source}.`,
    '',
    '| path | value | writer | repl. | deletion | meaning; readers | note |',
    '|---|---|---|---|---|---|---|',
    ...group.keys.map(row),
    '',
    ...examples(group),
  ];
}

function row(key: Key): string {
  const value = key.codec === null ? '' : `\`${key.codec.name}\``;
  const kind =
    key.kind === 'link' ? '' : { directory: 'directory', file: 'file', 'link-or-file': 'link or file' }[key.kind];
  const readers = key.readers === '' ? '' : ` Read by: ${key.readers}.`;
  return `| ${[
    code(key.path),
    [value, kind].filter((text) => text !== '').join(', '),
    key.writers.map((writer) => WRITERS[writer]).join(', '),
    REPLICATION[key.replication],
    key.kind === 'directory' ? '' : DELETION[key.deletion],
    `${key.about}${readers}`.replaceAll('|', '\\|'),
    IMPORTANCE[key.importance],
  ].join(' | ')} |`;
}

function examples(group: KeyGroup): string[] {
  const lines = group.keys
    .flatMap((key) => key.examples)
    .map(([path, value]) => (value === undefined ? path : `${path} -> ${value}`));
  return lines.length === 0 ? [] : ['```', ...lines, '```', ''];
}

function registry(number: number): string[] {
  return [
    `## ${number}. Registry`,
    '',
    'Feature bits, in `features`, `usable` and the masks below `defaults/`:',
    '',
    '| bit | means |',
    '|---|---|',
    ...Object.entries(FEATURE_BITS).map(([name, bit]) => `| \`0x${bit.toString(16).padStart(8, '0')}\` | ${name} |`),
    '',
    'A peer whose feature level is below 3 counts as strategy 0 with the old MD5 only. Codes of `replay-code`: docs/formats/log.md.',
    '',
  ];
}

function vectors(number: number): string[] {
  return [
    `## ${number}. Test vectors: version links`,
    '',
    'For log number n, created by C, of length L (bytes) as known to the writer, and P the full value of its own `version-(n−1)` link (empty for n = 1, or when',
    'there is none):',
    '',
    '```',
    'D     = md5( decimal(n) "," C "," decimal(L) ":" P )        bytes, no terminator, no leading zeros',
    'value = hex(D) ",log-" %09d(n) "-" C "," decimal(L) ":" (P up to its first ":")',
    '```',
    '',
    'The digest covers the length and the whole history, **not the contents** of the log. Our tests read this table.',
    '',
    ...versionVectorRows(VERSION_VECTORS),
    '',
  ];
}

function unspecified(number: number): string[] {
  return [
    `## ${number}. What is left open`,
    '',
    '* Contents of `userspace/` beyond the keys above, and of keys without a grammar.',
    '* What the texts of messages say; several are joined by `,` behind one pair of stamps.',
    '* The date in a `BUILD_TAG`, and the old form of a `UUID`.',
    '* Modes, owners and times of directories.',
    '* When a daemon rewrites an unchanged value, apart from `is-primary`, `open-count`, `time` and `alive`.',
    '',
  ];
}

function versions(number: number): string[] {
  return [
    `## ${number}. Versions of the layout`,
    '',
    '| `tree` | releases | difference |',
    '|---|---|---|',
    '| absent, 0.1 | 2014 to 2017 | status of hosts at top level (section "Old layout"); deletion by requests in `todo-global` |',
    '| 0.1 | since 2018, and ours | status of hosts below `actual-HOST/`; deletion by tombstones |',
    '',
  ];
}

function code(text: string): string {
  // A bar ends a table cell even inside of a code span.
  return `\`${text.replaceAll('|', '\\|')}\``;
}

/** The pattern of identifiers stands in most expressions: its token reads better. */
function short(source: string): string {
  return source
    .replace(/^\^/, '')
    .replace(/\$$/, '')
    .replaceAll('[A-Za-z0-9_][-A-Za-z0-9_]{0,62}', 'NAME')
    .replaceAll('\\/', '/');
}
