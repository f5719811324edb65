import { EINVAL, EOPNOTSUPP, ErrorCode, MarsError } from '@mars/brick-core';
import { fitsTrigger, isIdentifier, whyNoPush } from '@mars/mars-tree';

/** What a round of the cluster consists of; bits of the command `t`. */
export const TRIGGER_LOCAL = 1;
export const TRIGGER_FETCH = 2;
export const TRIGGER_NOTIFY_ACTIVE = 4;
export const TRIGGER_NOTIFY_ALL = 8;
export const TRIGGER_FULL = 16;

/** One command written to `trigger`. Source: symlink-tree.md 2.13 */
export type TriggerCommand =
  | { do: 'trigger'; bits: number }
  /** `ip`: the address is given, and the peer need not be in `ips/`. */
  | { do: 'push'; peer: string; ip: string | null; value: string; path: string }
  | { do: 'check'; peer: string; ip: string; path: string }
  | { do: 'log'; text: string };

/** @throws MarsError BAD_CONTROL with `details.errno`, for the writer */
export function parseTrigger(text: string): TriggerCommand {
  const command = text.replace(/\n$/, '');
  const [letter, ...words] = command.split(' ');
  switch (command[0]) {
    case 't':
      return { do: 'trigger', bits: number(command.slice(1), command) };
    case 'p':
      return push(command, letter!, words, null);
    case 'P':
      return push(command, letter!, [words[0]!, ...words.slice(2)], words[1] ?? '');
    case 'c':
      return check(command, letter!, words);
    case 'f':
      throw refused(command, 'trees of other clusters are not fetched (merge-cluster)', EOPNOTSUPP);
    case 'l':
    case 'L':
      return { do: 'log', text: command.slice(1).trim() };
    default:
      return { do: 'trigger', bits: bitsOfCode(number(command, command)) };
  }
}

/** Codes of the original: 1 = here, 2 = and active peers, 3 to 7 = fetch and tell all, 8 and more = and whole trees. */
export function bitsOfCode(code: number): number {
  const here = TRIGGER_LOCAL;
  if (code <= 1) return here;
  if (code === 2) return here | TRIGGER_NOTIFY_ACTIVE;
  const all = here | TRIGGER_FETCH | TRIGGER_NOTIFY_ACTIVE | TRIGGER_NOTIFY_ALL;
  return code < 8 ? all : all | TRIGGER_FULL;
}

function push(command: string, letter: string, words: readonly string[], ip: string | null): TriggerCommand {
  const [peer = '', value = '', path = ''] = words;
  const isShaped = letter.length === 1 && words.length === 3 && isIdentifier(peer) && ip !== '';
  if (!isShaped || !fitsTrigger(value) || !fitsTrigger(path))
    throw refused(command, `"${letter} PEER … VALUE PATH" is expected`);
  const wrong = whyNoPush(path, value);
  if (wrong !== null) throw refused(command, wrong);
  return { do: 'push', peer, ip, value, path };
}

function check(command: string, letter: string, words: readonly string[]): TriggerCommand {
  const [peer = '', ip = '', path = ''] = words;
  const isShaped = letter.length === 1 && words.length === 3 && isIdentifier(peer) && ip !== '' && fitsTrigger(path);
  if (!isShaped || !path.startsWith('/mars/')) throw refused(command, '"c PEER IP PATH" is expected');
  return { do: 'check', peer, ip, path };
}

function number(text: string, command: string): number {
  const digits = /^\s*(\d{1,9})/.exec(text)?.[1];
  if (digits === undefined) throw refused(command, 'this is no command');
  return Number(digits);
}

function refused(command: string, why: string, errno: number = EINVAL): MarsError {
  return new MarsError(ErrorCode.BAD_CONTROL, `trigger ${JSON.stringify(command.slice(0, 80))}: ${why}`, {
    hint: 'Commands are listed in docs/marsd.md.',
    details: { errno, file: 'trigger' },
  });
}
