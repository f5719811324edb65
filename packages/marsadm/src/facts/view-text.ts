/** Units of `human-number`. Source: macros.md 3.1 */
const UNITS = [
  { letter: 'T', factor: 1024 ** 4, from: 9.99 * 1024 ** 4 },
  { letter: 'G', factor: 1024 ** 3, from: 9.99 * 1024 ** 3 },
  { letter: 'M', factor: 1024 ** 2, from: 1024 ** 2 },
  { letter: 'K', factor: 1024, from: 1024 },
] as const;

/** All numbers in one unit, chosen by the greatest: `0.000/4.356 MiB`. */
export function humanNumbers(numbers: readonly number[], decimals = 3): { amounts: string[]; unit: string } {
  const unit = UNITS.find(({ from }) => Math.max(...numbers) >= from);
  if (unit === undefined) return { amounts: numbers.map((n) => String(Math.trunc(n + 0.1))), unit: 'B' };
  const amounts = numbers.map((n) =>
    decimals === 0 ? String(Math.trunc(n / unit.factor)) : (n / unit.factor).toFixed(decimals),
  );
  return { amounts, unit: `${unit.letter}iB` };
}

/** `115.234 MiB`, `0 B`. */
export function humanNumber(bytes: number): string {
  const { amounts, unit } = humanNumbers([bytes]);
  return `${amounts[0]} ${unit}`;
}

/** `[=========>::::.....]`. Source: macros.md 3.2 */
export function progressBar(length: number, from: number, to: number, size: number): string {
  const min = Math.max(0, from);
  const mid = Math.max(min, to);
  const max = Math.max(mid, size, 1);
  let done = (length * min) / max;
  const known = (length * mid) / max;
  let bar = '='.repeat(Math.max(0, Math.floor(done - 1)));
  if (done < length) {
    bar += '>';
    done++;
  }
  if (done < known) bar += ':'.repeat(Math.floor(known - done));
  if (known < length) bar += '.'.repeat(Math.floor(length - known));
  return `[${bar}]`;
}

/** Percent as the original rounds it: 100.5·pos/size, at most 100. Source: macros.md 4.3 */
export function percentOf(pos: number, size: number): number {
  return size <= 0 ? 100 : Math.min(100, (100.5 * pos) / size);
}

/** Seconds that a rest takes; 0 = nothing left, -1 = nobody knows. */
export function remainOf(rest: number, bytesPerSecond: number): number {
  if (rest <= 0) return 0;
  return bytesPerSecond > 0 ? rest / bytesPerSecond : -1;
}
