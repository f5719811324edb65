import { isIdentifier, whyNoIdentifier } from '@mars/mars-tree';
import { UsageError } from '../exit.js';

/** @throws UsageError when the text is no identifier. Source: marsadm.md 2 */
export function identifier(text: string, what: string): string {
  const wrong = whyNoIdentifier(text);
  if (wrong === null) return text;
  throw new UsageError(`${what} '${text}' is no valid name: ${wrong}`, [
    'Names of hosts, resources and devices consist of letters, digits, "_" and "-", at most 63 of them.',
  ]);
}

/** `a,b,c`; with `mayBeAll` also `all`. Duplicates stay. @throws UsageError */
export function identifierList(text: string, what: string, mayBeAll: boolean): string[] {
  if (mayBeAll && text === 'all') return ['all'];
  return text.split(',').map((name) => identifier(name, what));
}

export { isIdentifier };

/** Runs of digits compare as numbers: `r2` before `r10`. Source: marsadm.md 4.3 */
export function compareNaturally(a: string, b: string): number {
  const partsA = a.match(/\d+|\D+/g) ?? [];
  const partsB = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(partsA.length, partsB.length); i++) {
    const order = compareParts(partsA[i]!, partsB[i]!);
    if (order !== 0) return order;
  }
  return partsA.length - partsB.length || (a < b ? -1 : a > b ? 1 : 0);
}

function compareParts(a: string, b: string): number {
  const bothNumbers = /^\d/.test(a) && /^\d/.test(b);
  if (bothNumbers && BigInt(a) !== BigInt(b)) return BigInt(a) < BigInt(b) ? -1 : 1;
  if (bothNumbers) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Names from which a typo may stem, nearest first; at most three. */
export function suggestions(word: string, known: readonly string[]): string[] {
  const limit = word.length <= 4 ? 1 : word.length <= 8 ? 2 : 3;
  return known
    .map((name) => ({ name, distance: distanceOf(word, name) }))
    .filter(({ name, distance }) => distance <= limit || (word.length >= 4 && name.startsWith(word)))
    .sort((a, b) => a.distance - b.distance || compareNaturally(a.name, b.name))
    .slice(0, 3)
    .map(({ name }) => name);
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other. */
function distanceOf(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isEqual = a[i - 1] === b[j - 1];
      row[j] = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + (isEqual ? 0 : 1));
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
