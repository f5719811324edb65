import { createHash } from 'node:crypto';
import { LOG, VERSION } from '../keys/logs.js';

/**
 * The value of `version-SEQ-ME`.
 *
 * @param sequence     number of the log
 * @param creator      host that created it
 * @param lengthBytes  its length as known here
 * @param before       full value of the own version link of the number before; `null` = none. Ignored for number 1, although such a link exists
 * @returns text of grammar `VERSION`
 * Source: symlink-tree.md 5.3; transaction-log.md 4.3
 */
export function versionValue(sequence: number, creator: string, lengthBytes: number, before: string | null): string {
  const predecessor = sequence > 1 ? (before ?? '') : '';
  const digest = createHash('md5').update(`${sequence},${creator},${lengthBytes}:${predecessor}`).digest('hex');
  return `${digest},${LOG.format({ sequence, host: creator })},${lengthBytes}:${firstHalf(predecessor)}`;
}

/** What stands before the first `:`; the next number's value repeats it. */
export function firstHalf(value: string): string {
  const colon = value.indexOf(':');
  return colon < 0 ? value : value.slice(0, colon);
}

/** Value for the start of a history: 32 zeros instead of a digest. Source: symlink-tree.md 5.1. */
export function zeroVersion(sequence: number, creator: string, before: string | null = null): string {
  return `${'0'.repeat(32)},${LOG.format({ sequence, host: creator })},0:${before === null ? '' : firstHalf(before)}`;
}

/** True when `next` continues the history that ends with `value` (rule 10 of symlink-tree.md 5.7). */
export function continues(next: string, value: string): boolean {
  const colon = next.indexOf(':');
  return colon >= 0 && VERSION.read(next) !== null && next.slice(colon + 1) === firstHalf(value);
}
