import { ErrorCode, MarsError } from '@mars/brick-core';
import { MAX_DEPTH, MAX_IDENTIFIER_CHARS, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_VALUE_BYTES } from './limits.js';

/** The value that means "does not exist" (symlink-tree.md 3.5). */
export const TOMBSTONE = '.deleted';

/** "Nobody", where a host could stand. */
export const NONE = '(none)';

/** Names that could be mistaken for an option of `marsadm`; each is also reserved in parentheses. */
const RESERVED = ['none', 'all', 'any', 'full', 'empty', 'undefined', 'remote', 'local', 'localhost'];
const RESERVED_NAMES: ReadonlySet<string> = new Set(RESERVED);

/** Characters of hosts, resources and devices; as text, to be built into larger patterns. */
export const IDENTIFIER = `[A-Za-z0-9_][-A-Za-z0-9_]{0,${MAX_IDENTIFIER_CHARS - 1}}`;
const WHOLE_IDENTIFIER = new RegExp(`^${IDENTIFIER}$`);

/** True for names that a host, resource or device may have. Source: symlink-tree.md, grammar tokens. */
export function isIdentifier(text: string): boolean {
  return WHOLE_IDENTIFIER.test(text) && !RESERVED_NAMES.has(text);
}

/** What is wrong with a name, as the end of a sentence; `null` = nothing. */
export function whyNoIdentifier(text: string): string | null {
  if (text === '') return 'it is empty';
  if (text.length > MAX_IDENTIFIER_CHARS)
    return `it has ${text.length} characters, at most ${MAX_IDENTIFIER_CHARS} fit`;
  if (!WHOLE_IDENTIFIER.test(text)) return 'only letters, digits, "_" and "-" are allowed, and no "-" at the beginning';
  if (RESERVED_NAMES.has(text)) return 'the name is reserved';
  return null;
}

/**
 * What a name means for the exchange between hosts, wherever it stands (symlink-tree.md, section 2):
 * `hidden` names begin with `.` and are never transferred nor interpreted; `ignored` ones are transferred, but never merged.
 */
export function nameClass(name: string): 'hidden' | 'ignored' | 'plain' {
  if (name.startsWith('.')) return 'hidden';
  return name.startsWith('ignore') ? 'ignored' : 'plain';
}

/** Directories that a peer's list may create here; all others come into being as parents of links (symlink-tree.md 3.3). */
export function isMergeableDirectory(name: string): boolean {
  return /^(resource-|todo-|actual-|defaults)/.test(name);
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

/** What Node puts in place of bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd';

/** True when a name or value went through Node unharmed. */
export function isUtf8(text: string): boolean {
  return !text.includes(REPLACEMENT);
}

export function utf8Length(text: string): number {
  return Buffer.byteLength(text);
}

/**
 * A path below `/mars` that we may write: relative, `/` between names.
 * @throws MarsError BAD_KEY: says what is wrong with it
 */
export function checkPath(path: string): void {
  const wrong = whyNoPath(path);
  if (wrong === null) return;
  throw new MarsError(ErrorCode.BAD_KEY, `"${printable(path)}" cannot be a key of the tree: ${wrong}`, {
    hint: 'Keys are paths below /mars, such as "resource-NAME/size"; docs/formats/tree.md lists them.',
    details: { path },
  });
}

/** What is wrong with a path below `/mars`, as the end of a sentence; `null` = nothing. */
export function whyNoPath(path: string): string | null {
  if (utf8Length(path) > MAX_PATH_BYTES) return `it is longer than ${MAX_PATH_BYTES} bytes`;
  const names = path.split('/');
  if (names.length > MAX_DEPTH) return `it has more than ${MAX_DEPTH} names`;
  for (const name of names) {
    const wrong = whyNoName(name);
    if (wrong !== null) return wrong;
  }
  return null;
}

function whyNoName(name: string): string | null {
  if (name === '') return 'a name in it is empty';
  if (name === '.' || name === '..') return `"${name}" leads elsewhere`;
  if (nameClass(name) === 'hidden') return 'names that begin with "." are private to one host';
  if (CONTROL.test(name)) return 'it contains control characters';
  if (!isUtf8(name)) return 'it is no UTF-8';
  if (utf8Length(name) > MAX_NAME_BYTES) return `a name in it is longer than ${MAX_NAME_BYTES} bytes`;
  return null;
}

/** What is wrong with a value, whatever its key, as the end of a sentence; `null` = nothing. */
export function whyNoValue(value: string): string | null {
  if (value === '') return 'a link cannot be empty';
  if (CONTROL.test(value)) return 'it contains control characters';
  if (!isUtf8(value)) return 'it is no UTF-8';
  if (utf8Length(value) > MAX_VALUE_BYTES) return `it is longer than ${MAX_VALUE_BYTES} bytes`;
  return null;
}

/** For messages: control characters as `\u001b`, and not more than a line. */
export function printable(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 77)}…` : text;
  // eslint-disable-next-line no-control-regex
  return short.replace(/[\u0000-\u001f\u007f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** `/mars/uuid` → `uuid`; keys in messages, commands and on the wire keep the canonical `/mars/` (decided.md). @returns null = elsewhere */
export function belowMars(canonical: string): string | null {
  return canonical.startsWith('/mars/') ? canonical.slice('/mars/'.length) : null;
}

/** Directory and name of a path below `/mars`; the directory of a top-level name is `''`. */
export function splitPath(path: string): { dir: string; name: string } {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? { dir: '', name: path } : { dir: path.slice(0, slash), name: path.slice(slash + 1) };
}

export function joinPath(dir: string, name: string): string {
  return dir === '' ? name : `${dir}/${name}`;
}
