import { SIZE_STEP_BYTES } from '../limits.js';
import { UsageError } from '../exit.js';

const LOWER = 'kmgtp';

/**
 * `20G`, `1.5t`, `1048576`: lower-case suffixes are powers of 1000, upper-case ones of 1024; the result is a multiple of 4096.
 * @throws UsageError. Source: marsadm.md 2
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmgtp]?)$/i.exec(text);
  if (match === null) {
    throw new UsageError(`'${text}' is no size`, [
      'Write digits and at most one of k m g t p (1000) or K M G T P (1024): 20G',
    ]);
  }
  const suffix = match[2]!;
  const power = suffix === '' ? 0 : LOWER.indexOf(suffix.toLowerCase()) + 1;
  const bytes = Number(match[1]) * (LOWER.includes(suffix) ? 1000 : 1024) ** power;
  if (Number.isSafeInteger(bytes) && bytes % SIZE_STEP_BYTES === 0) return bytes;
  throw new UsageError(`size '${text}' is not a multiple of ${SIZE_STEP_BYTES} bytes`, [
    'Upper-case suffixes (K M G T P) are powers of 1024 and always fit.',
  ]);
}

/** `HH:MM:SS`, hours unlimited. Source: macros.md 3 */
export function humanSeconds(seconds: number): string {
  if (seconds < 0) return '--:--:--';
  const whole = Math.trunc(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(Math.trunc(whole / 3600))}:${two(Math.trunc(whole / 60) % 60)}:${two(whole % 60)}`;
}
